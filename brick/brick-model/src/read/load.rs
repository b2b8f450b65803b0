//! `[load.NAME]`.

use std::collections::BTreeMap;

use super::{Item, Reader, config, short};
use crate::diagnostic::Problem;
use crate::load::path::JsonPath;
use crate::load::{Answer, Expect, Load, Step, template};

const KEYS: [&str; 10] = [
    "get", "post", "put", "delete", "body", "headers", "expect", "save", "auth", "subject",
];

/// Keys of a step of a check.
const CHECK_KEYS: [&str; 11] = [
    "get", "post", "put", "delete", "body", "headers", "expect", "save", "auth", "subject", "brick",
];

/// Most steps of a scenario.
const STEPS_MAX: usize = 100;

pub(super) fn all(reader: &mut Reader, item: &Item<'_>) -> BTreeMap<String, Load> {
    let mut loads = BTreeMap::new();
    let Some(table) = reader.free_table(item) else {
        return loads;
    };
    for item in table.items() {
        let Some(table) = reader.table(&item, &["setup", "steps", "check"]) else {
            continue;
        };
        let steps = match table.get("steps") {
            Some(item) => steps(reader, &item),
            None => {
                reader.missing(&table, "steps", "add steps = [ { get = \"/…\" } ]");
                Vec::new()
            }
        };
        let setup = table
            .get("setup")
            .map(|item| self::steps(reader, &item))
            .unwrap_or_default();
        let check = table
            .get("check")
            .map(|item| steps_of(reader, &item, &CHECK_KEYS))
            .unwrap_or_default();
        loads.insert(item.name.to_owned(), Load { setup, steps, check });
    }
    loads
}

pub(super) fn steps(reader: &mut Reader, item: &Item<'_>) -> Vec<Step> {
    steps_of(reader, item, &KEYS)
}

fn steps_of(reader: &mut Reader, item: &Item<'_>, keys: &'static [&'static str]) -> Vec<Step> {
    let items = reader.list(item, "a list of steps such as [ { get = \"/\" } ]");
    if !(1..=STEPS_MAX).contains(&items.len()) && item.value.get_ref().is_array() {
        reader.bad_value(
            item,
            format!("expected 1 to {STEPS_MAX} steps, found {}", items.len()),
        );
    }
    items.iter().filter_map(|item| step(reader, item, keys)).collect()
}

fn step(reader: &mut Reader, item: &Item<'_>, keys: &'static [&'static str]) -> Option<Step> {
    let table = reader.table(item, keys)?;
    let mut step = Step::default();
    for (key, slot) in [
        ("get", &mut step.get),
        ("post", &mut step.post),
        ("put", &mut step.put),
        ("delete", &mut step.delete),
        ("body", &mut step.body),
        ("auth", &mut step.auth),
        ("subject", &mut step.subject),
    ] {
        if let Some(item) = table.get(key) {
            *slot = reader.text(&item).map(str::to_owned);
        }
    }
    if let Some(item) = table.get("brick") {
        step.brick = reader.parsed(&item);
    }
    if let Some(item) = table.get("expect") {
        step.expect = expect(reader, &item);
    }
    if let Some(item) = table.get("headers") {
        step.headers = headers(reader, &item);
    }
    if let Some(item) = table.get("save") {
        step.save = save(reader, &item);
    }
    let methods = ["get", "post", "put", "delete"];
    let given = methods.iter().filter(|key| table.get(key).is_some()).count();
    if given != 1 {
        let message = format!(
            "{}: expected exactly one of get, post, put and delete, found {given}",
            item.path
        );
        let problem = Problem::new("bad-value", &item.value.span(), message);
        reader
            .problems
            .push(problem.hint("each step is one request: { get = \"/path\" }"));
    }
    check(reader, &table, &step);
    Some(step)
}

fn expect(reader: &mut Reader, item: &Item<'_>) -> Option<Expect> {
    if !item.value.get_ref().is_table() {
        return status(reader, item).map(Expect::Status);
    }
    let table = reader.table(item, &["status", "json", "header", "contains"])?;
    let mut answer = Answer::default();
    if let Some(item) = table.get("status") {
        answer.status = status(reader, &item);
    }
    if let Some(item) = table.get("json")
        && let Some(values) = reader.free_table(&item)
    {
        for item in values.items() {
            reader.note(&item);
            if let Err(error) = item.name.parse::<JsonPath>() {
                reader.problem("bad-name", &item.key, error.to_string());
            }
            let value = config::value(reader, &item);
            answer
                .json
                .extend(value.map(|value| (item.name.to_owned(), value)));
        }
    }
    if let Some(item) = table.get("header") {
        answer.header = headers(reader, &item);
    }
    if let Some(item) = table.get("contains") {
        answer.contains = reader.text(&item).map(str::to_owned);
    }
    Some(Expect::Answer(answer))
}

fn status(reader: &mut Reader, item: &Item<'_>) -> Option<u16> {
    let status = reader.integer(item, 100..=599)?;
    u16::try_from(status).ok()
}

fn check(reader: &mut Reader, table: &super::Table<'_>, step: &Step) {
    for key in ["get", "post", "put", "delete"] {
        if let Some(item) = table.get(key)
            && let Some(target) = reader.text(&item)
            && (!target.starts_with('/') || target.contains([' ', '#']) || target.contains(char::is_control))
        {
            let why = format!(
                "expected a path with or without query such as \"/api/products?q=lamp\", found \"{}\"",
                short(target)
            );
            reader.bad_value(&item, why);
        }
    }
    if let (Some(_), Some(item)) = (&step.get, table.get("body")) {
        reader.bad_value(&item, "a GET has no body");
    }
    if let Some(item) = table.get("auth")
        && let Some(scope) = &step.auth
    {
        let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-:".contains(&b);
        if scope.is_empty() || !scope.bytes().all(word) {
            let why = format!(
                "expected a scope of users such as \"customer\", found \"{}\"",
                short(scope)
            );
            reader.bad_value(&item, why);
        }
    }
    if let Some(item) = table.get("subject")
        && table.get("auth").is_none()
    {
        reader.bad_value(
            &item,
            "a subject needs auth, the scope of the token that is made for it",
        );
    }
}

fn headers(reader: &mut Reader, item: &Item<'_>) -> BTreeMap<String, String> {
    let mut headers = BTreeMap::new();
    let Some(table) = reader.free_table(item) else {
        return headers;
    };
    for item in table.items() {
        // RFC 9110 §5.6.2: token.
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if item.name.is_empty() || !item.name.bytes().all(token) {
            let message = format!("expected the name of a header, found \"{}\"", short(item.name));
            reader.problem("bad-name", &item.key, message);
        }
        let Some(value) = reader.text(&item) else {
            continue;
        };
        if !value.bytes().all(|b| (b' '..=b'~').contains(&b) || b == b'\t') {
            reader.bad_value(&item, "expected printable ASCII as value of a header");
        }
        headers.insert(item.name.to_owned(), value.to_owned());
    }
    headers
}

fn save(reader: &mut Reader, item: &Item<'_>) -> BTreeMap<String, String> {
    let mut saved = BTreeMap::new();
    let Some(table) = reader.free_table(item) else {
        return saved;
    };
    for item in table.items() {
        if !template::is_name(item.name) || item.name == template::UUID {
            let message = format!(
                "expected lower-case letters, digits and underscores (but not \"uuid\") as name of a saved value, \
                 found \"{}\"",
                short(item.name)
            );
            reader.problem("bad-name", &item.key, message);
        }
        if let Some(path) = reader.text(&item) {
            if let Err(error) = path.parse::<JsonPath>() {
                reader.bad_value(&item, error);
            }
            saved.insert(item.name.to_owned(), path.to_owned());
        }
    }
    saved
}
