//! `[limits.*]` and `[serve.*]`.

use std::collections::BTreeMap;

use brick_core::BrickName;
use brick_core::duration::Span;
use toml::de::DeValue;

use super::{Item, Reader, Table, short};
use crate::link::LimitKey;
use crate::model::{
    Breaker, CallRate, Concurrency, Fallback, Hedge, Limit, Retry, Serve, Shed, Stale, Switch,
};

mod balance;

const KEYS: [&str; 9] = [
    "timeout",
    "try_timeout",
    "retry",
    "hedge",
    "concurrency",
    "breaker",
    "rate",
    "fallback",
    "balance",
];
const RETRY_ON: [&str; 5] = ["connect", "reset", "timeout", "gateway", "5xx"];
const TIME_MIN: Span = Span::from_millis(1);
const TIME_MAX: Span = Span::from_secs(3_600);
const MANY: i64 = 1_000_000;

pub(super) fn all(reader: &mut Reader, item: &Item<'_>) -> BTreeMap<LimitKey, Limit> {
    let mut limits = BTreeMap::new();
    let Some(table) = reader.free_table(item) else {
        return limits;
    };
    for item in table.items() {
        let key = item.name.parse::<LimitKey>();
        if let Err(error) = &key {
            reader.problem("bad-name", &item.key, format!("name of a limit: {error}"));
        }
        let Some(table) = reader.table(&item, &KEYS) else {
            continue;
        };
        let limit = limit(reader, &table);
        if table.items().next().is_none() {
            reader.missing(
                &table,
                "timeout",
                "add timeout = \"1s\", the time limit of one call",
            );
        }
        if let Ok(key) = key
            && limits.insert(key, limit).is_some()
        {
            let message = format!("the limit \"{}\" is given twice", short(item.name));
            reader.problem("duplicate", &item.key, message);
        }
    }
    limits
}

pub(super) fn serves(reader: &mut Reader, item: &Item<'_>) -> BTreeMap<BrickName, Serve> {
    let mut serves = BTreeMap::new();
    let Some(table) = reader.free_table(item) else {
        return serves;
    };
    for item in table.items() {
        let Some(table) = reader.table(&item, &["shed", "concurrency"]) else {
            continue;
        };
        let mut serve = Serve {
            concurrency: number(reader, &table, "concurrency", 1, MANY),
            shed: None,
        };
        if let Some(item) = table.get("shed")
            && let Some(table) = reader.table(&item, &["target", "interval"])
        {
            serve.shed = Some(Shed {
                target: time(reader, &table, "target"),
                interval: time(reader, &table, "interval"),
            });
        }
        match item.name.parse() {
            Ok(name) => drop(serves.insert(name, serve)),
            Err(error) => reader.problem("bad-name", &item.key, format!("name of a brick: {error}")),
        }
    }
    serves
}

fn limit(reader: &mut Reader, table: &Table<'_>) -> Limit {
    Limit {
        timeout: time(reader, table, "timeout"),
        try_timeout: time(reader, table, "try_timeout"),
        retry: switch(reader, table, "retry", retry),
        hedge: switch(reader, table, "hedge", hedge),
        concurrency: table
            .get("concurrency")
            .and_then(|item| concurrency(reader, &item)),
        breaker: switch(reader, table, "breaker", breaker),
        rate: switch(reader, table, "rate", rate),
        fallback: table.get("fallback").and_then(|item| fallback(reader, &item)),
        balance: table.get("balance").and_then(|item| balance::read(reader, &item)),
    }
}

/// `false`, or what the reader makes of it.
fn switch<T>(
    reader: &mut Reader,
    table: &Table<'_>,
    key: &str,
    read: impl FnOnce(&mut Reader, &Item<'_>) -> Option<T>,
) -> Option<Switch<T>> {
    let item = table.get(key)?;
    if matches!(item.value.get_ref(), DeValue::Boolean(false)) {
        reader.note(&item);
        return Some(Switch::On(false));
    }
    if matches!(item.value.get_ref(), DeValue::Boolean(true)) {
        reader.note(&item);
        return reader.wrong_type(&item, "false, or a table");
    }
    read(reader, &item).map(Switch::Set)
}

fn retry(reader: &mut Reader, item: &Item<'_>) -> Option<Retry> {
    let table = reader.table(item, &["max", "budget", "base", "cap", "on", "methods"])?;
    let on = table.get("on").map(|item| {
        let known = |text: &str| match RETRY_ON.contains(&text) {
            true => Ok(text.to_owned()),
            false => Err(format!(
                "expected one of {}, found \"{}\"",
                RETRY_ON.join(", "),
                short(text)
            )),
        };
        words(reader, &item, known)
    });
    let methods = table.get("methods").map(|item| {
        let method = |text: &str| match !text.is_empty() && text.bytes().all(|b| b.is_ascii_uppercase()) {
            true => Ok(text.to_owned()),
            false => Err(format!(
                "expected the name of a method such as GET, found \"{}\"",
                short(text)
            )),
        };
        words(reader, &item, method)
    });
    Some(Retry {
        max: number(reader, &table, "max", 0, 10),
        budget: share(reader, &table, "budget"),
        base: time(reader, &table, "base"),
        cap: time(reader, &table, "cap"),
        on,
        methods,
    })
}

fn hedge(reader: &mut Reader, item: &Item<'_>) -> Option<Hedge> {
    let table = reader.table(item, &["after", "max"])?;
    if table.get("after").is_none() {
        reader.missing(
            &table,
            "after",
            "add after = \"80ms\", how long the first try may take",
        );
    }
    let max = number(reader, &table, "max", 1, 10);
    Some(Hedge {
        after: time(reader, &table, "after")?,
        max,
    })
}

fn concurrency(reader: &mut Reader, item: &Item<'_>) -> Option<Concurrency> {
    let table = reader.table(item, &["max", "queue", "wait", "adaptive"])?;
    Some(Concurrency {
        max: number(reader, &table, "max", 1, MANY),
        queue: number(reader, &table, "queue", 0, MANY),
        wait: time(reader, &table, "wait"),
        adaptive: table.get("adaptive").and_then(|item| reader.boolean(&item)),
    })
}

fn breaker(reader: &mut Reader, item: &Item<'_>) -> Option<Breaker> {
    let keys = [
        "window",
        "calls",
        "min_calls",
        "error_rate",
        "slow",
        "slow_rate",
        "open",
        "probes",
    ];
    let table = reader.table(item, &keys)?;
    Some(Breaker {
        window: time(reader, &table, "window"),
        calls: number(reader, &table, "calls", 0, 10_000),
        min_calls: number(reader, &table, "min_calls", 1, MANY),
        error_rate: share(reader, &table, "error_rate"),
        slow: time(reader, &table, "slow"),
        slow_rate: share(reader, &table, "slow_rate"),
        open: time(reader, &table, "open"),
        probes: number(reader, &table, "probes", 1, 1_000),
    })
}

fn rate(reader: &mut Reader, item: &Item<'_>) -> Option<CallRate> {
    let table = reader.table(item, &["per_second", "burst"])?;
    if table.get("per_second").is_none() {
        reader.missing(
            &table,
            "per_second",
            "add per_second = 100, calls a second in the long run",
        );
    }
    let burst = number(reader, &table, "burst", 1, MANY);
    Some(CallRate {
        per_second: number(reader, &table, "per_second", 1, MANY)?,
        burst,
    })
}

fn fallback(reader: &mut Reader, item: &Item<'_>) -> Option<Switch<Fallback>> {
    const EXPECTED: &str = "false, \"stale\", { status = 200, json = \"…\" } or { brick = \"…\" }";
    match item.value.get_ref() {
        DeValue::Boolean(false) => {
            reader.note(item);
            return Some(Switch::On(false));
        }
        DeValue::String(text) if text == "stale" => {
            reader.note(item);
            return Some(Switch::Set(Fallback::Kept(Stale::Stale)));
        }
        DeValue::Table(_) => {}
        _ => {
            reader.note(item);
            return reader.wrong_type(item, EXPECTED);
        }
    }
    let table = reader.table(item, &["status", "json", "brick"])?;
    if let Some(item) = table.get("brick") {
        let brick = reader.parsed(&item)?;
        return Some(Switch::Set(Fallback::Brick { brick }));
    }
    let (Some(_), Some(json)) = (table.get("status"), table.get("json")) else {
        reader.bad_value(item, format!("expected {EXPECTED}"));
        return None;
    };
    let status = number(reader, &table, "status", 200, 599);
    let text = reader.text(&json)?;
    if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text) {
        reader.bad_value(&json, format!("expected a JSON document: {error}"));
        return None;
    }
    Some(Switch::Set(Fallback::Value {
        status: u16::try_from(status?).ok()?,
        json: text.to_owned(),
    }))
}

fn time(reader: &mut Reader, table: &Table<'_>, key: &str) -> Option<Span> {
    reader.within(&table.get(key)?, TIME_MIN..=TIME_MAX)
}

fn number(reader: &mut Reader, table: &Table<'_>, key: &str, least: i64, most: i64) -> Option<u32> {
    let value = reader.integer(&table.get(key)?, least..=most)?;
    u32::try_from(value).ok()
}

/// A number from 0 to 1.
fn share(reader: &mut Reader, table: &Table<'_>, key: &str) -> Option<f64> {
    let item = table.get(key)?;
    let value = reader.decimal(&item, "a number from 0 to 1")?;
    if (0.0..=1.0).contains(&value) {
        return Some(value);
    }
    reader.bad_value(&item, "expected a number from 0 to 1");
    None
}

fn words(
    reader: &mut Reader,
    item: &Item<'_>,
    check: impl Fn(&str) -> Result<String, String>,
) -> Vec<String> {
    let items = reader.list(item, "a list of strings");
    let mut words = Vec::new();
    for item in items {
        let Some(text) = reader.text(&item) else { continue };
        match check(text) {
            Ok(word) => words.push(word),
            Err(why) => reader.bad_value(&item, why),
        }
    }
    words
}
