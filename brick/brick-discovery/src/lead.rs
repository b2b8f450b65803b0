//! Concurrent versions: which version of a brick a request goes to, and how it keeps to that on its later hops.
//!
//! One implementation for whoever calls: the SDK's client, the host proxy and the gateway hand in the request's fields
//! as the callee is to get them. What a request was given travels in its baggage (`brick.pool`), which counts inside
//! the system alone; a caller follows it where an instance of that version is up, else picks by `pools/<brick>` and
//! writes down what it picked.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use brick_bus::pool::{POOL_BAGGAGE, Sticky, When, bucket};
use brick_bus::{Pool, Watch};
use brick_core::{Incarnation, Version};
use brick_telemetry::context::Baggage;
use http::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderName, HeaderValue};
use rand::RngExt as _;
use serde::Deserialize;

use crate::Balancer;

const BAGGAGE: HeaderName = HeaderName::from_static("baggage");
/// Baggage key of the tenant.
const TENANT: &str = "tenant";
/// Versions that travel with a request at most.
const TRAVELLING_MAX: usize = 32;
/// What the names of rules begin with.
const POOLS: &str = "pools/";

/// Which instances of a brick a request may go to, and what decides among them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lead {
    pub(crate) to: To,
    /// Hash of what the request has of the balancer's key.
    pub(crate) key: Option<u64>,
    /// Whether it is a copy: it goes to its version or nowhere, and what comes of it says nothing of an instance.
    pub(crate) aside: bool,
}

/// Which instances of a brick a request may go to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum To {
    /// Any.
    #[default]
    Any,
    /// Those of one version, as long as one is up.
    Version(Version),
    /// One by its own name, even where it is quarantined.
    Instance(Incarnation),
    /// None: there is no instance of that name.
    Nobody,
}

/// Every pool that has rules, for the edge, which sees more of a request than those behind it: it picks for all of them.
#[derive(Debug, Clone)]
pub struct Pools(Watch);

/// The fields of a request, as rules look at them.
struct Facts<'h> {
    headers: &'h HeaderMap,
    baggage: Baggage,
}

impl Lead {
    /// To any instance.
    pub fn any() -> Self {
        Self::default()
    }

    /// Whether it says nothing of a version or an instance.
    pub fn is_any(&self) -> bool {
        self.to == To::Any
    }

    /// Whether it leads to no instance at all.
    pub fn is_nobody(&self) -> bool {
        self.to == To::Nobody
    }
}

impl From<To> for Lead {
    fn from(to: To) -> Self {
        Self {
            to,
            ..Self::default()
        }
    }
}

impl Balancer {
    /// Where a request with these fields goes, which are changed to say what was picked. Nearly nothing where no pool
    /// has rules and nothing travels.
    pub fn lead(&self, headers: &mut HeaderMap) -> Lead {
        let key = self.policy_key(|sticky| Facts::of(headers).key(sticky));
        let to = self.lead_to(headers);
        Lead {
            to,
            key,
            aside: false,
        }
    }

    fn lead_to(&self, headers: &mut HeaderMap) -> To {
        let pool = self.pool();
        if pool.is_none() && !travels(headers) {
            return To::Any;
        }
        let mut facts = Facts::of(headers);
        let travelling = travelling(&facts.baggage, self.brick()).filter(|version| self.is_up(version));
        if let Some(version) = travelling {
            return To::Version(version);
        }
        let Some(pool) = pool else { return To::Any };
        let decided = facts.decide(&pool, self.brick()).cloned();
        let picked = decided.or_else(|| {
            let bucket = rand::rng().random_range(0..brick_bus::pool::BUCKETS);
            pool.of_bucket(bucket).cloned()
        });
        let Some(version) = picked else { return To::Any };
        if facts.keep(&[(self.brick(), &version)]) {
            let baggage = facts.baggage;
            say(headers, &baggage);
        }
        To::Version(version)
    }
}

impl Pools {
    /// Follows `pools/*` of this watch.
    pub fn new(watch: Watch) -> Self {
        Self(watch)
    }

    /// Writes into the request's baggage where its user, tenant, fields and cookies lead it, for every pool of which they
    /// say something.
    pub fn decide(&self, headers: &mut HeaderMap) {
        let state = self.0.state();
        let named = state.resources.range(POOLS.to_owned()..);
        let mut named = named
            .map_while(|(name, resource)| Some((name.strip_prefix(POOLS)?, resource)))
            .peekable();
        if named.peek().is_none() {
            return;
        }
        let mut facts = Facts::of(headers);
        let pools =
            named.filter_map(|(brick, resource)| Some((brick, Pool::deserialize(&resource.value).ok()?)));
        let pools: Vec<(&str, Pool)> = pools.collect();
        let decided = pools
            .iter()
            .filter_map(|(brick, pool)| Some((*brick, facts.decide(pool, brick)?)));
        let decided: Vec<(&str, &Version)> = decided.collect();
        if facts.keep(&decided) {
            let baggage = facts.baggage;
            say(headers, &baggage);
        }
    }
}

impl<'h> Facts<'h> {
    fn of(headers: &'h HeaderMap) -> Self {
        let values = headers.get_all(BAGGAGE).iter();
        let texts: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
        Self {
            headers,
            baggage: Baggage::parse(&texts.join(",")),
        }
    }

    /// What the pool says of a request like this; none where chance decides.
    fn decide<'p>(&self, pool: &'p Pool, brick: &str) -> Option<&'p Version> {
        if let Some(rule) = pool.rules.iter().find(|rule| self.fits(&rule.when)) {
            return Some(&rule.to);
        }
        let key = self.key(pool.sticky.as_ref()?)?;
        pool.of_bucket(bucket(brick, &key))
    }

    fn fits(&self, when: &When) -> bool {
        let same = |wanted: &Option<String>, found: &dyn Fn() -> Option<String>| {
            wanted
                .as_ref()
                .is_none_or(|wanted| found().as_ref() == Some(wanted))
        };
        let header = |name: &str| self.header(name);
        let cookie = |name: &str| self.cookie(name);
        when.header
            .as_ref()
            .is_none_or(|named| header(&named.name).as_ref() == Some(&named.value))
            && when
                .cookie
                .as_ref()
                .is_none_or(|named| cookie(&named.name).as_ref() == Some(&named.value))
            && same(&when.user, &|| self.user())
            && same(&when.tenant, &|| self.tenant())
    }

    fn key(&self, sticky: &Sticky) -> Option<String> {
        match sticky {
            Sticky::User => self.user(),
            Sticky::Tenant => self.tenant(),
            Sticky::Header(name) => self.header(name),
            Sticky::Cookie(name) => self.cookie(name),
        }
    }

    fn header(&self, name: &str) -> Option<String> {
        let value = self.headers.get(name)?.to_str().ok()?;
        Some(value.to_owned())
    }

    fn cookie(&self, name: &str) -> Option<String> {
        let values = self.headers.get_all(COOKIE).iter();
        let pairs = values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|text| text.split(';'));
        let mut pairs = pairs.filter_map(|pair| pair.trim().split_once('='));
        pairs
            .find(|(found, _)| *found == name)
            .map(|(_, value)| value.to_owned())
    }

    fn tenant(&self) -> Option<String> {
        self.baggage.get(TENANT).map(str::to_owned)
    }

    /// The subject of the user's token. Not verified here: it picks a version and opens nothing.
    fn user(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Subject {
            sub: String,
        }
        let token = self
            .headers
            .get(AUTHORIZATION)?
            .to_str()
            .ok()?
            .strip_prefix("Bearer ")?;
        let claims = token.split('.').nth(1)?;
        let claims = URL_SAFE_NO_PAD.decode(claims).ok()?;
        let Subject { sub } = serde_json::from_slice(&claims).ok()?;
        Some(sub)
    }

    /// Adds what was picked to what travels; whether that changed anything.
    fn keep(&mut self, picked: &[(&str, &Version)]) -> bool {
        let held = self.baggage.get(POOL_BAGGAGE).unwrap_or_default().to_owned();
        let mut pairs: Vec<(&str, String)> = pairs(&held)
            .map(|(brick, label)| (brick, label.to_owned()))
            .collect();
        for (brick, version) in picked {
            pairs.retain(|(held, _)| held != brick);
            pairs.push((brick, version.to_string()));
        }
        let skip = pairs.len().saturating_sub(TRAVELLING_MAX);
        let told: Vec<String> = pairs
            .iter()
            .skip(skip)
            .map(|(brick, label)| format!("{brick}:{label}"))
            .collect();
        let told = told.join(";");
        told != held && self.baggage.set(POOL_BAGGAGE, &told)
    }
}

/// Has a version of a brick travel with a request.
pub(crate) fn keep(headers: &mut HeaderMap, brick: &str, version: &Version) {
    let mut facts = Facts::of(headers);
    if facts.keep(&[(brick, version)]) {
        let baggage = facts.baggage;
        say(headers, &baggage);
    }
}

/// Whether a version may travel with the request; a look at the bytes, before anything is parsed.
fn travels(headers: &HeaderMap) -> bool {
    let needle = POOL_BAGGAGE.as_bytes();
    let mut values = headers.get_all(BAGGAGE).iter();
    values.any(|value| {
        value
            .as_bytes()
            .windows(needle.len())
            .any(|window| window == needle)
    })
}

/// The version of the brick that travels with a request.
fn travelling(baggage: &Baggage, brick: &str) -> Option<Version> {
    let (_, label) = pairs(baggage.get(POOL_BAGGAGE)?).find(|(held, _)| *held == brick)?;
    Version::new(label).ok()
}

fn pairs(list: &str) -> impl Iterator<Item = (&str, &str)> {
    list.split(';')
        .filter_map(|pair| pair.split_once(':'))
        .take(TRAVELLING_MAX)
}

fn say(headers: &mut HeaderMap, baggage: &Baggage) {
    if let Ok(value) = HeaderValue::try_from(baggage.to_header()) {
        headers.insert(BAGGAGE, value);
    }
}

#[cfg(test)]
mod tests;
