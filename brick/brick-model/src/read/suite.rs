//! `[test.NAME]` and `[env.NAME]`.

use std::collections::BTreeMap;

use brick_core::duration::Span;

use super::{Item, Reader, brick, load, short};
use crate::diagnostic::Problem;
use crate::suite::{Environment, LOCAL, Suite};

const KEYS: [&str; 6] = ["about", "brick", "steps", "run", "production", "timeout"];

pub(super) fn all(reader: &mut Reader, item: &Item<'_>) -> BTreeMap<String, Suite> {
    let mut suites = BTreeMap::new();
    let Some(table) = reader.free_table(item) else {
        return suites;
    };
    for item in table.items() {
        name(reader, &item, "a suite");
        if let Some(suite) = suite(reader, &item) {
            suites.insert(item.name.to_owned(), suite);
        }
    }
    suites
}

fn suite(reader: &mut Reader, item: &Item<'_>) -> Option<Suite> {
    let table = reader.table(item, &KEYS)?;
    let mut suite = Suite::default();
    if let Some(item) = table.get("about") {
        suite.about = reader.text(&item).map(str::to_owned);
    }
    if let Some(item) = table.get("brick") {
        suite.brick = reader.parsed(&item);
    }
    if let Some(item) = table.get("production") {
        suite.production = reader.boolean(&item).unwrap_or_default();
    }
    if let Some(item) = table.get("timeout")
        && let Some(timeout) = reader.within(&item, Span::from_secs(1)..=Span::from_secs(3_600))
    {
        suite.timeout = timeout;
    }
    if let Some(item) = table.get("run")
        && let Some(text) = reader.text(&item)
    {
        brick::check_command(reader, &item, text);
        suite.run = Some(text.to_owned());
    }
    if let Some(item) = table.get("steps") {
        suite.steps = load::steps(reader, &item);
    }
    match (table.get("steps"), table.get("run")) {
        (None, None) => {
            let hint = "add steps = [ { get = \"/…\" } ], or run = \"…\", a command that tests";
            reader.missing(&table, "steps", hint);
        }
        (Some(_), Some(item)) => {
            let message = format!("{}: a suite has either steps or a command", table.path);
            let problem = Problem::new("bad-value", &item.key, message);
            reader
                .problems
                .push(problem.hint("keep one of steps and run, or make two suites"));
        }
        _ => {}
    }
    Some(suite)
}

pub(super) fn environments(reader: &mut Reader, item: &Item<'_>) -> BTreeMap<String, Environment> {
    let mut environments = BTreeMap::new();
    let Some(table) = reader.free_table(item) else {
        return environments;
    };
    for item in table.items() {
        name(reader, &item, "an environment");
        if item.name == LOCAL {
            let message = format!("the environment \"{LOCAL}\" is the running system");
            let problem = Problem::new("reserved", &item.key, message);
            reader
                .problems
                .push(problem.hint("give it another name; --env local needs no table"));
        }
        let Some(table) = reader.table(&item, &["edge", "production"]) else {
            continue;
        };
        let mut environment = Environment::default();
        match table.get("edge") {
            Some(item) => environment.edge = edge(reader, &item).unwrap_or_default(),
            None => reader.missing(
                &table,
                "edge",
                "add edge = \"https://…\", the base URL of its edge",
            ),
        }
        if let Some(item) = table.get("production") {
            environment.production = reader.boolean(&item).unwrap_or(true);
        }
        environments.insert(item.name.to_owned(), environment);
    }
    environments
}

fn edge(reader: &mut Reader, item: &Item<'_>) -> Option<String> {
    let url = reader.text(item)?;
    if !brick::is_base_url(url) {
        let why = format!(
            "expected a base URL such as \"https://shop.example\", found \"{}\"",
            short(url)
        );
        reader.bad_value(item, why);
    }
    Some(url.trim_end_matches('/').to_owned())
}

/// Names go into headers and reports: letters, digits, hyphens and underscores.
fn name(reader: &mut Reader, item: &Item<'_>, what: &str) {
    let byte = |b: u8| b.is_ascii_alphanumeric() || b"_-".contains(&b);
    if item.name.is_empty() || item.name.len() > 64 || !item.name.bytes().all(byte) {
        let message = format!(
            "expected at most 64 letters, digits, hyphens and underscores as name of {what}, found \"{}\"",
            short(item.name)
        );
        reader.problem("bad-name", &item.key, message);
    }
}
