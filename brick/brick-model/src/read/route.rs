//! `[route.NAME]`.

use std::collections::BTreeMap;

use brick_core::duration::Span;

use super::{Item, Reader, listener, short};
use crate::diagnostic::Problem;
use crate::model::Route;
use crate::pattern::Pattern;
use crate::size::Bytes;

mod conditions;
mod functions;

pub(super) use conditions::host;
pub(super) use functions::{cors, rate, texts};

const KEYS: [&str; 20] = [
    "match",
    "to",
    "host",
    "methods",
    "headers",
    "query",
    "auth",
    "scopes",
    "audience",
    "timeout",
    "body_max",
    "websocket",
    "connect",
    "rewrite",
    "cors",
    "rate",
    "cache",
    "compress",
    "mirror",
    "weights",
];
const TIMEOUT_MIN: Span = Span::from_millis(1);
const TIMEOUT_MAX: Span = Span::from_secs(3_600);

pub(super) fn all(reader: &mut Reader, item: &Item<'_>) -> BTreeMap<String, Route> {
    let mut routes = BTreeMap::new();
    let Some(table) = reader.free_table(item) else {
        return routes;
    };
    for item in table.items() {
        if let Some(route) = route(reader, &item) {
            routes.insert(item.name.to_owned(), route);
        }
    }
    routes
}

fn route(reader: &mut Reader, item: &Item<'_>) -> Option<Route> {
    let table = reader.table(item, &KEYS)?;
    let path = match table.get("match") {
        Some(item) => pattern(reader, &item),
        None => {
            reader.missing(
                &table,
                "match",
                "add match = \"/…/**\", the paths that lead to the brick",
            );
            None
        }
    };
    let to = match table.get("to") {
        Some(item) => reader.parsed(&item),
        None => {
            reader.missing(&table, "to", "add to = \"…\", the brick that serves the route");
            None
        }
    };
    let auth = table.get("auth").and_then(|item| listener::auth(reader, &item));
    let timeout = table
        .get("timeout")
        .and_then(|item| reader.within(&item, TIMEOUT_MIN..=TIMEOUT_MAX));
    let body_max = table
        .get("body_max")
        .and_then(|item| reader.within(&item, Bytes(0)..=Bytes(1 << 30)));
    let websocket = table.get("websocket").and_then(|item| reader.boolean(&item));
    let connect = table.get("connect").and_then(|item| reader.boolean(&item));
    let mut route = Route::new(path?, to?);
    route.auth = auth;
    route.timeout = timeout;
    route.body_max = body_max.unwrap_or(route.body_max);
    route.websocket = websocket.unwrap_or_default();
    route.connect = connect.unwrap_or_default();
    if let Some(item) = table.get("scopes") {
        route.scopes = scopes(reader, &item);
    }
    if let Some(item) = table.get("audience") {
        route.audience = reader.text(&item).map(str::to_owned);
    }
    conditions::read(reader, &table, &mut route);
    functions::read(reader, &table, &mut route);
    Some(route)
}

/// Scopes that a token must grant.
pub(super) fn scopes(reader: &mut Reader, item: &Item<'_>) -> Vec<String> {
    // RFC 6749 section 3.3.
    let good = |text: &str| {
        let plain = |b: u8| b.is_ascii_graphic() && b != b'"' && b != b'\\';
        (1..=64).contains(&text.len()) && text.bytes().all(plain)
    };
    texts(reader, item, "a scope such as \"customer\"", good)
}

fn pattern(reader: &mut Reader, item: &Item<'_>) -> Option<Pattern> {
    let text = reader.text(item)?;
    match text.parse() {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            let message = format!("{}: {error}, found \"{}\"", item.path, short(text));
            let problem = Problem::new("bad-value", &item.value.span(), message);
            reader.problems.push(
                problem.hint("write \"/a/b\" for that path alone, or \"/a/**\" for /a and all below it"),
            );
            None
        }
    }
}
