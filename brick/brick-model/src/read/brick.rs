//! `[brick.NAME]`.

use std::collections::BTreeMap;

use brick_core::BrickName;
use brick_core::duration::Span;

use super::{Item, Reader, Table, listener, short};
use crate::command::{self, TARGET};
use crate::diagnostic::Problem;
use crate::load::template;
use crate::model::control::wrong_store;
use crate::model::{Brick, Health, state_password};
use crate::nearest;
use crate::pattern::Pattern;

mod replicas;
mod version;

const KEYS: [&str; 22] = [
    "run",
    "build",
    "dir",
    "optional",
    "needs",
    "state",
    "replicas",
    "version",
    "health",
    "zones",
    "scopes",
    "env",
    "stop_grace",
    "external",
    "registers",
    "openapi",
    "protocol",
    "proxy",
    "capture",
    "inbound",
    "idle_timeout",
    "tls",
];

/// Most instances of a brick.
pub(super) const REPLICAS_MAX: i64 = 100;

const HOUR: Span = Span::from_secs(3_600);

pub(super) fn all(reader: &mut Reader, item: &Item<'_>) -> BTreeMap<BrickName, Brick> {
    let mut bricks = BTreeMap::new();
    let Some(table) = reader.free_table(item) else {
        return bricks;
    };
    if table.entries.is_empty() {
        reader.missing(
            &table,
            "NAME",
            "add [brick.NAME] with run = \"…\": a system has at least one brick",
        );
    }
    for item in table.items() {
        let brick = brick(reader, &item);
        match (BrickName::new(item.name), brick) {
            (Ok(name), Some(brick)) => drop(bricks.insert(name, brick)),
            (Ok(_), None) => {}
            (Err(error), _) => reader.problem("bad-name", &item.key, format!("name of a brick: {error}")),
        }
    }
    bricks
}

fn brick(reader: &mut Reader, item: &Item<'_>) -> Option<Brick> {
    let table = reader.table(item, &KEYS)?;
    let mut brick = Brick::default();
    started(reader, &table, &mut brick);
    described(reader, &table, &mut brick);
    if let Some(item) = table.get("health") {
        health(reader, &item, &mut brick.health);
    }
    if let Some(item) = table.get("env") {
        brick.env = variables(reader, &item);
    }
    if let Some(item) = table.get("openapi") {
        brick.openapi = document(reader, &item);
    }
    if let Some(item) = table.get("protocol")
        && let Some(protocol) = listener::protocol(reader, &item)
    {
        brick.protocol = protocol;
    }
    if let Some(item) = table.get("proxy") {
        brick.proxy = reader.boolean(&item).unwrap_or_default();
    }
    if let Some(item) = table.get("capture") {
        brick.capture = reader.boolean(&item).unwrap_or_default();
        brick.proxy |= brick.capture;
    }
    if let Some(item) = table.get("inbound") {
        brick.inbound = listener::inbound(reader, &item);
    }
    if let Some(item) = table.get("idle_timeout")
        && let Some(idle) = reader.within(&item, Span::from_secs(1)..=Span::from_secs(7 * 86_400))
    {
        brick.idle_timeout = idle;
    }
    brick.tls = table
        .get("tls")
        .and_then(|item| listener::client_tls(reader, &item));
    Some(brick)
}

/// What starts it: `run`, `external`, `build`, `dir`.
fn started(reader: &mut Reader, table: &Table<'_>, brick: &mut Brick) {
    for (key, command) in [("run", &mut brick.run), ("build", &mut brick.build)] {
        if let Some(item) = table.get(key)
            && let Some(text) = reader.text(&item)
        {
            check_command(reader, &item, text);
            *command = Some(text.to_owned());
        }
    }
    if let Some(item) = table.get("external")
        && let Some(url) = reader.text(&item)
    {
        if !is_base_url(url) {
            let why = format!(
                "expected a base URL such as \"https://psp.example\", found \"{}\"",
                short(url)
            );
            reader.bad_value(&item, why);
        }
        brick.external = Some(url.to_owned());
    }
    if let Some(item) = table.get("registers") {
        brick.registers = reader.boolean(&item).unwrap_or_default();
    }
    if let Some(item) = table.get("dir")
        && let Some(dir) = reader.text(&item)
    {
        if dir.is_empty() || dir.starts_with('/') || dir.contains('\0') {
            let why = format!(
                "expected a folder relative to brick.toml, found \"{}\"",
                short(dir)
            );
            reader.bad_value(&item, why);
        }
        brick.dir = Some(dir.to_owned());
    }
    if table.get("run").is_none() && table.get("external").is_none() && !brick.registers {
        let hint =
            "add run = \"…\", the command that starts it, or external = \"https://…\", or registers = true";
        reader.missing(table, "run", hint);
    }
}

/// The document of its API: a path relative to brick.toml.
fn document(reader: &mut Reader, item: &Item<'_>) -> Option<String> {
    let path = reader.text(item)?;
    if path.is_empty() || path.starts_with('/') || path.contains('\0') {
        let why = format!(
            "expected a file relative to brick.toml such as \"api/order.openapi.json\", found \"{}\"",
            short(path)
        );
        reader.bad_value(item, why);
    }
    Some(path.to_owned())
}

/// What it is: flags, relations, numbers.
fn described(reader: &mut Reader, table: &Table<'_>, brick: &mut Brick) {
    if let Some(item) = table.get("optional") {
        brick.optional = reader.boolean(&item).unwrap_or_default();
    }
    if let Some(item) = table.get("needs") {
        brick.needs = names(reader, &item);
    }
    if let Some(item) = table.get("state") {
        brick.state = state(reader, &item);
    }
    if let Some(item) = table.get("replicas")
        && let Some(replicas) = replicas::read(reader, &item)
    {
        brick.replicas = replicas;
    }
    if let Some(item) = table.get("version") {
        brick.version = version::read(reader, &item);
    }
    if let Some(item) = table.get("zones") {
        let zones = names(reader, &item);
        if item
            .value
            .get_ref()
            .as_array()
            .is_some_and(|zones| zones.is_empty())
        {
            reader.bad_value(&item, "expected at least one zone such as \"a\"");
        }
        brick.zones = zones.iter().map(ToString::to_string).collect();
    }
    if let Some(item) = table.get("scopes") {
        for item in reader.list(&item, "a list of scopes such as [\"identity:issue\"]") {
            brick.scopes.extend(reader.text(&item).map(str::to_owned));
        }
    }
    if let Some(item) = table.get("stop_grace")
        && let Some(grace) = reader.within(&item, Span::from_millis(0)..=Span::from_secs(600))
    {
        brick.stop_grace = grace;
    }
}

/// A list of names. One that is no name is noted; the rest counts.
pub(super) fn names(reader: &mut Reader, item: &Item<'_>) -> Vec<BrickName> {
    let expected = "a list of names such as [\"order\", \"product\"]";
    let items = reader.list(item, expected);
    items.iter().filter_map(|item| reader.parsed(item)).collect()
}

/// The name of a database, or the address of one on a server.
fn state(reader: &mut Reader, item: &Item<'_>) -> Option<String> {
    let text = reader.text(item)?;
    if !text.contains("://") {
        let name: BrickName = reader.parsed(item)?;
        return Some(name.to_string());
    }
    let brick = item.path.split('.').nth(1).unwrap_or_default();
    match wrong_store(text, &state_password(brick)) {
        Some(why) => {
            reader.bad_value(item, why);
            None
        }
        None => Some(text.to_owned()),
    }
}

fn health(reader: &mut Reader, item: &Item<'_>, health: &mut Health) {
    let Some(table) = reader.table(item, &["path", "every", "grace"]) else {
        return;
    };
    if let Some(item) = table.get("path")
        && let Some(path) = reader.text(&item)
    {
        if !path.parse::<Pattern>().is_ok_and(|pattern| !pattern.is_prefix()) {
            let why = format!(
                "expected a path such as \"/health/ready\", found \"{}\"",
                short(path)
            );
            reader.bad_value(&item, why);
        }
        health.path = path.to_owned();
    }
    if let Some(item) = table.get("every")
        && let Some(every) = reader.within(&item, Span::from_millis(100)..=HOUR)
    {
        health.every = every;
    }
    if let Some(item) = table.get("grace")
        && let Some(grace) = reader.within(&item, Span::from_millis(100)..=HOUR)
    {
        health.grace = grace;
    }
}

fn variables(reader: &mut Reader, item: &Item<'_>) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    let Some(table) = reader.free_table(item) else {
        return variables;
    };
    for item in table.items() {
        let first = |b: u8| b.is_ascii_alphabetic() || b == b'_';
        let good = item.name.bytes().next().is_some_and(first)
            && item.name.bytes().all(|b| first(b) || b.is_ascii_digit());
        if !good {
            let message = format!(
                "expected letters, digits and underscores as name of a variable, found \"{}\"",
                short(item.name)
            );
            reader.problem("bad-name", &item.key, message);
        }
        let Some(value) = reader.text(&item) else {
            continue;
        };
        if value.contains('\0') {
            reader.bad_value(&item, "a variable cannot hold a NUL");
        }
        variables.insert(item.name.to_owned(), value.to_owned());
    }
    variables
}

pub(super) fn check_command(reader: &mut Reader, item: &Item<'_>, text: &str) {
    match command::split(text) {
        Err(error) => {
            let hint = match error {
                command::Error::Shell(_) => "quote it, or start a shell yourself: run = \"sh -c '…'\"",
                _ => "write the command as in a shell, with quotes closed",
            };
            let problem = Problem::new("bad-value", &item.value.span(), format!("{}: {error}", item.path));
            reader.problems.push(problem.hint(hint));
        }
        Ok(words) if words.iter().any(|word| word.contains('\0')) => {
            reader.bad_value(item, "a command cannot hold a NUL");
        }
        Ok(words) => {
            let target = TARGET.trim_matches(['{', '}']);
            let misspelt = |name: &&str| nearest::nearest(name, [target]).is_some();
            let placeholders = words.iter().flat_map(|word| template::placeholders(word));
            if let Some(name) = placeholders.into_iter().find(misspelt) {
                let message = format!("{}: unknown placeholder {{{name}}}", item.path);
                let problem = Problem::new("bad-value", &item.value.span(), message);
                reader
                    .problems
                    .push(problem.hint(format!("did you mean \"{TARGET}\"?")));
            }
        }
    }
}

pub(super) fn is_base_url(url: &str) -> bool {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        let host = rest.split('/').next().unwrap_or_default();
        let host_byte = |b: u8| b.is_ascii_alphanumeric() || b".-:[]".contains(&b);
        !host.is_empty() && host.bytes().all(host_byte) && !rest.contains(['?', '#', ' ', '\t', '\n'])
    })
}
