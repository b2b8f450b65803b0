//! Values of `[config.BRICK]` that are marked as secret: `{ value = "…", secret = true }`.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// The value that is marked, where this is a mark.
fn inner(value: &Value) -> Option<&Value> {
    let table = value.as_object().filter(|table| table.len() == 2)?;
    let is_secret = table.get("secret")?.as_bool()?;
    table.get("value").filter(|_| is_secret)
}

/// Puts values in the place of their marks.
pub(super) fn plain(value: &mut Value) {
    if let Some(marked) = inner(value) {
        *value = marked.clone();
    } else if let Some(table) = value.as_object_mut() {
        for value in table.values_mut() {
            plain(value);
        }
    }
}

/// The dotted keys that are marked.
pub(super) fn marked(prefix: &str, table: &Map<String, Value>, found: &mut BTreeSet<String>) {
    for (name, value) in table {
        let key = match prefix {
            "" => name.clone(),
            _ => format!("{prefix}.{name}"),
        };
        match value.as_object() {
            _ if inner(value).is_some() => drop(found.insert(key)),
            Some(table) => marked(&key, table, found),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_marked_value_stands_for_itself_and_its_key_is_known() {
        let mut value =
            json!({ "db": { "pin": { "value": 7, "secret": true } }, "secret": { "secret": true }, "a": 1 });
        let mut found = BTreeSet::new();
        marked("", value.as_object().unwrap(), &mut found);
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["db.pin"]);
        plain(&mut value);
        assert_eq!(
            value,
            json!({ "db": { "pin": 7 }, "secret": { "secret": true }, "a": 1 })
        );
    }
}
