//! Eureka's documents as XML, both ways. Both forms say the same: an element is a member, an attribute a member `@name`,
//! the text beside attributes the member `$`, elements of one name a list.

use quick_xml::Reader;
use quick_xml::XmlVersion;
use quick_xml::escape::{escape, resolve_predefined_entity};
use quick_xml::events::{BytesStart, Event};
use serde_json::{Map, Value};

/// Elements within each other at most.
const DEPTH_MAX: usize = 8;
/// Elements of a document at most; an instance has about thirty.
const ELEMENTS_MAX: usize = 1_000;

/// Why a document cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("{0}")]
    Malformed(#[from] quick_xml::Error),
    #[error("expected at most {ELEMENTS_MAX} elements, at most {DEPTH_MAX} within each other")]
    TooMuch,
    #[error("the reference &{0}; is none of XML's own")]
    Reference(String),
    #[error("expected one element with everything in it")]
    NoRoot,
}

/// An element that is being read.
#[derive(Debug, Default)]
struct Element {
    name: String,
    attributes: Map<String, Value>,
    members: Map<String, Value>,
    text: String,
}

impl Element {
    fn open(start: &BytesStart<'_>) -> Result<Self, Error> {
        let mut element = Self {
            name: start.name().0.to_owned(),
            ..Self::default()
        };
        for attribute in start.attributes() {
            let attribute = attribute.map_err(quick_xml::Error::from)?;
            let value = attribute.normalized_value(XmlVersion::Implicit1_0)?.into_owned();
            let key = format!("@{}", attribute.key.0);
            element.attributes.insert(key, Value::String(value));
        }
        Ok(element)
    }

    fn take(&mut self, name: String, value: Value) {
        match self.members.get_mut(&name) {
            None => drop(self.members.insert(name, value)),
            Some(Value::Array(all)) => all.push(value),
            Some(one) => *one = Value::Array(vec![one.take(), value]),
        }
    }

    fn value(self) -> Value {
        let text = Value::String(self.text.trim().to_owned());
        if self.members.is_empty() && self.attributes.is_empty() {
            return text;
        }
        let mut all = self.attributes;
        if self.members.is_empty() {
            all.insert("$".to_owned(), text);
        }
        all.extend(self.members);
        Value::Object(all)
    }
}

/// Reads a document: name and value of its outermost element.
pub(super) fn read(document: &str) -> Result<(String, Value), Error> {
    let mut reader = Reader::from_str(document);
    reader.config_mut().expand_empty_elements = true;
    let (mut open, mut elements): (Vec<Element>, usize) = (Vec::new(), 0);
    loop {
        match reader.read_event()? {
            Event::Start(start) => {
                elements += 1;
                if open.len() >= DEPTH_MAX || elements > ELEMENTS_MAX {
                    return Err(Error::TooMuch);
                }
                open.push(Element::open(&start)?);
            }
            Event::End(_) => {
                let done = open.pop().ok_or(Error::NoRoot)?;
                let (name, value) = (done.name.clone(), done.value());
                match open.last_mut() {
                    Some(outer) => outer.take(name, value),
                    None => return Ok((name, value)),
                }
            }
            Event::Text(text) => said(&mut open, &text.xml10_content()),
            Event::CData(text) => said(&mut open, &text.xml10_content()),
            Event::GeneralRef(reference) => {
                let known = match reference.resolve_char_ref()? {
                    Some(letter) => letter.to_string(),
                    None => resolve_predefined_entity(&reference)
                        .ok_or_else(|| Error::Reference(reference.chars().take(64).collect()))?
                        .to_owned(),
                };
                said(&mut open, &known);
            }
            Event::Eof => return Err(Error::NoRoot),
            _ => {}
        }
    }
}

fn said(open: &mut [Element], text: &str) {
    if let Some(element) = open.last_mut() {
        element.text.push_str(text);
    }
}

/// Writes an element. A member whose name is none of XML's is left out.
pub(super) fn write(name: &str, value: &Value) -> String {
    let mut out = String::with_capacity(1_024);
    element(&mut out, name, value);
    out
}

fn element(out: &mut String, name: &str, value: &Value) {
    if let Value::Array(all) = value {
        all.iter().for_each(|one| element(out, name, one));
        return;
    }
    if !is_name(name) {
        return;
    }
    // The one member that has another name as XML.
    let name = match name {
        "overriddenStatus" => "overriddenstatus",
        name => name,
    };
    out.push('<');
    out.push_str(name);
    let members = value.as_object();
    for (key, value) in members.into_iter().flatten() {
        if let Some(attribute) = key.strip_prefix('@').filter(|attribute| is_name(attribute)) {
            out.push_str(&format!(" {attribute}=\"{}\"", escaped(&plain(value))));
        }
    }
    out.push('>');
    match members {
        None => out.push_str(&escaped(&plain(value))),
        Some(members) => {
            for (key, value) in members.iter().filter(|(key, _)| !key.starts_with('@')) {
                match key.as_str() {
                    "$" => out.push_str(&escaped(&plain(value))),
                    key => element(out, key, value),
                }
            }
        }
    }
    out.push_str("</");
    out.push_str(name);
    out.push('>');
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Escaped, without what no XML document may hold (XML 1.0 §2.2).
fn escaped(text: &str) -> String {
    let good = |c: char| !matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}');
    let clean: String = text
        .chars()
        .map(|c| if good(c) { c } else { '\u{fffd}' })
        .collect();
    escape(clean).into_owned()
}

/// Whether XML lets an element have this name: the part of it (XML 1.0 §2.3) that is ASCII and has no namespace.
fn is_name(name: &str) -> bool {
    let first = |b: u8| b.is_ascii_alphabetic() || b == b'_';
    let inner = |b: u8| first(b) || b.is_ascii_digit() || matches!(b, b'-' | b'.');
    let bytes = name.as_bytes();
    bytes.first().copied().is_some_and(first) && bytes.iter().copied().all(inner)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn an_instance_is_the_same_as_xml_and_as_json() {
        let document = "<?xml version=\"1.0\"?><!-- from a client --><instance><app>STOCK</app>\
            <port enabled=\"true\">8080</port><dataCenterInfo class=\"a.B$C\"><name>MyOwn</name></dataCenterInfo>\
            <metadata><zone>b</zone><note>1 &lt; 2 &amp; &#51;</note><empty/></metadata></instance>";
        let expected = json!({
            "app": "STOCK", "port": { "@enabled": "true", "$": "8080" },
            "dataCenterInfo": { "@class": "a.B$C", "name": "MyOwn" },
            "metadata": { "zone": "b", "note": "1 < 2 & 3", "empty": "" },
        });
        let (name, value) = read(document).unwrap();
        assert_eq!((name.as_str(), &value), ("instance", &expected));
        assert_eq!(read(&write("instance", &value)).unwrap().1, expected);
    }

    #[test]
    fn what_is_no_document_or_too_much_is_refused() {
        let deep = "<a>".repeat(9) + &"</a>".repeat(9);
        let many = format!("<a>{}</a>", "<b/>".repeat(1_000));
        for bad in [
            "",
            "text",
            "<a>",
            "<a></b>",
            "<a>&x;</a>",
            "<a b=1/>",
            &deep,
            &many,
        ] {
            assert!(read(bad).is_err(), "{bad:.40}");
        }
        // An entity of the document's own is not expanded.
        assert!(read("<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>").is_err());
    }

    #[test]
    fn names_that_xml_has_not_are_left_out_and_lists_are_elements_of_one_name() {
        let value = json!({ "a b": 1, "1": 2, "ok": [1, { "x": "\u{0}<" }], "overriddenStatus": "UP" });
        let written = write("r", &value);
        assert_eq!(
            written,
            "<r><ok>1</ok><ok><x>\u{fffd}&lt;</x></ok><overriddenstatus>UP</overriddenstatus></r>"
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,200}") {
            let _ = read(&text);
        }

        #[test]
        fn what_is_written_is_read_as_it_was(texts in prop::collection::btree_map("[a-z][a-z.-]{0,8}", "[ -~äß€]{0,20}", 1..8)) {
            let members: Map<String, Value> =
                texts.into_iter().map(|(key, text)| (key, Value::String(text.trim().to_owned()))).collect();
            let value = Value::Object(members);
            prop_assert_eq!(read(&write("r", &value)).unwrap(), ("r".to_owned(), value));
        }
    }
}
