//! Paths into JSON answers: the part of JSONPath (RFC 9535) that names one value, `$.items[0].id`.

use std::str::FromStr;

use serde_json::Value;

/// A parsed path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonPath(Vec<Segment>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Name(String),
    Index(usize),
}

/// The text is no path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a path into JSON such as \"$.items[0].id\", found \"{found}\"")]
pub struct Error {
    found: String,
}

impl FromStr for JsonPath {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = || Error {
            found: text.chars().take(80).collect(),
        };
        let mut rest = text.strip_prefix('$').ok_or_else(bad)?;
        let mut segments = Vec::new();
        while !rest.is_empty() {
            let (segment, tail) = if let Some(named) = rest.strip_prefix('.') {
                let end = named.find(['.', '[']).unwrap_or(named.len());
                let (name, tail) = named.split_at(end);
                let good = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "_-".contains(c));
                (good.then(|| Segment::Name(name.to_owned())), tail)
            } else if let Some(indexed) = rest.strip_prefix('[') {
                let (index, tail) = indexed.split_once(']').ok_or_else(bad)?;
                (index.parse().ok().map(Segment::Index), tail)
            } else {
                return Err(bad());
            };
            segments.push(segment.ok_or_else(bad)?);
            rest = tail;
        }
        Ok(Self(segments))
    }
}

impl JsonPath {
    /// The value that the path leads to.
    pub fn find<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        self.0.iter().try_fold(value, |value, segment| match segment {
            Segment::Name(name) => value.get(name),
            Segment::Index(index) => value.get(index),
        })
    }

    /// The value as text that a placeholder can take: a string as it is, anything else as JSON.
    pub fn text(&self, value: &Value) -> Option<String> {
        Some(match self.find(value)? {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_one_value() {
        let value = serde_json::json!({"items": [{"id": "p1", "price": 5}]});
        for (path, expect) in [
            ("$.items[0].id", Some("p1")),
            ("$.items[0].price", Some("5")),
            ("$.items[1].id", None),
            ("$.other", None),
        ] {
            let found = path.parse::<JsonPath>().unwrap().text(&value);
            assert_eq!(found.as_deref(), expect, "{path}");
        }
        assert_eq!("$".parse::<JsonPath>().unwrap().find(&value), Some(&value));
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for text in [
            "", "items", "$items", "$.", "$..a", "$[", "$[a]", "$[-1]", "$.a b",
        ] {
            assert!(text.parse::<JsonPath>().is_err(), "{text:?}");
        }
    }
}
