//! Files of a configuration repository as values: YAML, properties, JSON, TOML.

use serde_json::{Map, Value};

use super::yaml;

/// Endings that are read, those that count more first.
pub(crate) const ENDINGS: [&str; 5] = ["properties", "yml", "yaml", "json", "toml"];
/// Keys of a document that say when it counts.
const CONDITIONS: [&str; 2] = ["spring.config.activate.on-profile", "spring.profiles"];
const DEPTH_MAX: usize = 32;

/// One document of a file.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Document {
    /// Profiles that it counts for; none means always.
    pub(crate) profiles: Option<Vec<String>>,
    /// Its values by dotted key, in order; a list is a value.
    pub(crate) values: Vec<(String, Value)>,
}

/// The documents of a file, by what its name ends in.
pub(crate) fn documents(path: &str, content: &[u8]) -> Result<Vec<Document>, String> {
    let text = std::str::from_utf8(content).map_err(|error| error.to_string())?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let wholes = match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("yml" | "yaml") => yaml::documents(text)?,
        Some("json") => vec![serde_json::from_str(text).map_err(|error| error.to_string())?],
        Some("toml") => {
            let table: Map<String, Value> = toml::from_str(text).map_err(|error: toml::de::Error| {
                error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
            })?;
            vec![Value::Object(table)]
        }
        Some("properties") => return properties(text).map(|values| vec![document(values)]),
        _ => return Err("expected a name that ends in .yml, .yaml, .properties, .json or .toml".to_owned()),
    };
    let mut all = Vec::new();
    for whole in wholes {
        let Value::Object(table) = whole else {
            return Err("expected keys with values".to_owned());
        };
        let mut values = Vec::new();
        flatten("", &table, 0, &mut values)?;
        all.push(document(values));
    }
    Ok(all)
}

fn document(mut values: Vec<(String, Value)>) -> Document {
    let mut profiles = None;
    values.retain(|(key, value)| {
        let says = CONDITIONS.contains(&key.as_str());
        if says {
            profiles = Some(names(value));
        }
        !says
    });
    Document { profiles, values }
}

/// `a, b` or a list of names.
fn names(value: &Value) -> Vec<String> {
    let text = match value {
        Value::Array(list) => list
            .iter()
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
            .join(","),
        other => other.as_str().unwrap_or_default().to_owned(),
    };
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}

/// Nested tables by dotted key; a key that has dots is nested by them.
fn flatten(
    prefix: &str,
    table: &Map<String, Value>,
    depth: usize,
    into: &mut Vec<(String, Value)>,
) -> Result<(), String> {
    if depth > DEPTH_MAX {
        return Err(format!("expected at most {DEPTH_MAX} levels"));
    }
    for (name, value) in table {
        let key = match prefix {
            "" => name.clone(),
            _ => format!("{prefix}.{name}"),
        };
        match value {
            Value::Object(inner) if !inner.is_empty() => flatten(&key, inner, depth + 1, into)?,
            Value::Object(_) => {}
            other => into.push((key, other.clone())),
        }
    }
    Ok(())
}

/// Java's properties (`java.util.Properties.load`): everything is text.
fn properties(text: &str) -> Result<Vec<(String, Value)>, String> {
    let mut all: Vec<(String, Value)> = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let mut whole = line.trim_start().to_owned();
        if whole.is_empty() || whole.starts_with(['#', '!']) {
            continue;
        }
        while continues(&whole) {
            whole.pop();
            whole.push_str(lines.next().unwrap_or_default().trim_start());
        }
        let (key, value) = split(&whole);
        let (key, value) = (unescaped(key)?, unescaped(value)?);
        all.retain(|(held, _)| *held != key);
        all.push((key, Value::from(value)));
    }
    Ok(all)
}

/// Whether a line ends in an odd number of backslashes.
fn continues(line: &str) -> bool {
    line.bytes().rev().take_while(|b| *b == b'\\').count() % 2 == 1
}

/// Key and value: the first `=`, `:` or space that is not escaped stands between them.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line.char_indices().find(|(_, c)| {
        let ends = !escaped && matches!(c, '=' | ':' | ' ' | '\t');
        escaped = !escaped && *c == '\\';
        ends
    });
    let Some((end, _)) = end else {
        return (line, "");
    };
    let rest = line[end..].trim_start_matches([' ', '\t']);
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (&line[..end], rest.trim_start_matches([' ', '\t']))
}

fn unescaped(text: &str) -> Result<String, String> {
    let (mut plain, mut chars) = (String::new(), text.chars());
    while let Some(c) = chars.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => plain.push('\n'),
            Some('r') => plain.push('\r'),
            Some('t') => plain.push('\t'),
            Some('f') => plain.push('\u{c}'),
            Some('u') => {
                let digits: String = chars.by_ref().take(4).collect();
                let code = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
                plain.push(code.ok_or_else(|| format!("\\u{digits} is no character"))?);
            }
            Some(other) => plain.push(other),
            None => {}
        }
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(path: &str, text: &str, expect: Value) {
        let documents = documents(path, text.as_bytes()).unwrap();
        let found: Vec<Value> = documents
            .iter()
            .map(|one| json!([one.profiles, one.values.iter().cloned().collect::<Map<_, _>>()]))
            .collect();
        assert_eq!(Value::Array(found), expect, "{path}");
    }

    #[test]
    fn every_form_is_read() {
        let expect = json!([[null, { "max_lines": 7, "db.host": "a", "tags": ["x", "y"] }]]);
        check(
            "order.yml",
            "max_lines: 7\ndb:\n  host: a\ntags: [x, y]\n",
            expect.clone(),
        );
        check(
            "order.json",
            "{\"max_lines\":7,\"db\":{\"host\":\"a\"},\"tags\":[\"x\",\"y\"]}",
            expect.clone(),
        );
        check(
            "order.toml",
            "max_lines = 7\ntags = [\"x\", \"y\"]\n[db]\nhost = \"a\"\n",
            expect,
        );
        check(
            "order.properties",
            "# said\nmax_lines = 7\ndb.host: a\\\n   b\nc\\ d=\\u00e9\\n\nempty\n",
            json!([[null, { "max_lines": "7", "db.host": "ab", "c d": "é\n", "empty": "" }]]),
        );
    }

    #[test]
    fn a_document_says_for_whom_it_counts() {
        check(
            "order.yml",
            "a: 1\n---\nspring.config.activate.on-profile: eu, us\na: 2\n---\nspring:\n  profiles: [x]\nb: 1\n",
            json!([[null, { "a": 1 }], [["eu", "us"], { "a": 2 }], [["x"], { "b": 1 }]]),
        );
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        for (path, text) in [
            ("a.yml", "a: [1"),
            ("a.yml", "- 1\n"),
            ("a.json", "{"),
            ("a.toml", "a ="),
            ("a.properties", "a=\\uZZZZ"),
            ("a.txt", ""),
        ] {
            assert!(documents(path, text.as_bytes()).is_err(), "{path}: {text}");
        }
        assert!(documents("a.yml", &[0xff, 0xfe]).is_err());
        assert!(documents("a.json", "[".repeat(100_000).as_bytes()).is_err());
    }
}
