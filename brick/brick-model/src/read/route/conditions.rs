//! What a route asks of a request besides its path.

use std::collections::BTreeMap;

use super::super::{Item, Reader, Table, short};
use crate::model::Route;

/// Most conditions of one kind.
const CONDITIONS_MAX: usize = 16;

pub(super) fn read(reader: &mut Reader, table: &Table<'_>, route: &mut Route) {
    route.host = table.get("host").and_then(|item| host(reader, &item));
    if let Some(item) = table.get("methods") {
        route.methods = methods(reader, &item);
    }
    if let Some(item) = table.get("headers") {
        let headers = pairs(reader, &item, "name of a field", is_token);
        let lower = headers
            .into_iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value));
        route.headers = lower.collect();
    }
    if let Some(item) = table.get("query") {
        route.query = pairs(reader, &item, "name of a query parameter", |name| {
            !name.is_empty()
        });
    }
}

/// A host name, or `*.` and one; in lower case.
pub(in super::super) fn host(reader: &mut Reader, item: &Item<'_>) -> Option<String> {
    let text = reader.text(item)?;
    let lower = text.to_ascii_lowercase();
    let name = lower.strip_prefix("*.").unwrap_or(&lower);
    let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    let label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(inner);
    if name.len() > 253 || !name.split('.').all(label) {
        let why = format!(
            "expected a host without a port such as \"shop.test\" or \"*.shop.test\", found \"{}\"",
            short(text)
        );
        reader.bad_value(item, why);
        return None;
    }
    Some(lower)
}

pub(super) fn methods(reader: &mut Reader, item: &Item<'_>) -> Vec<String> {
    let items = reader.list(item, "a list of methods such as [\"GET\", \"POST\"]");
    let mut methods = Vec::new();
    for item in &items {
        let Some(text) = reader.text(item) else { continue };
        let good =
            (1..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_uppercase() || b == b'-');
        if !good {
            let why = format!("expected a method such as \"GET\", found \"{}\"", short(text));
            reader.bad_value(item, why);
        } else if methods.len() < CONDITIONS_MAX {
            methods.push(text.to_owned());
        }
    }
    if items.is_empty() || items.len() > CONDITIONS_MAX {
        let why = format!("expected 1 to {CONDITIONS_MAX} methods, found {}", items.len());
        reader.bad_value(item, why);
    }
    methods
}

/// Names and texts.
fn pairs(
    reader: &mut Reader,
    item: &Item<'_>,
    what: &str,
    is_name: fn(&str) -> bool,
) -> BTreeMap<String, String> {
    let mut pairs = BTreeMap::new();
    let Some(table) = reader.free_table(item) else {
        return pairs;
    };
    if table.entries.len() > CONDITIONS_MAX {
        let why = format!(
            "expected at most {CONDITIONS_MAX} entries, found {}",
            table.entries.len()
        );
        reader.bad_value(item, why);
    }
    for item in table.items().take(CONDITIONS_MAX) {
        if !is_name(item.name) {
            let message = format!("{}: \"{}\" is no {what}", item.path, short(item.name));
            reader.problem("bad-name", &item.key, message);
        }
        if let Some(text) = reader.text(&item) {
            pairs.insert(item.name.to_owned(), text.to_owned());
        }
    }
    pairs
}

/// A token (RFC 9110 §5.6.2).
pub(super) fn is_token(text: &str) -> bool {
    let tchar = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(tchar)
}
