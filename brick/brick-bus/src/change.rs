//! How changes travel: the kind as `event:`, the value as JSON in `data:`.

use serde::{Deserialize, Serialize};

use crate::{Change, Resource};

/// An event of the bus that is not what its kind promises.
#[derive(Debug, thiserror::Error)]
#[error("the data of a bus event \"{event}\" is not what was expected")]
pub struct DecodeError {
    event: &'static str,
    #[source]
    source: serde_json::Error,
}

#[derive(Serialize, Deserialize)]
struct SnapshotData {
    resources: Vec<Resource>,
}

#[derive(Serialize, Deserialize)]
struct DeleteData {
    name: String,
    revision: u64,
}

#[derive(Serialize, Deserialize)]
struct ResetData {
    reason: String,
}

impl Change {
    /// What stands in `event:`.
    pub fn event(&self) -> &'static str {
        match self {
            Self::Snapshot(_) => "snapshot",
            Self::Put(_) => "put",
            Self::Delete { .. } => "delete",
            Self::Reset { .. } => "reset",
        }
    }

    /// What stands in `data:`, one line of JSON.
    pub fn data(&self) -> Result<String, serde_json::Error> {
        match self {
            Self::Snapshot(resources) => {
                serde_json::to_string(&serde_json::json!({ "resources": resources }))
            }
            Self::Put(resource) => serde_json::to_string(resource),
            Self::Delete { name, revision } => serde_json::to_string(&DeleteData {
                name: name.clone(),
                revision: *revision,
            }),
            Self::Reset { reason } => serde_json::to_string(&ResetData {
                reason: reason.clone(),
            }),
        }
    }

    /// Reads an event. A kind that this version does not know gives none: a newer control may say more.
    pub fn decode(event: &str, data: &str) -> Result<Option<Self>, DecodeError> {
        fn read<'a, T: Deserialize<'a>>(event: &'static str, data: &'a str) -> Result<T, DecodeError> {
            serde_json::from_str(data).map_err(|source| DecodeError { event, source })
        }
        Ok(Some(match event {
            "snapshot" => Self::Snapshot(read::<SnapshotData>("snapshot", data)?.resources),
            "put" => Self::Put(read("put", data)?),
            "delete" => {
                let DeleteData { name, revision } = read("delete", data)?;
                Self::Delete { name, revision }
            }
            "reset" => Self::Reset {
                reason: read::<ResetData>("reset", data)?.reason,
            },
            _ => return Ok(None),
        }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn resource() -> impl Strategy<Value = Resource> {
        ("[a-z]{1,8}/[a-z>-]{1,8}", any::<u64>(), ".{0,20}").prop_map(|(name, revision, text)| Resource {
            name,
            revision,
            value: json!({ "text": text }),
        })
    }

    fn change() -> impl Strategy<Value = Change> {
        prop_oneof![
            proptest::collection::vec(resource(), 0..4).prop_map(Change::Snapshot),
            resource().prop_map(Change::Put),
            ("[a-z/]{1,9}", any::<u64>()).prop_map(|(name, revision)| Change::Delete { name, revision }),
            ".{0,20}".prop_map(|reason| Change::Reset { reason }),
        ]
    }

    proptest! {
        #[test]
        fn every_change_survives_the_wire(change in change()) {
            let data = change.data().unwrap();
            prop_assert!(!data.contains('\n'));
            prop_assert_eq!(Change::decode(change.event(), &data).unwrap(), Some(change));
        }

        #[test]
        fn foreign_data_is_refused_without_panic(event in "snapshot|put|delete|reset|other", data in ".{0,80}") {
            let _ = Change::decode(&event, &data);
        }
    }

    #[test]
    fn a_kind_of_a_newer_control_is_passed_over() {
        assert!(Change::decode("prepare", "{}").unwrap().is_none());
        assert!(Change::decode("put", "{}").is_err());
    }
}
