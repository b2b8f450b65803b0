//! What a Eureka client says of its instance, and how it becomes one of a brick.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use brick_core::{BrickName, Incarnation, Instance, Version};
use brick_http::Problem;
use http::Uri;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::registry::TTL_MS;
use crate::outsider::{Details, TEXT_BYTES_MAX, WEIGHT_MAX};
use crate::state::Registered;

/// Life of a lease and time between renewals unless the client says otherwise: Eureka's own.
const DURATION_S: u64 = 90;
const RENEWAL_S: u64 = 30;
/// Zone of the clients that have none.
const NO_ZONE: [&str; 2] = ["default", "defaultZone"];

/// Whether an instance takes requests, in Eureka's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// It does.
    Up,
    /// It does not.
    Down,
    /// It does not yet.
    Starting,
    /// It was taken out on purpose.
    OutOfService,
    /// It did not say.
    Unknown,
}

/// What a Eureka client says of its instance besides what every outsider says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    /// Name of its host, by which other clients call it.
    pub host: String,
    /// What it said of itself last.
    pub status: Status,
    /// What counts instead, since somebody set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overridden: Option<Status>,
    /// Virtual address: the name that clients look it up by, several apart by commas.
    pub vip: String,
    /// The same for TLS.
    pub secure_vip: String,
    /// Page for people.
    pub home_page: String,
    /// Page that tells how it is.
    pub status_page: String,
    /// Page that answers 2xx while it takes requests.
    pub health_check: String,
    /// Time between its renewals, in seconds.
    pub renewal_s: u64,
    /// When it registered first, in milliseconds since 1970.
    pub registered_ms: i64,
    /// When it said something new last, by control's clock.
    pub updated_ms: i64,
    /// The same by its own clock.
    pub dirty_ms: i64,
}

/// What somebody says of an instance that is registered.
#[derive(Debug, Clone)]
pub(crate) enum Told {
    /// It renews its lease and has this status.
    Renewed(Option<Status>),
    /// This status counts from now on, whatever it says itself.
    Overridden(Status, i64),
    /// What it says itself counts again, which is this where it is said.
    Released(Option<Status>, i64),
    /// These pairs of metadata are new.
    Metadata(BTreeMap<String, String>),
}

impl Status {
    /// By its name.
    pub(super) fn named(text: &str) -> Result<Self, Problem> {
        let named = serde_json::from_value(Value::String(text.to_owned()));
        named.map_err(|_| {
            let found: String = text.chars().take(64).collect();
            let hint = format!("expected UP, DOWN, STARTING, OUT_OF_SERVICE or UNKNOWN, found \"{found}\"");
            Problem::bad_request("status_invalid", hint)
        })
    }

    /// Its name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Up => "UP",
            Self::Down => "DOWN",
            Self::Starting => "STARTING",
            Self::OutOfService => "OUT_OF_SERVICE",
            Self::Unknown => "UNKNOWN",
        }
    }
}

impl Info {
    /// What a client says, of an instance on this host.
    fn of(said: &Value, host: String, brick: &BrickName) -> Result<Self, Problem> {
        let status = match text(said, "status") {
            Some(status) => Status::named(&status)?,
            None => Status::Up,
        };
        let renewal_s = number(&said["leaseInfo"], "renewalIntervalInSecs").filter(|s| *s > 0);
        let now = Timestamp::now().as_millisecond();
        let otherwise = |key: &str, other: &str| text(said, key).unwrap_or_else(|| other.to_owned());
        Ok(Self {
            status,
            overridden: None,
            vip: otherwise("vipAddress", brick.as_str()),
            secure_vip: otherwise("secureVipAddress", brick.as_str()),
            home_page: otherwise("homePageUrl", ""),
            status_page: otherwise("statusPageUrl", ""),
            health_check: otherwise("healthCheckUrl", ""),
            renewal_s: renewal_s.unwrap_or(RENEWAL_S),
            registered_ms: now,
            updated_ms: now,
            dirty_ms: number(said, "lastDirtyTimestamp")
                .and_then(|ms| i64::try_from(ms).ok())
                .unwrap_or(0),
            host,
        })
    }

    /// The status that counts.
    pub(crate) fn counts(&self) -> Status {
        self.overridden.unwrap_or(self.status)
    }

    /// The texts of it, which have a bound.
    pub(crate) fn texts(&self) -> [&String; 6] {
        [
            &self.host,
            &self.vip,
            &self.secure_vip,
            &self.home_page,
            &self.status_page,
            &self.health_check,
        ]
    }

    /// Takes over from what the same instance said before what outlives a new registration.
    pub(crate) fn succeed(&mut self, before: &Self) {
        self.overridden = before.overridden;
        self.registered_ms = before.registered_ms;
    }
}

impl Told {
    /// Changes the instance accordingly.
    pub(crate) fn apply(self, one: &mut Registered) {
        let Some(info) = &mut one.details.eureka else {
            return;
        };
        let now = Timestamp::now().as_millisecond();
        match self {
            Self::Renewed(status) => {
                one.supervised = true;
                if let Some(status) = status.filter(|status| *status != info.status) {
                    (info.status, info.updated_ms) = (status, now);
                }
            }
            Self::Overridden(status, dirty) => {
                info.overridden = Some(status);
                (info.updated_ms, info.dirty_ms) = (now, info.dirty_ms.max(dirty));
            }
            Self::Released(status, dirty) => {
                info.overridden = None;
                info.status = status.unwrap_or(info.status);
                (info.updated_ms, info.dirty_ms) = (now, info.dirty_ms.max(dirty));
            }
            Self::Metadata(pairs) => {
                info.updated_ms = now;
                one.details.metadata.extend(pairs);
            }
        }
        one.ready = info.counts() == Status::Up;
        let metadata = &one.details.metadata;
        one.instance.zone = zone(metadata);
        one.details.weight = weight(metadata);
        one.details.api_version = metadata.get("api_version").cloned();
    }
}

/// The instance that a client registers; `app` is the application of the path.
pub(super) fn read(app: &str, said: &Value) -> Result<Registered, Problem> {
    let named = text(said, "app").ok_or_else(|| missing("app"))?;
    if !named.eq_ignore_ascii_case(app) {
        let hint = format!("the path is of {app:.64}, the instance of {named:.64}");
        return Err(Problem::bad_request("app_mismatch", hint));
    }
    let brick = brick(&named)?;
    let host = text(said, "hostName").ok_or_else(|| missing("hostName"))?;
    let ip = text(said, "ipAddr").ok_or_else(|| missing("ipAddr"))?;
    let ip: IpAddr = ip.parse().map_err(|_| {
        let hint = format!("expected an IP address as ipAddr, found \"{ip:.64}\"");
        Problem::unprocessable("address_invalid", hint)
    })?;
    let addr = SocketAddr::new(ip, port(said)?);
    let of_cloud = text(&said["dataCenterInfo"]["metadata"], "instance-id");
    let id = text(said, "instanceId")
        .or(of_cloud)
        .unwrap_or_else(|| host.clone());
    let metadata = metadata(&said["metadata"]);
    let version = metadata.get("version").and_then(|label| Version::new(label).ok());
    let duration_s = number(&said["leaseInfo"], "durationInSecs").filter(|s| *s > 0);
    let info = Info::of(said, host, &brick)?;
    let status = info.status;
    let details = Details {
        weight: weight(&metadata),
        api_version: metadata.get("api_version").cloned(),
        health: health(&info.health_check, addr, &info.host),
        outsider: Some(id),
        eureka: Some(info),
        metadata,
    };
    details.check()?;
    let zone = zone(&details.metadata);
    Ok(Registered {
        instance: Instance {
            brick,
            version: version.unwrap_or_default(),
            slot: 0,
            incarnation: Incarnation::new(),
            zone,
            addr,
            concurrent: false,
        },
        ttl_ms: duration_s
            .unwrap_or(DURATION_S)
            .saturating_mul(1_000)
            .clamp(*TTL_MS.start(), *TTL_MS.end()),
        ready: status == Status::Up,
        supervised: true,
        quarantined: None,
        details,
    })
}

/// The brick that an application is: its name in small letters.
pub(super) fn brick(app: &str) -> Result<BrickName, Problem> {
    BrickName::new(&app.to_ascii_lowercase()).map_err(|error| {
        let hint = format!("an application is a brick by its name in small letters: {error}");
        Problem::unprocessable("app_invalid", hint)
    })
}

/// The port that takes plain HTTP: a number, or a number with whether it is open.
fn port(said: &Value) -> Result<u16, Problem> {
    let told = &said["port"];
    let open = match told {
        Value::Object(_) => text(told, "@enabled").is_none_or(|open| open.eq_ignore_ascii_case("true")),
        _ => true,
    };
    let number = match told {
        Value::Object(_) => number(told, "$"),
        _ => number(said, "port"),
    };
    let number = number
        .filter(|_| open)
        .and_then(|number| u16::try_from(number).ok());
    number.filter(|number| *number > 0).ok_or_else(|| {
        let hint = "expected a port that is enabled: bricks call each other by plain HTTP, not on securePort";
        Problem::unprocessable("port_invalid", hint)
    })
}

fn metadata(said: &Value) -> BTreeMap<String, String> {
    let all = said.as_object().into_iter().flatten();
    // `@class` is how Jackson writes an empty map.
    all.filter(|(key, _)| !key.starts_with('@'))
        .filter_map(|(key, _)| Some((key.clone(), text(said, key)?)))
        .collect()
}

fn zone(metadata: &BTreeMap<String, String>) -> String {
    let told = metadata
        .get("zone")
        .filter(|zone| !NO_ZONE.contains(&zone.as_str()));
    let told = told.filter(|zone| (1..=63).contains(&zone.len()));
    told.cloned().unwrap_or_else(crate::api::registry::zone_a)
}

fn weight(metadata: &BTreeMap<String, String>) -> Option<u32> {
    let told: u32 = metadata.get("weight")?.parse().ok()?;
    Some(told.min(WEIGHT_MAX))
}

/// Path of the page that tells its health, where it is the instance's own.
fn health(page: &str, addr: SocketAddr, host: &str) -> Option<String> {
    let page: Uri = page.parse().ok()?;
    let own = |named: &str| named.eq_ignore_ascii_case(host) || named.parse() == Ok(addr.ip());
    let is_own = page.scheme_str() == Some("http")
        && page.port_u16().unwrap_or(80) == addr.port()
        && page.host().is_some_and(own);
    let path = page.path_and_query()?.as_str();
    is_own
        .then(|| path.to_owned())
        .filter(|path| path.len() <= TEXT_BYTES_MAX)
}

fn missing(key: &str) -> Problem {
    Problem::bad_request("instance_incomplete", format!("expected an instance with {key}"))
}

/// A text, or what is written as one; none where it is empty.
fn text(of: &Value, key: &str) -> Option<String> {
    let text = match of.get(key)? {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Bool(is) => is.to_string(),
        _ => return None,
    };
    (!text.is_empty()).then_some(text)
}

/// A number, or a text that is one.
fn number(of: &Value, key: &str) -> Option<u64> {
    text(of, key)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// As PyPI's `py_eureka_client` says it.
    fn python() -> Value {
        json!({
            "instanceId": "10.0.0.7:stock:9090", "hostName": "stock.example", "app": "STOCK", "ipAddr": "10.0.0.7",
            "port": { "$": 9090, "@enabled": "true" }, "securePort": { "$": 9443, "@enabled": "false" }, "countryId": 1,
            "dataCenterInfo": { "@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", "name": "MyOwn" },
            "leaseInfo": { "renewalIntervalInSecs": 5, "durationInSecs": 15, "registrationTimestamp": 0 },
            "metadata": { "management.port": "9090", "zone": "default", "weight": 50, "version": "v7" },
            "homePageUrl": "http://stock.example:9090/", "healthCheckUrl": "http://stock.example:9090/health",
            "vipAddress": "stock", "status": "UP", "overriddenstatus": "UNKNOWN",
            "lastDirtyTimestamp": "1700000000000", "isCoordinatingDiscoveryServer": "false",
        })
    }

    #[test]
    fn what_a_client_says_becomes_an_instance_of_the_brick() {
        let one = read("stock", &python()).unwrap();
        assert_eq!(one.instance.brick.as_str(), "stock");
        assert_eq!(one.instance.addr, "10.0.0.7:9090".parse().unwrap());
        assert_eq!(
            (one.instance.zone.as_str(), one.instance.version.as_str()),
            ("a", "v7")
        );
        assert_eq!(
            (one.ttl_ms, one.ready, one.details.weight),
            (15_000, true, Some(50))
        );
        assert_eq!(one.details.outsider.as_deref(), Some("10.0.0.7:stock:9090"));
        assert_eq!(one.details.health.as_deref(), Some("/health"));
        assert_eq!(one.details.eureka.unwrap().dirty_ms, 1_700_000_000_000);
    }

    #[test]
    fn what_is_left_out_is_as_with_eureka() {
        let said = json!({ "app": "stock", "hostName": "h", "ipAddr": "10.0.0.7", "port": 80 });
        let one = read("STOCK", &said).unwrap();
        let info = one.details.eureka.unwrap();
        assert_eq!((one.details.outsider.as_deref(), one.ttl_ms), (Some("h"), 90_000));
        assert_eq!(
            (info.status, info.renewal_s, info.vip.as_str()),
            (Status::Up, 30, "stock")
        );
    }

    #[test]
    fn what_cannot_be_an_instance_is_refused() {
        let check = |edit: &dyn Fn(&mut Value), code: &str| {
            let mut said = python();
            edit(&mut said);
            assert_eq!(read("STOCK", &said).unwrap_err().code, code);
        };
        check(&|said| said["app"] = json!("PARCEL"), "app_mismatch");
        check(&|said| said["ipAddr"] = json!("stock.example"), "address_invalid");
        check(
            &|said| drop(said.as_object_mut().unwrap().remove("ipAddr")),
            "instance_incomplete",
        );
        check(&|said| said["port"]["@enabled"] = json!("false"), "port_invalid");
        check(&|said| said["port"] = json!(70_000), "port_invalid");
        check(&|said| said["status"] = json!("FINE"), "status_invalid");
        check(
            &|said| said["homePageUrl"] = json!("x".repeat(300)),
            "invalid_details",
        );
        assert_eq!(
            read("my_app", &json!({ "app": "my_app" })).unwrap_err().code,
            "app_invalid"
        );
    }

    #[test]
    fn health_is_asked_at_the_instance_itself_alone() {
        let addr = "10.0.0.7:9090".parse().unwrap();
        let path = |page: &str| health(page, addr, "h.example");
        assert_eq!(path("http://10.0.0.7:9090/up?x").as_deref(), Some("/up?x"));
        for other in [
            "http://10.0.0.8:9090/",
            "http://h.example/",
            "https://h.example:9090/",
            "",
            "/up",
        ] {
            assert_eq!(path(other), None, "{other}");
        }
    }

    #[test]
    fn an_override_counts_until_it_is_released_and_outlives_a_registration() {
        let mut one = read("STOCK", &python()).unwrap();
        Told::Overridden(Status::OutOfService, 0).apply(&mut one);
        assert!(!one.ready);
        Told::Renewed(Some(Status::Up)).apply(&mut one);
        assert!(!one.ready);
        let mut again = read("STOCK", &python()).unwrap().details.eureka.unwrap();
        again.succeed(one.details.eureka.as_ref().unwrap());
        assert_eq!(again.counts(), Status::OutOfService);
        Told::Released(None, 0).apply(&mut one);
        assert!(one.ready);
        Told::Renewed(Some(Status::Down)).apply(&mut one);
        assert!(!one.ready);
        Told::Metadata([("zone".to_owned(), "b".to_owned())].into()).apply(&mut one);
        assert_eq!(one.instance.zone, "b");
    }
}
