//! Texts with placeholders: `{name}` stands for a saved value, `{uuid}` for a new UUID at each use.
//!
//! Only a brace pair around a plain name is a placeholder, so JSON bodies need no escapes.

/// Placeholder that is a new UUID at each use.
pub const UUID: &str = "uuid";

enum Part<'t> {
    Text(&'t str),
    Placeholder(&'t str),
}

/// Names of the placeholders in a text, in order.
pub fn placeholders(text: &str) -> Vec<&str> {
    parts(text)
        .into_iter()
        .filter_map(|part| match part {
            Part::Placeholder(name) => Some(name),
            Part::Text(_) => None,
        })
        .collect()
}

/// The text with every placeholder filled in; the name of the first one that `value` does not know otherwise.
pub fn fill(text: &str, mut value: impl FnMut(&str) -> Option<String>) -> Result<String, String> {
    let mut filled = String::with_capacity(text.len());
    for part in parts(text) {
        match part {
            Part::Text(text) => filled.push_str(text),
            Part::Placeholder(name) => filled.push_str(&value(name).ok_or_else(|| name.to_owned())?),
        }
    }
    Ok(filled)
}

/// Whether a text can name a saved value.
pub fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let (mut start, mut from) = (0, 0);
    while let Some(open) = text[from..].find('{').map(|at| at + from) {
        let inner = &text[open + 1..];
        let name = inner.find('}').map(|end| &inner[..end]).filter(|n| is_name(n));
        from = open + 1;
        if let Some(name) = name {
            parts.push(Part::Text(&text[start..open]));
            parts.push(Part::Placeholder(name));
            start = open + name.len() + 2;
            from = start;
        }
    }
    parts.push(Part::Text(&text[start..]));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_stand_in_json_without_escapes() {
        let body = r#"{"lines":[{"product_id":"{product}","quantity":1}],"x":{},"k":"{uuid}"}"#;
        assert_eq!(placeholders(body), ["product", "uuid"]);
        let filled = fill(body, |name| Some(format!("<{name}>"))).unwrap();
        assert_eq!(
            filled,
            r#"{"lines":[{"product_id":"<product>","quantity":1}],"x":{},"k":"<uuid>"}"#
        );
    }

    #[test]
    fn an_unknown_placeholder_is_named() {
        assert_eq!(fill("a{b}", |_| None), Err("b".to_owned()));
        assert_eq!(fill("a{B}{", |_| None), Ok("a{B}{".to_owned()));
    }
}
