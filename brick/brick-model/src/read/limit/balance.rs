//! `balance` of `[limits.*]`.

use toml::de::DeValue;

use super::{MANY, number, share, switch, time};
use crate::model::{Balance, Eject};
use crate::read::{Item, Reader, short};

const KEYS: [&str; 7] = [
    "by",
    "key",
    "load_bound",
    "zone_aware",
    "slow_start",
    "eject",
    "panic",
];
const BY: [&str; 4] = ["peak-ewma", "round-robin", "weighted", "consistent-hash"];
const HASHES: &str = "consistent-hash";

/// A word, or a table.
pub(super) fn read(reader: &mut Reader, item: &Item<'_>) -> Option<Balance> {
    if matches!(item.value.get_ref(), DeValue::String(_)) {
        let by = by(reader, item)?;
        if by == HASHES {
            let message =
                format!("expected {{ by = \"{HASHES}\", key = \"user\" }}: what is hashed has to be said");
            reader.bad_value(item, message);
            return None;
        }
        return Some(Balance {
            by: Some(by),
            ..Balance::default()
        });
    }
    let table = reader.table(item, &KEYS)?;
    let balance = Balance {
        by: table.get("by").and_then(|item| by(reader, &item)),
        key: table.get("key").and_then(|item| key(reader, &item)),
        load_bound: table.get("load_bound").and_then(|item| bound(reader, &item)),
        zone_aware: table.get("zone_aware").and_then(|item| reader.boolean(&item)),
        slow_start: time(reader, &table, "slow_start"),
        eject: switch(reader, &table, "eject", eject),
        panic: share(reader, &table, "panic"),
    };
    if balance.by.as_deref() == Some(HASHES) && table.get("key").is_none() {
        reader.missing(&table, "key", "add key = \"user\", what of a request is hashed");
    }
    Some(balance)
}

fn by(reader: &mut Reader, item: &Item<'_>) -> Option<String> {
    let text = reader.text(item)?;
    if BY.contains(&text) {
        return Some(text.to_owned());
    }
    let message = format!("expected one of {}, found \"{}\"", BY.join(", "), short(text));
    reader.bad_value(item, message);
    None
}

fn key(reader: &mut Reader, item: &Item<'_>) -> Option<String> {
    let text = reader.text(item)?;
    let named = |kind| text.strip_prefix(kind).is_some_and(|name: &str| !name.is_empty());
    if matches!(text, "user" | "tenant") || named("header:") || named("cookie:") {
        return Some(text.to_owned());
    }
    let message = format!(
        "expected user, tenant, header:NAME or cookie:NAME, found \"{}\"",
        short(text)
    );
    reader.bad_value(item, message);
    None
}

/// A number from 1 to 100.
fn bound(reader: &mut Reader, item: &Item<'_>) -> Option<f64> {
    reader.note(item);
    let value = match item.value.get_ref() {
        DeValue::Float(float) => float.as_str().parse::<f64>().ok(),
        DeValue::Integer(integer) => integer.as_str().parse::<f64>().ok(),
        _ => return reader.wrong_type(item, "a number from 1 to 100"),
    };
    let fits = value.filter(|value| (1.0..=100.0).contains(value));
    if fits.is_none() {
        reader.bad_value(item, "expected a number from 1 to 100");
    }
    fits
}

fn eject(reader: &mut Reader, item: &Item<'_>) -> Option<Eject> {
    let table = reader.table(item, &["failures", "for", "max_share"])?;
    Some(Eject {
        failures: number(reader, &table, "failures", 1, MANY),
        lasts: time(reader, &table, "for"),
        max_share: share(reader, &table, "max_share"),
    })
}
