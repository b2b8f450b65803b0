//! `brick.NAME.replicas`: a number, or a table of bounds.

use brick_core::duration::Span;
use toml::de::DeValue;

use super::super::{Item, Reader};
use super::{HOUR, REPLICAS_MAX};
use crate::model::{Elastic, Replicas};

const KEYS: [&str; 5] = ["min", "max", "target_rps", "up_after", "down_after"];
const RPS_MAX: i64 = 1_000_000;

pub(super) fn read(reader: &mut Reader, item: &Item<'_>) -> Option<Replicas> {
    match item.value.get_ref() {
        DeValue::Integer(_) => {
            let number = reader.integer(item, 1..=REPLICAS_MAX)?;
            return Some(Replicas::Fixed(u32::try_from(number).unwrap_or(1)));
        }
        DeValue::Table(_) => {}
        _ => {
            let expected =
                format!("an integer from 1 to {REPLICAS_MAX}, or a table of min, max and target_rps");
            return reader.wrong_type(item, &expected);
        }
    }
    let table = reader.table(item, &KEYS)?;
    let mut number = |key: &str, most: i64, hint: &str| {
        let Some(item) = table.get(key) else {
            reader.missing(&table, key, hint);
            return None;
        };
        let number = reader.integer(&item, 1..=most)?;
        u32::try_from(number).ok()
    };
    let min = number("min", REPLICAS_MAX, "add min = 1, the instances that always run");
    let max = number("max", REPLICAS_MAX, "add max = 4, the most instances");
    let rps_hint = "add target_rps = 50, the requests a second that one instance is to have";
    let target_rps = number("target_rps", RPS_MAX, rps_hint);
    let mut elastic = Elastic::new(min?, max?, target_rps?);
    for (key, time) in [
        ("up_after", &mut elastic.up_after),
        ("down_after", &mut elastic.down_after),
    ] {
        if let Some(item) = table.get(key)
            && let Some(given) = reader.within(&item, Span::from_secs(1)..=HOUR)
        {
            *time = given;
        }
    }
    if elastic.max < elastic.min
        && let Some(item) = table.get("max")
    {
        let why = format!(
            "expected at least min, which is {}, found {}",
            elastic.min, elastic.max
        );
        reader.bad_value(&item, why);
    }
    Some(Replicas::Elastic(elastic))
}
