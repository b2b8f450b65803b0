//! Configuration in the shapes of Spring Cloud Config: an environment with its sources, and the same as one text.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::layers::{Effective, Flat, nested};

/// Placeholders that are opened within each other.
const DEPTH_MAX: usize = 8;
/// Largest text that placeholders may become.
const BYTES_MAX: usize = 1 << 20;

/// Where an application's values come from, highest first.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Environment {
    /// The application.
    pub(crate) name: String,
    /// Its profiles, as asked for.
    pub(crate) profiles: Vec<String>,
    /// The label, where one was asked for.
    pub(crate) label: Option<String>,
    /// Revision of the files.
    pub(crate) version: Option<String>,
    /// Always null: no state besides the revision.
    pub(crate) state: Option<String>,
    /// The sources.
    pub(crate) property_sources: Vec<PropertySource>,
}

/// One of them.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct PropertySource {
    /// The file, `live` or `manifest`.
    pub(crate) name: String,
    /// Its values by dotted key; entries of lists have their number in brackets.
    pub(crate) source: Map<String, Value>,
}

/// A form that one text can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Yaml,
    Json,
    Properties,
}

impl Form {
    /// Application, profiles and form of `order-eu.yml`.
    pub(crate) fn of(file: &str) -> Option<(&str, &str, Self)> {
        let (stem, ending) = file.rsplit_once('.')?;
        let form = match ending {
            "yml" | "yaml" => Self::Yaml,
            "json" => Self::Json,
            "properties" => Self::Properties,
            _ => return None,
        };
        let (name, profiles) = stem.rsplit_once('-')?;
        (!name.is_empty() && !profiles.is_empty()).then_some((name, profiles, form))
    }

    /// The media type of such a text.
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Yaml | Self::Properties => "text/plain;charset=UTF-8",
        }
    }

    /// Values as such a text.
    pub(crate) fn write(self, values: &Flat) -> String {
        match self {
            Self::Json => Value::Object(nested(values)).to_string(),
            Self::Yaml => {
                let mut text = String::new();
                yaml(&nested(values), 0, &mut text);
                match text.is_empty() {
                    true => "{}\n".to_owned(),
                    false => text,
                }
            }
            Self::Properties => {
                let mut text = String::new();
                for (key, value) in bracketed(values.iter()) {
                    let line = escaped(&plain(&value));
                    text.push_str(&format!("{}: {line}\n", escaped_key(&key)));
                }
                text
            }
        }
    }
}

/// Values with entries of lists under keys of their own, as Spring has them: `tags[0]`.
pub(crate) fn bracketed<'v>(values: impl Iterator<Item = (&'v String, &'v Value)>) -> Map<String, Value> {
    fn walk(key: String, value: &Value, into: &mut Map<String, Value>) {
        match value {
            Value::Array(list) if !list.is_empty() => {
                for (at, value) in list.iter().enumerate() {
                    walk(format!("{key}[{at}]"), value, into);
                }
            }
            Value::Object(table) => {
                for (name, value) in table {
                    walk(format!("{key}.{name}"), value, into);
                }
            }
            Value::Array(_) | Value::Null => drop(into.insert(key, Value::from(""))),
            other => drop(into.insert(key, other.clone())),
        }
    }
    let mut into = Map::new();
    for (key, value) in values {
        walk(key.clone(), value, &mut into);
    }
    into
}

/// What sources (highest first) say together.
pub(crate) fn merged(sources: impl DoubleEndedIterator<Item = Flat>) -> Flat {
    let mut all = Effective::default();
    for source in sources.rev() {
        all.put(source, "");
    }
    all.flat
}

/// Puts values in the place of `${key}` and `${key:otherwise}`; what nothing stands for stays.
pub(crate) fn resolved(text: &str, values: &BTreeMap<String, Value>) -> String {
    opened(text, values, 0)
}

fn opened(text: &str, values: &BTreeMap<String, Value>, depth: usize) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let Some(end) = closing(from).filter(|_| depth < DEPTH_MAX && out.len() < BYTES_MAX) else {
            out.push_str(from);
            return out;
        };
        let inner = opened(&from[2..end], values, depth + 1);
        let (key, otherwise) = match inner.split_once(':') {
            Some((key, otherwise)) => (key, Some(otherwise)),
            None => (inner.as_str(), None),
        };
        match values.get(key) {
            Some(value) => out.push_str(&opened(&plain(value), values, depth + 1)),
            None => out.push_str(otherwise.unwrap_or(&from[..=end])),
        }
        rest = &from[end + 1..];
    }
    out.push_str(rest);
    out
}

/// Where the placeholder that a text begins with ends.
fn closing(text: &str) -> Option<usize> {
    let mut level = 0_usize;
    for (at, b) in text.bytes().enumerate() {
        match b {
            b'{' => level += 1,
            b'}' => {
                level -= 1;
                if level == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

/// Values with their placeholders opened.
pub(crate) fn all_resolved(values: &Flat) -> Flat {
    let each = values.iter().map(|(key, value)| {
        let value = match value {
            Value::String(text) if text.contains("${") => Value::from(resolved(text, values)),
            other => other.clone(),
        };
        (key.clone(), value)
    });
    each.collect()
}

fn yaml(table: &Map<String, Value>, indent: usize, out: &mut String) {
    for (key, value) in table {
        let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
        let plain = key.bytes().all(word) && key.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
        let word = matches!(
            key.to_ascii_lowercase().as_str(),
            "true" | "false" | "null" | "yes" | "no" | "on" | "off"
        );
        out.push_str(&" ".repeat(indent));
        match plain && !word {
            true => out.push_str(key),
            false => out.push_str(&Value::from(key.as_str()).to_string()),
        }
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                out.push_str(":\n");
                yaml(inner, indent + 2, out);
            }
            // JSON is YAML.
            other => out.push_str(&format!(": {other}\n")),
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('\n', "\\n")
        .replace('\r', "\\r")
}

fn escaped_key(key: &str) -> String {
    let mut text = String::new();
    for c in escaped(key).chars() {
        if matches!(c, '=' | ':' | ' ' | '#' | '!') {
            text.push('\\');
        }
        text.push(c);
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn flat(value: Value) -> Flat {
        value.as_object().cloned().unwrap().into_iter().collect()
    }

    #[test]
    fn a_file_names_application_profiles_and_form() {
        assert_eq!(Form::of("order-eu.yml"), Some(("order", "eu", Form::Yaml)));
        assert_eq!(
            Form::of("a-b-c,d.properties"),
            Some(("a-b", "c,d", Form::Properties))
        );
        for none in ["order.yml", "-eu.yml", "order-.json", "order-eu.txt", "order-eu"] {
            assert_eq!(Form::of(none), None, "{none}");
        }
    }

    #[test]
    fn values_have_three_forms() {
        let values = flat(json!({ "a.b": 1, "a.c": ["x", { "d": true }], "e": "two\nlines: #", "on": null }));
        assert_eq!(
            Form::Yaml.write(&values),
            "a:\n  b: 1\n  c: [\"x\",{\"d\":true}]\ne: \"two\\nlines: #\"\n\"on\": null\n"
        );
        assert_eq!(
            Form::Properties.write(&values),
            "a.b: 1\na.c[0]: x\na.c[1].d: true\ne: two\\nlines: #\non: \n"
        );
        assert_eq!(Form::Json.write(&flat(json!({ "a.b": 1 }))), "{\"a\":{\"b\":1}}");
        assert_eq!(Form::Yaml.write(&Flat::new()), "{}\n");
    }

    #[test]
    fn placeholders_are_opened_as_far_as_something_stands_for_them() {
        let values = flat(
            json!({ "host": "h", "port": 1, "url": "http://${host}:${port}/${path:x}", "self": "${self}" }),
        );
        assert_eq!(
            resolved("<${url}> ${none} ${none:${host}}", &values),
            "<http://h:1/x> ${none} h"
        );
        assert!(resolved("${self}", &values).contains("${self}"));
        assert_eq!(resolved("${open", &values), "${open");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[${}:a-b ]{0,60}", other in "[${}:a-b]{0,20}") {
            let values = flat(json!({ "a": other, "b": text }));
            let _ = resolved(&text, &values);
        }
    }
}
