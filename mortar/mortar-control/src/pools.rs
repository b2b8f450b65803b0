//! The route manager: what operators want of concurrent versions, and what is published of it as `pools/<brick>`.

use std::collections::BTreeMap;

use brick_bus::Pool;
use brick_bus::pool::{BUCKETS, Mirror, Rule, Sticky};
use brick_core::Version;
use brick_model::Model;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::state::State;
use crate::{Error, derive};

/// What the names of settings and resources begin with.
pub(crate) const POOLS: &str = "pools/";

/// What an operator wants of a brick's versions; kept as it was said.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// `{when:{header?:{name, value}, cookie?:{name, value}, user?, tenant?}, to}` each; the first that fits decides.
    #[serde(default)]
    pub(crate) rules: Vec<Value>,
    /// Parts by version. The base has what the others leave of 100, unless it has a part of its own.
    #[serde(default)]
    pub(crate) weights: BTreeMap<Version, u32>,
    /// `user`, `tenant`, `header:NAME` or `cookie:NAME`: what is alike in it stays with one version; none is chance.
    #[serde(default)]
    pub(crate) sticky: Option<String>,
    /// The version that gets copies of requests beside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mirror: Option<Mirrored>,
}

/// A version that gets copies of requests that change nothing; its answers are thrown away.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mirrored {
    /// The version.
    pub(crate) version: Version,
    /// How many of a hundred requests are copied, 1 to 100.
    pub(crate) percent: u32,
}

impl Wanted {
    /// As it is published; what cannot be followed is told by its place.
    pub(crate) fn pool(&self, base: &Version) -> Result<Pool, String> {
        let rules = self
            .rules
            .iter()
            .enumerate()
            .map(|(at, rule)| Rule::deserialize(rule).map_err(|error| format!("rules.{at}: {error}")));
        let sticky = self.sticky.clone().map(Sticky::try_from).transpose();
        let total: u64 = self.weights.values().map(|weight| u64::from(*weight)).sum();
        let whole = match self.weights.contains_key(base) {
            true => total,
            false => 100,
        };
        if total > whole || (whole == 0 && !self.weights.is_empty()) {
            return Err(format!(
                "weights: expected at least 1 and at most 100 in all where {base} has none, found {total}"
            ));
        }
        let mirror = self.mirror.as_ref().map(|wanted| match wanted.percent {
            1..=100 => Ok(Mirror {
                version: wanted.version.clone(),
                share: wanted.percent * BUCKETS / 100,
            }),
            found => Err(format!("mirror.percent: expected 1 to 100, found {found}")),
        });
        let shares = self.weights.iter().filter(|(version, _)| *version != base);
        let shares = shares.map(|(version, weight)| {
            let share = u64::from(*weight) * u64::from(BUCKETS) / whole;
            (version.clone(), share as u32)
        });
        let pool = Pool {
            base: Some(base.clone()),
            rules: rules.collect::<Result<_, _>>()?,
            shares: shares.filter(|(_, share)| *share > 0).collect(),
            sticky: sticky.map_err(|error| format!("sticky: {error}"))?,
            mirror: mirror.transpose()?,
        };
        pool.check()?;
        Ok(pool)
    }
}

/// Every pool that operators say something of.
pub(crate) fn resources(state: &State, model: &Model) -> Result<Vec<(String, Value)>, Error> {
    let mut all = Vec::new();
    for (brick, wanted) in state.settings_below(POOLS) {
        let Some(base) = base(model, brick) else { continue };
        // What was taken once is followed as long as the manifest lets it be.
        let pool = Wanted::deserialize(&**wanted)
            .ok()
            .and_then(|wanted| wanted.pool(&base).ok());
        if let Some(pool) = pool {
            all.push((format!("{POOLS}{brick}"), derive::value(&pool)?));
        }
    }
    Ok(all)
}

/// Label of a brick's base.
pub(crate) fn base(model: &Model, brick: &str) -> Option<Version> {
    let mut running = model.running();
    let (_, brick) = running.find(|(name, _)| name.as_str() == brick)?;
    Some(brick.version.base.clone())
}

/// How many of 10,000 keys change their version, by where from and where to.
pub(crate) fn moved(before: Option<&Pool>, after: &Pool) -> BTreeMap<String, u32> {
    let mut moved = BTreeMap::new();
    for bucket in 0..BUCKETS {
        let to = after.of_bucket(bucket);
        let from = before.map_or(after.base.as_ref(), |pool| pool.of_bucket(bucket));
        if let (Some(from), Some(to)) = (from, to)
            && from != to
        {
            *moved.entry(format!("{from}->{to}")).or_insert(0) += 1;
        }
    }
    moved
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shares(wanted: Value) -> Result<Vec<(String, u32)>, String> {
        let wanted: Wanted = serde_json::from_value(wanted).unwrap();
        let pool = wanted.pool(&Version::new("v1").unwrap())?;
        let shares = pool
            .shares
            .iter()
            .map(|(version, share)| (version.to_string(), *share));
        Ok(shares.collect())
    }

    #[test]
    fn parts_become_shares_of_ten_thousand() {
        let of = |label: &str, share| vec![(label.to_owned(), share)];
        assert_eq!(shares(json!({ "weights": { "v2": 10 } })), Ok(of("v2", 1_000)));
        assert_eq!(
            shares(json!({ "weights": { "v1": 1, "v2": 3 } })),
            Ok(of("v2", 7_500))
        );
        assert_eq!(
            shares(json!({ "weights": { "v1": 0, "v2": 1 } })),
            Ok(of("v2", 10_000))
        );
        assert_eq!(shares(json!({ "weights": { "v2": 0 } })), Ok(vec![]));
        assert!(shares(json!({ "weights": { "v2": 101 } })).is_err());
        assert!(shares(json!({ "weights": { "v1": 0 } })).is_err());
        let copies = |percent| json!({ "mirror": { "version": "v2", "percent": percent } });
        assert_eq!(shares(copies(5)), Ok(vec![]));
        assert!(
            shares(copies(0))
                .unwrap_err()
                .starts_with("mirror.percent: expected 1 to 100")
        );
        assert!(
            shares(json!({ "sticky": "moon" }))
                .unwrap_err()
                .starts_with("sticky: expected user")
        );
        let rule = json!({ "when": { "moon": 1 }, "to": "v2" });
        assert!(
            shares(json!({ "rules": [rule] }))
                .unwrap_err()
                .starts_with("rules.0: unknown field")
        );
    }

    #[test]
    fn a_dry_run_counts_who_would_move() {
        let pool = |wanted: Value| {
            let wanted: Wanted = serde_json::from_value(wanted).unwrap();
            wanted.pool(&Version::new("v1").unwrap()).unwrap()
        };
        let (ten, five) = (
            pool(json!({ "weights": { "v2": 10 } })),
            pool(json!({ "weights": { "v2": 5 } })),
        );
        assert_eq!(moved(None, &ten), BTreeMap::from([("v1->v2".to_owned(), 1_000)]));
        assert_eq!(
            moved(Some(&ten), &five),
            BTreeMap::from([("v2->v1".to_owned(), 500)])
        );
        assert!(moved(Some(&ten), &ten).is_empty());
    }
}
