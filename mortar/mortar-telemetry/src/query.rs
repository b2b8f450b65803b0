//! Query: from what the store gives to what the API answers. Knows nothing of how records are kept.

pub mod heatmap;
pub mod logs;
pub mod metrics;
pub mod trace;
pub mod traces;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::record::Attributes;

/// Values of one facet.
const FACET_VALUES_MAX: usize = 50;

/// Nanoseconds since 1970 as RFC 3339 in UTC with microseconds.
pub(crate) fn rfc3339(unix_ns: u64) -> String {
    let at = Timestamp::from_nanosecond(unix_ns.into()).unwrap_or_default();
    format!("{at:.6}")
}

pub(crate) fn attributes(from: &Attributes) -> BTreeMap<String, serde_json::Value> {
    from.iter()
        .map(|(key, value)| (key.clone(), value.to_json()))
        .collect()
}

/// Attributes as a JSON object, without a copy.
pub(crate) struct Fields<'a>(pub(crate) &'a Attributes);

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn times_are_written_in_utc_with_microseconds() {
        assert_eq!(
            super::rfc3339(1_700_000_000_123_456_789),
            "2023-11-14T22:13:20.123456Z"
        );
        assert_eq!(super::rfc3339(0), "1970-01-01T00:00:00.000000Z");
    }
}
