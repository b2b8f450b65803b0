//! `[edge.bff.NAME]` and its views.

use std::collections::BTreeMap;

use brick_core::duration::Span;
use serde_json::Value;

use super::{Item, Reader, Table, config, listener, route, short};
use crate::load::path::JsonPath;
use crate::load::template;
use crate::model::{Bff, Part, Say, View};
use crate::pattern::Pattern;

const KEYS: [&str; 7] = ["path", "host", "auth", "timeout", "rate", "compress", "view"];
const VIEW_KEYS: [&str; 7] = ["get", "auth", "scopes", "timeout", "query", "part", "say"];
const PART_KEYS: [&str; 7] = ["from", "get", "each", "limit", "fields", "timeout", "fallback"];
const TIMEOUT_MIN: Span = Span::from_millis(1);
const TIMEOUT_MAX: Span = Span::from_secs(60);
/// Most calls of a view.
const PARTS_MAX: usize = 16;
/// Most fields of a part.
const FIELDS_MAX: usize = 64;

pub(super) fn all(reader: &mut Reader, item: &Item<'_>) -> BTreeMap<String, Bff> {
    let mut bffs = BTreeMap::new();
    let Some(table) = reader.free_table(item) else {
        return bffs;
    };
    for item in table.items() {
        name(reader, &item, "a backend for frontend");
        if let Some(bff) = bff(reader, &item) {
            bffs.insert(item.name.to_owned(), bff);
        }
    }
    bffs
}

/// Names stand in paths and in fields of answers.
fn name(reader: &mut Reader, item: &Item<'_>, what: &str) {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    let good = item.name.starts_with(|c: char| c.is_ascii_lowercase()) && item.name.bytes().all(inner);
    if !good || item.name.len() > 64 {
        let message = format!(
            "expected lower-case letters, digits, hyphens and underscores as name of {what}, found \"{}\"",
            short(item.name)
        );
        reader.problem("bad-name", &item.key, message);
    }
}

fn bff(reader: &mut Reader, item: &Item<'_>) -> Option<Bff> {
    let table = reader.table(item, &KEYS)?;
    let mut bff = Bff::default();
    if let Some(item) = table.get("path")
        && let Some(text) = reader.text(&item)
    {
        if !text.parse::<Pattern>().is_ok_and(|pattern| !pattern.is_prefix()) || text == "/" {
            let why = format!("expected a path such as \"/mobile\", found \"{}\"", short(text));
            reader.bad_value(&item, why);
        }
        bff.path = Some(text.to_owned());
    }
    bff.host = table.get("host").and_then(|item| route::host(reader, &item));
    bff.auth = table.get("auth").and_then(|item| listener::auth(reader, &item));
    if let Some(timeout) = timeout(reader, &table) {
        bff.timeout = timeout;
    }
    bff.rate = table.get("rate").and_then(|item| route::rate(reader, &item));
    let compress = table.get("compress");
    bff.compress = compress
        .and_then(|item| reader.boolean(&item))
        .unwrap_or_default();
    let Some(item) = table.get("view") else {
        reader.missing(&table, "view", "add [edge.bff.NAME.view.NAME] with get = \"/…\"");
        return Some(bff);
    };
    for item in reader.free_table(&item)?.items() {
        name(reader, &item, "a view");
        if let Some(view) = view(reader, &item) {
            bff.views.insert(item.name.to_owned(), view);
        }
    }
    Some(bff)
}

fn timeout(reader: &mut Reader, table: &Table<'_>) -> Option<Span> {
    let item = table.get("timeout")?;
    reader.within(&item, TIMEOUT_MIN..=TIMEOUT_MAX)
}

fn view(reader: &mut Reader, item: &Item<'_>) -> Option<View> {
    let table = reader.table(item, &VIEW_KEYS)?;
    let get = match table.get("get") {
        Some(item) => path(reader, &item),
        None => {
            reader.missing(&table, "get", "add get = \"/…\", the view's path");
            None
        }
    };
    let mut parts = BTreeMap::new();
    match table.get("part") {
        Some(item) => {
            let table = reader.free_table(&item)?;
            if !(1..=PARTS_MAX).contains(&table.entries.len()) {
                let found = table.entries.len();
                reader.bad_value(&item, format!("expected 1 to {PARTS_MAX} parts, found {found}"));
            }
            for item in table.items() {
                name(reader, &item, "a part");
                if let Some(part) = part(reader, &item) {
                    parts.insert(item.name.to_owned(), part);
                }
            }
        }
        None => reader.missing(
            &table,
            "part",
            "add part.NAME = { from = \"…\", get = \"/…\" }, a call of the view",
        ),
    }
    let say = table.get("say").and_then(|item| say(reader, &item));
    let scopes = table.get("scopes").map(|item| route::scopes(reader, &item));
    Some(View {
        auth: table.get("auth").and_then(|item| listener::auth(reader, &item)),
        scopes: scopes.unwrap_or_default(),
        timeout: timeout(reader, &table),
        query: query(reader, &table),
        get: get?,
        parts,
        say,
    })
}

/// A path whose segments are plain or one parameter each.
fn path(reader: &mut Reader, item: &Item<'_>) -> Option<String> {
    let text = reader.text(item)?;
    let names = template::placeholders(text);
    let filled = template::fill(text, |_| Some("x".to_owned())).unwrap_or_default();
    let whole = text.split('/').all(|segment| {
        let inner = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        inner.map_or(!segment.contains(['{', '}']), template::is_name)
    });
    let once = (1..names.len()).all(|at| !names[..at].contains(&names[at]));
    let good = filled
        .parse::<Pattern>()
        .is_ok_and(|pattern| !pattern.is_prefix());
    if !good || !whole || !once || text == "/" {
        let why = format!(
            "expected a path such as \"/home\" or \"/orders/{{id}}\", each parameter a segment of its own, found \"{}\"",
            short(text)
        );
        reader.bad_value(item, why);
        return None;
    }
    Some(text.to_owned())
}

fn query(reader: &mut Reader, table: &Table<'_>) -> BTreeMap<String, String> {
    let mut query = BTreeMap::new();
    let Some(table) = table.get("query").and_then(|item| reader.free_table(&item)) else {
        return query;
    };
    for item in table.items() {
        if !template::is_name(item.name) {
            let message = format!(
                "expected lower-case letters, digits and underscores as name of a parameter, found \"{}\"",
                short(item.name)
            );
            reader.problem("bad-name", &item.key, message);
        }
        if let Some(text) = reader.text(&item) {
            query.insert(item.name.to_owned(), text.to_owned());
        }
    }
    query
}

fn part(reader: &mut Reader, item: &Item<'_>) -> Option<Part> {
    let table = reader.table(item, &PART_KEYS)?;
    let from = match table.get("from") {
        Some(item) => reader.parsed(&item),
        None => {
            reader.missing(&table, "from", "add from = \"…\", the brick that is asked");
            None
        }
    };
    let get = match table.get("get") {
        Some(item) => target(reader, &item),
        None => {
            reader.missing(&table, "get", "add get = \"/…\", path and query of the call");
            None
        }
    };
    let each = table.get("each").and_then(|item| json_path(reader, &item));
    let limit = table
        .get("limit")
        .and_then(|item| reader.integer(&item, 1..=1_000));
    if let Some(item) = table.get("limit")
        && table.get("each").is_none()
    {
        reader.bad_value(
            &item,
            "there is a limit only to a list, which each = \"$.…\" names",
        );
    }
    let fields = table.get("fields").map(|item| paths(reader, &item));
    Some(Part {
        each,
        limit: limit.and_then(|limit| u32::try_from(limit).ok()),
        fields: fields.unwrap_or_default(),
        timeout: timeout(reader, &table),
        fallback: table.get("fallback").and_then(|item| fallback(reader, &item)),
        from: from?,
        get: get?,
    })
}

fn fallback(reader: &mut Reader, item: &Item<'_>) -> Option<Value> {
    reader.note(item);
    config::value(reader, item)
}

/// Path and query of a call.
fn target(reader: &mut Reader, item: &Item<'_>) -> Option<String> {
    let text = reader.text(item)?;
    let filled = template::fill(text, |_| Some("x".to_owned())).unwrap_or_default();
    let plain = |c: char| c.is_ascii_graphic() && !"#\\\"<>^`{|}".contains(c);
    let path = filled.split('?').next().unwrap_or_default();
    let dots = path.split('/').any(|segment| matches!(segment, "." | ".."));
    if !filled.starts_with('/') || filled.starts_with("//") || dots || !filled.chars().all(plain) {
        let why = format!(
            "expected path and query such as \"/api/orders/{{id}}?limit=5\", found \"{}\"",
            short(text)
        );
        reader.bad_value(item, why);
        return None;
    }
    Some(text.to_owned())
}

fn json_path(reader: &mut Reader, item: &Item<'_>) -> Option<String> {
    let text = reader.text(item)?;
    if let Err(error) = text.parse::<JsonPath>() {
        reader.bad_value(item, error);
    }
    Some(text.to_owned())
}

fn paths(reader: &mut Reader, item: &Item<'_>) -> BTreeMap<String, String> {
    let mut paths = BTreeMap::new();
    let Some(table) = reader.free_table(item) else {
        return paths;
    };
    if table.entries.len() > FIELDS_MAX {
        let found = table.entries.len();
        reader.bad_value(
            item,
            format!("expected at most {FIELDS_MAX} fields, found {found}"),
        );
    }
    for item in table.items() {
        if let Some(path) = json_path(reader, &item) {
            paths.insert(item.name.to_owned(), path);
        }
    }
    paths
}

fn say(reader: &mut Reader, item: &Item<'_>) -> Option<Say> {
    let table = reader.table(item, &["text", "words", "otherwise"])?;
    let mut say = Say::default();
    for (key, text) in [("text", &mut say.text), ("otherwise", &mut say.otherwise)] {
        match table.get(key) {
            Some(item) => reader.text(&item).unwrap_or_default().clone_into(text),
            None => reader.missing(&table, key, &format!("add {key} = \"…\"")),
        }
    }
    if let Some(item) = table.get("words") {
        say.words = paths(reader, &item);
    }
    Some(say)
}
