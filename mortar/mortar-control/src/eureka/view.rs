//! The registry as Eureka shows it: applications with their instances.

use std::collections::BTreeMap;

use brick_bus::Protocol;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::info::Status;
use super::recent::Kind;
use crate::derive;
use crate::service::Handle;
use crate::state::{Registered, State};

/// How Java's clients tell a data centre that is nobody's cloud.
const MY_OWN: &str = "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo";

/// Name of the application that a brick is.
pub(super) fn app(one: &Registered) -> String {
    one.instance.brick.as_str().to_ascii_uppercase()
}

/// Name of an instance in its application: an outsider's own, `order-2` of what the agent runs.
pub(super) fn id(one: &Registered) -> String {
    let slot = || one.instance.own_name();
    one.details.outsider.clone().unwrap_or_else(slot)
}

/// Whether it takes requests.
pub(super) fn status(one: &Registered) -> Status {
    match (&one.quarantined, &one.details.eureka) {
        (Some(_), _) => Status::OutOfService,
        (None, Some(info)) => info.counts(),
        (None, None) if one.ready => Status::Up,
        (None, None) => Status::Down,
    }
}

/// Names that it is looked up by; `secure` those for TLS, which bricks of the system do not speak.
pub(super) fn vips(one: &Registered, secure: bool) -> &str {
    match (&one.details.eureka, secure) {
        (Some(info), false) => &info.vip,
        (Some(info), true) => &info.secure_vip,
        (None, _) => one.instance.brick.as_str(),
    }
}

/// One instance.
pub(super) fn instance(handle: &Handle, state: &State, one: &Registered, kind: Kind) -> Value {
    let (who, info) = (&one.instance, one.details.eureka.as_ref());
    let (ip, port) = (who.addr.ip(), who.addr.port());
    let now = Timestamp::now().as_millisecond();
    let left = i64::try_from(handle.leases().left(who.incarnation).as_millis()).unwrap_or(0);
    let ttl = i64::try_from(one.ttl_ms).unwrap_or(i64::MAX);
    let renewed = now.saturating_sub(ttl.saturating_sub(left).max(0));
    let since = info.map_or_else(|| born(one), |info| info.registered_ms);
    let updated = info.map_or(since, |info| info.updated_ms);
    let dirty = info.map_or(since, |info| info.dirty_ms);
    let host = info.map_or_else(|| ip.to_string(), |info| info.host.clone());
    let authority = match ip.is_ipv6() {
        true => format!("[{ip}]:{port}"),
        false => format!("{ip}:{port}"),
    };
    let page = |path: &str| format!("http://{authority}{path}");
    let (home, status_page, health) = match info {
        Some(info) => (
            info.home_page.clone(),
            info.status_page.clone(),
            info.health_check.clone(),
        ),
        None => (page("/"), page("/info"), page("/health")),
    };
    json!({
        "instanceId": id(one),
        "app": app(one),
        "hostName": host,
        "ipAddr": ip.to_string(),
        "status": status(one).name(),
        "overriddenStatus": overridden(one).name(),
        "port": { "$": port, "@enabled": "true" },
        "securePort": { "$": 443, "@enabled": "false" },
        "countryId": 1,
        "dataCenterInfo": { "@class": MY_OWN, "name": "MyOwn" },
        "leaseInfo": {
            "renewalIntervalInSecs": info.map_or(one.ttl_ms / 3_000, |info| info.renewal_s).max(1),
            "durationInSecs": (one.ttl_ms / 1_000).max(1),
            "registrationTimestamp": since,
            "lastRenewalTimestamp": renewed,
            "evictionTimestamp": 0,
            "serviceUpTimestamp": since,
        },
        "metadata": metadata(state, one),
        "homePageUrl": home,
        "statusPageUrl": status_page,
        "healthCheckUrl": health,
        "vipAddress": vips(one, false),
        "secureVipAddress": vips(one, true),
        "isCoordinatingDiscoveryServer": "false",
        "lastUpdatedTimestamp": updated.to_string(),
        "lastDirtyTimestamp": dirty.to_string(),
        "actionType": kind.name(),
    })
}

/// The status that somebody set, whatever the instance says.
fn overridden(one: &Registered) -> Status {
    match (&one.quarantined, &one.details.eureka) {
        (Some(_), _) => Status::OutOfService,
        (None, Some(info)) => info.overridden.unwrap_or(Status::Unknown),
        (None, None) => Status::Unknown,
    }
}

/// What it says, and what is known of it besides.
fn metadata(state: &State, one: &Registered) -> Map<String, Value> {
    let (who, text) = (&one.instance, |text: &str| Value::String(text.to_owned()));
    let mut all = Map::new();
    all.insert("brick.slot".to_owned(), Value::String(who.slot_name()));
    all.insert("version".to_owned(), text(who.version.as_str()));
    all.insert("zone".to_owned(), text(&who.zone));
    all.insert(
        "management.port".to_owned(),
        Value::String(who.addr.port().to_string()),
    );
    let spoken = match derive::protocol(state, &who.brick) {
        Protocol::Http1 => None,
        Protocol::H2c => Some("h2c"),
        Protocol::Tcp => Some("tcp"),
    };
    all.extend(spoken.map(|spoken| ("brick.protocol".to_owned(), text(spoken))));
    let said = one.details.metadata.iter();
    all.extend(said.map(|(key, value)| (key.clone(), text(value))));
    all
}

/// When it started: what its incarnation begins with (RFC 9562 §5.7).
fn born(one: &Registered) -> i64 {
    let text: String = one.instance.incarnation.to_string().replace('-', "");
    let first = text.get(..12).unwrap_or_default();
    i64::from_str_radix(first, 16).unwrap_or_default()
}

/// Applications, with what clients compare their copy with.
pub(super) fn applications(
    handle: &Handle,
    state: &State,
    version: i64,
    shown: impl Iterator<Item = (Kind, impl AsRef<Registered>)>,
) -> Value {
    let mut apps: BTreeMap<String, Vec<(String, Value)>> = BTreeMap::new();
    for (kind, one) in shown {
        let one = one.as_ref();
        let said = instance(handle, state, one, kind);
        apps.entry(app(one)).or_default().push((id(one), said));
    }
    let apps: Vec<Value> = apps
        .into_iter()
        .map(|(name, all)| application(&name, all))
        .collect();
    json!({ "versions__delta": version.to_string(), "apps__hashcode": hash_code(state), "application": apps })
}

/// One application, its instances by their names.
pub(super) fn application(name: &str, mut instances: Vec<(String, Value)>) -> Value {
    instances.sort_by(|(a, _), (b, _)| a.cmp(b));
    let instances: Vec<Value> = instances.into_iter().map(|(_, said)| said).collect();
    json!({ "name": name, "instance": instances })
}

/// How many instances have which status: `DOWN_1_UP_3_`.
fn hash_code(state: &State) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for one in state.instances.values() {
        *counts.entry(status(one).name()).or_default() += 1;
    }
    counts
        .into_iter()
        .map(|(status, count)| format!("{status}_{count}_"))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use brick_core::Incarnation;

    use super::*;
    use crate::state::tests::registered;

    #[test]
    fn what_is_out_of_its_pool_is_out_of_service_and_the_hash_code_counts_it() {
        let mut state = State::default();
        let edits: [fn(&mut Registered); 4] = [
            |_| {},
            |_| {},
            |one| one.ready = false,
            |one| one.quarantined = Some("why".to_owned()),
        ];
        for (slot, edit) in (1..).zip(edits) {
            let mut one = registered("order", slot, Incarnation::new());
            edit(&mut one);
            state.instances.insert(one.instance.incarnation, Arc::new(one));
        }
        assert_eq!(hash_code(&state), "DOWN_1_OUT_OF_SERVICE_1_UP_2_");
        assert_eq!(hash_code(&State::default()), "");
    }

    #[test]
    fn an_instance_of_the_agent_is_named_by_its_slot_and_dated_by_its_start() {
        let mut one = registered("payment", 2, Incarnation::new());
        let now = Timestamp::now().as_millisecond();
        assert!((now - born(&one)).abs() < 600_000);
        one.instance.concurrent = true;
        assert_eq!(
            (id(&one).as_str(), app(&one).as_str()),
            ("payment-v1-2", "PAYMENT")
        );
        one.details.outsider = Some("10.0.0.7:8080".to_owned());
        assert_eq!(id(&one), "10.0.0.7:8080");
    }
}
