//! Values made from a JSON schema: the same one each time, as small as the schema lets them be.

use serde_json::{Map, Value, json};

/// Deepest nesting of a value; schemas may refer to themselves.
const DEPTH_MAX: usize = 12;
/// Longest chain of references.
const REFERENCES_MAX: usize = 32;
/// Most entries of a list that is made to be as long as its schema wants.
const ITEMS_MAX: u64 = 100;

/// Makes values from schemas of one document.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sampler<'d> {
    root: &'d Value,
}

impl<'d> Sampler<'d> {
    pub(super) fn new(root: &'d Value) -> Self {
        Self { root }
    }

    /// What a local reference (`{"$ref": "#/…"}`) stands for; anything else as it is.
    pub(super) fn resolve(&self, value: &'d Value) -> &'d Value {
        let mut value = value;
        for _ in 0..REFERENCES_MAX {
            let target = value["$ref"].as_str().and_then(|to| to.strip_prefix('#'));
            match target.and_then(|pointer| self.root.pointer(pointer)) {
                Some(target) => value = target,
                None => return value,
            }
        }
        &Value::Null
    }

    /// A value that the schema accepts. `name` is the property that it is for: a text says so.
    pub(super) fn value(&self, schema: &'d Value, name: &str) -> Value {
        self.at(schema, name, 0)
    }

    fn at(&self, schema: &'d Value, name: &str, depth: usize) -> Value {
        let schema = self.resolve(schema);
        if depth > DEPTH_MAX {
            return Value::Null;
        }
        for key in ["example", "const", "default"] {
            if let Some(value) = schema.get(key).filter(|value| !value.is_null()) {
                return value.clone();
            }
        }
        for key in ["examples", "enum"] {
            if let Some(value) = schema[key].as_array().and_then(|values| values.first()) {
                return value.clone();
            }
        }
        for key in ["oneOf", "anyOf"] {
            let choices = schema[key].as_array().into_iter().flatten();
            if let Some(choice) = choices
                .into_iter()
                .find(|choice| self.resolve(choice)["type"] != "null")
            {
                return self.at(choice, name, depth + 1);
            }
        }
        if let Some(parts) = schema["allOf"].as_array() {
            return self.merged(schema, parts, name, depth);
        }
        match kind(schema) {
            "object" => self.object(schema, depth),
            "array" => {
                let items = schema["minItems"].as_u64().unwrap_or(1).clamp(1, ITEMS_MAX);
                let item = self.at(&schema["items"], name, depth + 1);
                Value::Array((0..items).map(|_| item.clone()).collect())
            }
            "string" => Value::String(text(schema, name)),
            "integer" => schema
                .get("minimum")
                .filter(|min| min.as_i64() > Some(0))
                .cloned()
                .unwrap_or(json!(1)),
            "number" => schema
                .get("minimum")
                .filter(|min| min.as_f64() > Some(0.0))
                .cloned()
                .unwrap_or(json!(1.0)),
            "boolean" => Value::Bool(true),
            _ => Value::Null,
        }
    }

    fn object(&self, schema: &'d Value, depth: usize) -> Value {
        let properties = schema["properties"].as_object().into_iter().flatten();
        let values = properties.map(|(name, schema)| (name.clone(), self.at(schema, name, depth + 1)));
        Value::Object(values.collect())
    }

    fn merged(&self, schema: &'d Value, parts: &'d [Value], name: &str, depth: usize) -> Value {
        let mut merged = match self.object(schema, depth) {
            Value::Object(own) => own,
            _ => Map::new(),
        };
        for part in parts {
            match self.at(part, name, depth + 1) {
                Value::Object(part) => merged.extend(part),
                other if parts.len() == 1 => return other,
                _ => {}
            }
        }
        Value::Object(merged)
    }
}

/// The schema's type: the first that is not null where there are several, guessed from its keys where none is given.
fn kind(schema: &Value) -> &str {
    match &schema["type"] {
        Value::String(kind) => kind,
        Value::Array(kinds) => {
            let mut kinds = kinds.iter().filter_map(Value::as_str);
            kinds.find(|kind| *kind != "null").unwrap_or("null")
        }
        _ if schema.get("properties").is_some() => "object",
        _ if schema.get("items").is_some() => "array",
        _ => "null",
    }
}

fn text(schema: &Value, name: &str) -> String {
    let text = match schema["format"].as_str().unwrap_or_default() {
        "uuid" => "01890000-0000-7000-8000-000000000001",
        "date-time" => "2026-01-01T00:00:00Z",
        "date" => "2026-01-01",
        "time" => "00:00:00Z",
        "email" => "somebody@example.org",
        "uri" | "url" => "https://example.org/",
        "ipv4" => "127.0.0.1",
        _ if name.is_empty() => "text",
        _ => name,
    };
    let shortest = usize::try_from(schema["minLength"].as_u64().unwrap_or(0))
        .unwrap_or(0)
        .min(10_000);
    let mut text = text.to_owned();
    while text.chars().count() < shortest {
        text.push('x');
    }
    match schema["maxLength"].as_u64() {
        Some(longest) => text
            .chars()
            .take(usize::try_from(longest).unwrap_or(usize::MAX))
            .collect(),
        None => text,
    }
}

/// Puts in what was said under the same names, as far as it is of the same kind.
pub(super) fn overlay(value: &mut Value, said: &Value) {
    match (value, said) {
        (Value::Object(value), Value::Object(said)) => {
            for (name, value) in value {
                if let Some(said) = said.get(name) {
                    overlay(value, said);
                }
            }
        }
        (Value::Array(value), Value::Array(said)) => {
            let Some(first) = value.first().cloned() else {
                return;
            };
            *value = said
                .iter()
                .map(|said| {
                    let mut item = first.clone();
                    overlay(&mut item, said);
                    item
                })
                .collect();
        }
        (value @ Value::String(_), Value::String(_))
        | (value @ Value::Number(_), Value::Number(_))
        | (value @ Value::Bool(_), Value::Bool(_)) => *value = said.clone(),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(schema: Value, expect: Value) {
        let root = json!({ "$defs": { "Tree": { "type": "object", "properties": { "child": { "$ref": "#/$defs/Tree" } } },
            "Loop": { "$ref": "#/$defs/Loop" } } });
        assert_eq!(Sampler::new(&root).value(&schema, "name"), expect, "{schema}");
    }

    #[test]
    fn a_value_is_made_from_each_kind_of_schema() {
        check(json!({ "type": "string" }), json!("name"));
        check(json!({ "type": "string", "format": "date" }), json!("2026-01-01"));
        check(
            json!({ "type": "string", "minLength": 6, "maxLength": 6 }),
            json!("namexx"),
        );
        check(json!({ "type": ["null", "integer"], "minimum": 3 }), json!(3));
        check(json!({ "type": "number" }), json!(1.0));
        check(
            json!({ "type": "array", "items": { "type": "boolean" }, "minItems": 2 }),
            json!([true, true]),
        );
        check(json!({ "enum": ["open", "shut"] }), json!("open"));
        check(json!({ "type": "string", "example": "lamp" }), json!("lamp"));
        check(
            json!({ "anyOf": [{ "type": "null" }, { "type": "integer" }] }),
            json!(1),
        );
        check(
            json!({ "allOf": [{ "properties": { "a": { "type": "integer" } } }], "properties": { "b": { "const": 2 } } }),
            json!({ "a": 1, "b": 2 }),
        );
        check(json!({}), Value::Null);
    }

    #[test]
    fn schemas_that_refer_to_themselves_come_to_an_end() {
        let root = json!({ "$ref": "#/$defs/Tree" });
        let defs = json!({ "$defs": { "Tree": { "type": "object", "properties": { "child": { "$ref": "#/$defs/Tree" } } } } });
        let made = Sampler::new(&defs).value(&root, "");
        assert!(made.to_string().len() < 1_000);
        check(json!({ "$ref": "#/$defs/Loop" }), Value::Null);
    }
}
