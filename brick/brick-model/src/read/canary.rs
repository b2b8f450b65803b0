//! `[canary.default]` and `[canary.BRICK]`.

use std::collections::BTreeMap;

use toml::de::DeValue;

use super::{Item, Reader};
use crate::model::Canary;

const KEYS: [&str; 5] = ["steps", "hold", "error_rate", "p99_times", "min_calls"];

pub(super) fn all(reader: &mut Reader, item: &Item<'_>) -> BTreeMap<String, Canary> {
    let mut canaries = BTreeMap::new();
    let Some(table) = reader.free_table(item) else {
        return canaries;
    };
    for item in table.items() {
        if let Some(canary) = canary(reader, &item) {
            canaries.insert(item.name.to_owned(), canary);
        }
    }
    canaries
}

fn canary(reader: &mut Reader, item: &Item<'_>) -> Option<Canary> {
    let table = reader.table(item, &KEYS)?;
    let canary = Canary {
        steps: table.get("steps").and_then(|item| steps(reader, &item)),
        hold: table.get("hold").and_then(|item| reader.parsed(&item)),
        error_rate: table
            .get("error_rate")
            .and_then(|item| reader.decimal(&item, "a share from 0 to below 1")),
        p99_times: table
            .get("p99_times")
            .and_then(|item| reader.decimal(&item, "a number from 1 to 100")),
        min_calls: table.get("min_calls").and_then(|item| {
            let calls = reader.integer(&item, Canary::MIN_CALLS)?;
            u32::try_from(calls).ok()
        }),
    };
    for (key, why) in canary.problems() {
        if let Some(item) = table.get(key) {
            reader.bad_value(&item, why);
        }
    }
    Some(canary)
}

/// The shares; none where one of them is no share, which is told.
fn steps(reader: &mut Reader, item: &Item<'_>) -> Option<Vec<u32>> {
    const EXPECTED: &str = "a list of shares in percent";
    if !matches!(item.value.get_ref(), DeValue::Array(_)) {
        return reader.wrong_type(item, EXPECTED);
    }
    let items = reader.list(item, EXPECTED);
    let shares: Vec<Option<u32>> = items
        .iter()
        .map(|item| u32::try_from(reader.integer(item, 1..=100)?).ok())
        .collect();
    shares.into_iter().collect()
}
