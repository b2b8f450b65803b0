//! YAML 1.2 as values, with bounds: depth, nodes, and what aliases make of few lines.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};
use serde_json::{Map, Number, Value};

const DEPTH_MAX: usize = 32;
const NODES_MAX: usize = 20_000;

/// The documents of a text; one that says nothing is left out.
pub(super) fn documents(text: &str) -> Result<Vec<Value>, String> {
    let mut reader = Reader::default();
    let mut all = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| error.to_string())?;
        let line = span.start.line();
        if let Some(value) = reader.take(event).map_err(|why| format!("line {line}: {why}"))?
            && !value.is_null()
        {
            all.push(value);
        }
    }
    Ok(all)
}

#[derive(Default)]
struct Reader {
    stack: Vec<(Open, usize)>,
    anchors: BTreeMap<usize, Value>,
    nodes: usize,
    whole: Option<Value>,
}

/// A collection that is not complete yet.
enum Open {
    List(Vec<Value>),
    Table {
        table: Map<String, Value>,
        key: Option<String>,
        merged: Vec<Value>,
    },
}

impl Reader {
    /// Takes an event; gives a document where it ends one.
    fn take(&mut self, event: Event<'_>) -> Result<Option<Value>, String> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.count(1)?;
                self.put(scalar(&text, style, tag.as_deref()), anchor)?;
            }
            Event::Alias(anchor) => {
                let value = self.anchors.get(&anchor).cloned();
                let value = value.ok_or("an alias stands before its anchor is complete")?;
                self.count(nodes(&value))?;
                self.put(value, 0)?;
            }
            Event::SequenceStart(anchor, _) => self.open(Open::List(Vec::new()), anchor)?,
            Event::MappingStart(anchor, _) => {
                let table = Open::Table {
                    table: Map::new(),
                    key: None,
                    merged: Vec::new(),
                };
                self.open(table, anchor)?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let (open, anchor) = self.stack.pop().ok_or("an end without a beginning")?;
                let value = match open {
                    Open::List(list) => Value::Array(list),
                    Open::Table { table, merged, .. } => Value::Object(with_merged(table, merged)?),
                };
                self.put(value, anchor)?;
            }
            Event::DocumentEnd => return Ok(self.whole.take()),
            Event::DocumentStart(_) => self.anchors.clear(),
            _ => {}
        }
        Ok(None)
    }

    fn open(&mut self, open: Open, anchor: usize) -> Result<(), String> {
        self.count(1)?;
        if self.stack.len() >= DEPTH_MAX {
            return Err(format!("expected at most {DEPTH_MAX} levels"));
        }
        self.stack.push((open, anchor));
        Ok(())
    }

    fn count(&mut self, nodes: usize) -> Result<(), String> {
        self.nodes = self.nodes.saturating_add(nodes);
        match self.nodes > NODES_MAX {
            true => Err(format!(
                "expected at most {NODES_MAX} values, aliases counted in full"
            )),
            false => Ok(()),
        }
    }

    fn put(&mut self, value: Value, anchor: usize) -> Result<(), String> {
        if anchor > 0 {
            self.anchors.insert(anchor, value.clone());
        }
        match self.stack.last_mut() {
            None => self.whole = Some(value),
            Some((Open::List(list), _)) => list.push(value),
            Some((Open::Table { table, key, merged }, _)) => match key.take() {
                None => {
                    let name = match value {
                        Value::String(name) => name,
                        Value::Null => "null".to_owned(),
                        Value::Array(_) | Value::Object(_) => return Err("a key is text".to_owned()),
                        other => other.to_string(),
                    };
                    *key = Some(name);
                }
                Some(name) if name == "<<" => merged.push(value),
                Some(name) => {
                    if table.contains_key(&name) {
                        return Err(format!("{name} stands there twice"));
                    }
                    table.insert(name, value);
                }
            },
        }
        Ok(())
    }
}

/// What `<<` brings stands below what the table says itself.
fn with_merged(mut table: Map<String, Value>, merged: Vec<Value>) -> Result<Map<String, Value>, String> {
    let each = merged.into_iter().flat_map(|value| match value {
        Value::Array(list) => list,
        other => vec![other],
    });
    for value in each {
        let Value::Object(other) = value else {
            return Err("<<: expected a table".to_owned());
        };
        for (name, value) in other {
            table.entry(name).or_insert(value);
        }
    }
    Ok(table)
}

fn nodes(value: &Value) -> usize {
    match value {
        Value::Array(list) => 1 + list.iter().map(nodes).sum::<usize>(),
        Value::Object(table) => 1 + table.values().map(nodes).sum::<usize>(),
        _ => 1,
    }
}

/// The core schema (YAML 1.2, §10.3.2).
fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Value {
    let as_text = tag.is_some_and(|tag| tag.suffix == "str");
    if as_text || style != ScalarStyle::Plain {
        return Value::from(text);
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => number(text).map_or_else(|| Value::from(text), Value::Number),
    }
}

fn number(text: &str) -> Option<Number> {
    let radix = |prefix: &str, radix: u32| {
        let digits = text.strip_prefix(prefix)?;
        i64::from_str_radix(digits, radix).ok().map(Number::from)
    };
    if let Some(number) = radix("0x", 16).or_else(|| radix("0o", 8)) {
        return Some(number);
    }
    let body = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !body.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        || !body.contains(|c: char| c.is_ascii_digit())
    {
        return None;
    }
    let plain = text.strip_prefix('+').unwrap_or(text);
    let signed = plain.parse::<i64>().ok().map(Number::from);
    let unsigned = || plain.parse::<u64>().ok().map(Number::from);
    let float = || {
        let written = body
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'-' | b'+'));
        let float = written.then(|| plain.parse::<f64>().ok())??;
        Number::from_f64(float)
    };
    signed.or_else(unsigned).or_else(float)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_are_read_with_what_their_scalars_stand_for() {
        let text = "a: 1\nb: [x, 'yes', 2.5, ~]\nc: &c {d: true, e: 0x10}\nf: {<<: *c, e: 7}\n---\ng: !!str 1\nh: |\n  two\n  lines\n---\n";
        assert_eq!(
            documents(text),
            Ok(vec![
                json!({ "a": 1, "b": ["x", "yes", 2.5, null], "c": { "d": true, "e": 16 }, "f": { "d": true, "e": 7 } }),
                json!({ "g": "1", "h": "two\nlines\n" }),
            ])
        );
        for (text, expect) in [
            ("a: 1\na: 2\n", "line 2: a stands there twice"),
            ("a: [1", "line"),
            ("? [a]\n: 1\n", "a key is text"),
        ] {
            let error = documents(text).unwrap_err();
            assert!(error.contains(expect), "{error}");
        }
    }

    #[test]
    fn few_lines_cannot_become_many_values() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let below = format!("*a{}, ", level - 1).repeat(10);
            text.push_str(&format!(
                "a{level}: &a{level} [{}]\n",
                below.trim_end_matches(", ")
            ));
        }
        assert!(documents(&text).unwrap_err().contains("aliases counted in full"));
        assert!(documents(&"[".repeat(100)).is_err());
        assert!(
            documents(&format!("a: {}1{}", "[".repeat(40), "]".repeat(40)))
                .unwrap_err()
                .contains("levels")
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[-a-c:\\[\\]{}&*<>|'\"#, \\n0-9!?%@]{0,80}") {
            let _ = documents(&text);
        }

        #[test]
        fn what_is_written_as_json_is_read_the_same(value in "[a-z0-9 .:#-]{0,20}", number in any::<i32>()) {
            let whole = json!({ "a": { "b": value, "c": [number, true, null] } });
            prop_assert_eq!(documents(&whole.to_string()), Ok(vec![whole]));
        }
    }
}
