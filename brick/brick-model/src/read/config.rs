//! `[config.BRICK]` and `[flag.NAME]`.

use std::collections::BTreeMap;

use brick_core::BrickName;
use brick_flags::State;
use serde_json::{Map, Number, Value};
use toml::de::{DeInteger, DeTable, DeValue};

use super::{Item, Reader, Table, brick, short};
use crate::model::{Flag, FlagDefault};

pub(super) fn all(reader: &mut Reader, item: &Item<'_>) -> BTreeMap<BrickName, Map<String, Value>> {
    let mut config = BTreeMap::new();
    let Some(table) = reader.free_table(item) else {
        return config;
    };
    for item in table.items() {
        let Some(values) = reader.free_table(&item) else {
            continue;
        };
        let values = object(reader, &values);
        match BrickName::new(item.name) {
            Ok(name) => drop(config.insert(name, values)),
            Err(error) => reader.problem("bad-name", &item.key, format!("name of a brick: {error}")),
        }
    }
    config
}

fn object(reader: &mut Reader, table: &Table<'_>) -> Map<String, Value> {
    let mut object = Map::new();
    for item in table.items() {
        let first = |b: u8| b.is_ascii_alphabetic() || b == b'_';
        let good = item.name.bytes().next().is_some_and(first)
            && item
                .name
                .bytes()
                .all(|b| first(b) || b.is_ascii_digit() || b == b'-');
        if !good {
            let message = format!(
                "expected letters, digits, hyphens and underscores as name of a value, found \"{}\"",
                short(item.name)
            );
            reader.problem("bad-name", &item.key, message);
        }
        reader.note(&item);
        let value = match item.value.get_ref() {
            DeValue::Table(entries) => {
                let table = sub_table(reader, &item, entries);
                Some(Value::Object(self::object(reader, &table)))
            }
            _ => value(reader, &item),
        };
        object.extend(value.map(|value| (item.name.to_owned(), value)));
    }
    object
}

fn sub_table<'t>(reader: &Reader, item: &Item<'t>, entries: &'t DeTable<'t>) -> Table<'t> {
    Table {
        path: item.path.clone(),
        place: reader.places.value(&item.path),
        entries,
    }
}

pub(super) fn value(reader: &mut Reader, item: &Item<'_>) -> Option<Value> {
    match item.value.get_ref() {
        DeValue::String(text) if text.contains('\0') => {
            reader.bad_value(item, "a value cannot hold a NUL");
            None
        }
        DeValue::String(text) => Some(Value::String(text.to_string())),
        DeValue::Integer(integer) => number(integer).or_else(|| {
            reader.bad_value(
                item,
                format!("{} does not fit 64 bits", short(&integer.to_string())),
            );
            None
        }),
        DeValue::Float(float) => {
            let number = float.as_str().parse().ok().and_then(Number::from_f64);
            if number.is_none() {
                let why = format!("expected a finite number, found {}", short(float.as_str()));
                reader.bad_value(item, why);
            }
            number.map(Value::Number)
        }
        DeValue::Boolean(value) => Some(Value::Bool(*value)),
        DeValue::Datetime(time) => Some(Value::String(time.to_string())),
        DeValue::Array(_) => {
            let items = reader.list(item, "a list");
            Some(Value::Array(
                items.iter().filter_map(|item| value(reader, item)).collect(),
            ))
        }
        DeValue::Table(entries) => {
            let table = sub_table(reader, item, entries);
            Some(Value::Object(object(reader, &table)))
        }
    }
}

fn number(integer: &DeInteger<'_>) -> Option<Value> {
    let (text, radix) = (integer.as_str(), integer.radix());
    let signed = i64::from_str_radix(text, radix).ok().map(Number::from);
    let unsigned = || u64::from_str_radix(text, radix).ok().map(Number::from);
    signed.or_else(unsigned).map(Value::Number)
}

pub(super) fn flags(reader: &mut Reader, item: &Item<'_>) -> BTreeMap<String, Flag> {
    let mut flags = BTreeMap::new();
    let Some(table) = reader.free_table(item) else {
        return flags;
    };
    for item in table.items() {
        if let Some(flag) = flag(reader, &item) {
            flags.insert(item.name.to_owned(), flag);
        }
    }
    flags
}

fn flag(reader: &mut Reader, item: &Item<'_>) -> Option<Flag> {
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    if !item.name.starts_with(|c: char| c.is_ascii_lowercase()) || !item.name.bytes().all(word) {
        let message = format!(
            "expected lower-case letters, digits and underscores as name of a flag, found \"{}\"",
            short(item.name)
        );
        reader.problem("bad-name", &item.key, message);
    }
    let table = reader.table(item, &["default", "state", "variants", "targeting", "bricks"])?;
    let default = match table.get("default") {
        Some(item) => default_variant(reader, &item),
        None => {
            reader.missing(&table, "default", "add default = false, or the name of a variant");
            None
        }
    };
    let state = table.get("state").and_then(|item| state(reader, &item));
    let variants = table.get("variants").and_then(|item| {
        reader.free_table(&item)?;
        logic(reader, &item).and_then(|value| value.as_object().cloned())
    });
    let targeting = table.get("targeting").and_then(|item| {
        reader.note(&item);
        logic(reader, &item)
    });
    let bricks = match table.get("bricks") {
        Some(item) => brick::names(reader, &item),
        None => {
            reader.missing(
                &table,
                "bricks",
                "add bricks = [\"…\"], the bricks that see the flag",
            );
            Vec::new()
        }
    };
    Some(Flag {
        default: default.unwrap_or(FlagDefault::Switch(false)),
        state: state.unwrap_or_default(),
        variants: variants.unwrap_or_default(),
        targeting,
        bricks,
    })
}

fn default_variant(reader: &mut Reader, item: &Item<'_>) -> Option<FlagDefault> {
    reader.note(item);
    match item.value.get_ref() {
        DeValue::Boolean(on) => Some(FlagDefault::Switch(*on)),
        DeValue::String(name) => Some(FlagDefault::Variant(name.to_string())),
        _ => reader.wrong_type(item, "true, false or the name of a variant"),
    }
}

fn state(reader: &mut Reader, item: &Item<'_>) -> Option<State> {
    match reader.text(item)? {
        "ENABLED" => Some(State::Enabled),
        "DISABLED" => Some(State::Disabled),
        other => {
            let why = format!("expected \"ENABLED\" or \"DISABLED\", found \"{}\"", short(other));
            reader.bad_value(item, why);
            None
        }
    }
}

/// A value with whatever names operators have.
fn logic(reader: &mut Reader, item: &Item<'_>) -> Option<Value> {
    match item.value.get_ref() {
        DeValue::Table(entries) => {
            let table = sub_table(reader, item, entries);
            let each = table.items();
            let each = each.filter_map(|item| Some((item.name.to_owned(), logic(reader, &item)?)));
            Some(Value::Object(each.collect()))
        }
        DeValue::Array(_) => {
            let items = reader.list(item, "a list");
            let each = items.iter().filter_map(|item| logic(reader, item));
            Some(Value::Array(each.collect()))
        }
        _ => value(reader, item),
    }
}
