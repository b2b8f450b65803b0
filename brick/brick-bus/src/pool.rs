//! Which version of a brick a request goes to: `pools/<brick>`.

use std::collections::BTreeMap;

use brick_core::Version;
use serde::{Deserialize, Serialize};

/// Baggage key of the versions that a request keeps to on its later hops: `payment:v2;order:v3`.
pub const POOL_BAGGAGE: &str = "brick.pool";
/// Rules of one pool at most.
pub const RULES_MAX: usize = 32;
/// Buckets that keys are spread over.
pub const BUCKETS: u32 = 10_000;

/// Value of `pools/<brick>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// The version that has what the others leave; none is any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Version>,
    /// Looked at in order; the first that fits decides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
    /// Shares of versions beside the base, in buckets of 10,000.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub shares: BTreeMap<Version, u32>,
    /// What a share sticks to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sticky: Option<Sticky>,
    /// The version that gets copies of requests beside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<Mirror>,
}

/// A version that gets copies of requests; its answers are thrown away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mirror {
    /// The version.
    pub version: Version,
    /// Share of the requests that are copied, of 10,000.
    pub share: u32,
}

/// Requests that go to one version, whatever the shares are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// All of these hold.
    pub when: When,
    /// Where they go.
    pub to: Version,
}

/// What is asked of a request; all that is said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct When {
    /// A field with this value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<Named>,
    /// A cookie with this value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cookie: Option<Named>,
    /// The user, by the subject of their token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The tenant: baggage `tenant`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
}

/// A name with a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// The name.
    pub name: String,
    /// The value.
    pub value: String,
}

/// What a share sticks to: `user`, `tenant`, `header:NAME`, `cookie:NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Sticky {
    /// The user, by the subject of their token.
    User,
    /// The tenant: baggage `tenant`.
    Tenant,
    /// The value of a field.
    Header(String),
    /// The value of a cookie.
    Cookie(String),
}

/// The text is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected user, tenant, header:NAME or cookie:NAME, found \"{0}\"")]
pub struct InvalidSticky(String);

impl TryFrom<String> for Sticky {
    type Error = InvalidSticky;

    fn try_from(text: String) -> Result<Self, InvalidSticky> {
        match text.split_once(':') {
            None if text == "user" => Ok(Self::User),
            None if text == "tenant" => Ok(Self::Tenant),
            Some(("header", name)) if !name.is_empty() => Ok(Self::Header(name.to_ascii_lowercase())),
            Some(("cookie", name)) if !name.is_empty() => Ok(Self::Cookie(name.to_owned())),
            _ => Err(InvalidSticky(text.chars().take(80).collect())),
        }
    }
}

impl From<Sticky> for String {
    fn from(sticky: Sticky) -> Self {
        match sticky {
            Sticky::User => "user".to_owned(),
            Sticky::Tenant => "tenant".to_owned(),
            Sticky::Header(name) => format!("header:{name}"),
            Sticky::Cookie(name) => format!("cookie:{name}"),
        }
    }
}

impl Pool {
    /// The version of a bucket. Versions beside the base have the lowest, in order of their labels: one that grows takes
    /// from what the base had, and nobody goes back.
    pub fn of_bucket(&self, bucket: u32) -> Option<&Version> {
        let mut end = 0;
        for (version, share) in &self.shares {
            end += share;
            if bucket < end {
                return Some(version);
            }
        }
        self.base.as_ref()
    }

    /// What nobody could follow, by its place.
    pub fn check(&self) -> Result<(), String> {
        if self.rules.len() > RULES_MAX {
            return Err(format!(
                "rules: expected at most {RULES_MAX}, found {}",
                self.rules.len()
            ));
        }
        if let Some(at) = self.rules.iter().position(|rule| rule.when == When::default()) {
            return Err(format!(
                "rules.{at}.when: expected header, cookie, user or tenant"
            ));
        }
        let total: u64 = self.shares.values().map(|share| u64::from(*share)).sum();
        if total > u64::from(BUCKETS) {
            return Err(format!(
                "the shares of all versions: expected at most 100 %, found {} %",
                total as f64 / 100.0
            ));
        }
        Ok(())
    }
}

/// Where a key falls: FNV-1a over brick and key, its bits mixed (the finaliser of MurmurHash3), modulo 10,000. Stable
/// over processes, machines and releases.
pub fn bucket(brick: &str, key: &str) -> u32 {
    let bytes = brick.bytes().chain([0]).chain(key.bytes());
    let mut hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^= hash >> 33;
    (hash % u64::from(BUCKETS)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(shares: &[(&str, u32)]) -> Pool {
        let version = |label: &str| Version::new(label).unwrap();
        Pool {
            base: Some(version("v1")),
            rules: Vec::new(),
            shares: shares
                .iter()
                .map(|(label, share)| (version(label), *share))
                .collect(),
            sticky: Some(Sticky::User),
            mirror: None,
        }
    }

    #[test]
    fn a_canary_that_grows_moves_nobody_back() {
        let of = |share: u32, bucket: u32| pool(&[("v2", share)]).of_bucket(bucket).unwrap().to_string();
        for bucket in 0..BUCKETS {
            let steps = [0, 100, 500, 2_500, 10_000].map(|share| of(share, bucket));
            let moved = steps.windows(2).filter(|pair| pair[0] != pair[1]).count();
            assert!(moved <= 1, "{bucket}: {steps:?}");
            assert_eq!(steps[4], "v2");
        }
    }

    #[test]
    fn keys_are_spread_evenly_and_each_brick_spreads_them_anew() {
        let share = |brick: &str, below: u32| {
            let users = (0..20_000).map(|user| format!("user-{user}"));
            users.filter(|user| bucket(brick, user) < below).count() as f64 / 20_000.0
        };
        assert!(
            (0.09..0.11).contains(&share("payment", 1_000)),
            "{}",
            share("payment", 1_000)
        );
        let both = (0..20_000).map(|user| format!("user-{user}"));
        let both = both.filter(|user| bucket("payment", user) < 1_000 && bucket("order", user) < 1_000);
        assert!((100..320).contains(&both.count()));
        assert_eq!(bucket("payment", "customer-1"), bucket("payment", "customer-1"));
    }

    #[test]
    fn what_nobody_could_follow_is_refused() {
        assert!(
            pool(&[("v2", 6_000), ("v3", 5_000)])
                .check()
                .unwrap_err()
                .contains("110 %")
        );
        assert!(pool(&[("v2", 6_000), ("v3", 4_000)]).check().is_ok());
        let rule = Rule {
            when: When::default(),
            to: Version::new("v2").unwrap(),
        };
        let error = Pool {
            rules: vec![rule],
            ..pool(&[])
        }
        .check()
        .unwrap_err();
        assert!(error.starts_with("rules.0.when"), "{error}");
        for wrong in ["users", "header", "header:", "cookie:", ""] {
            assert!(Sticky::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
        assert_eq!(
            String::from(Sticky::try_from("header:X-Who".to_owned()).unwrap()),
            "header:x-who"
        );
    }
}
