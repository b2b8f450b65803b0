//! An OpenAPI document (3.0 or 3.1) as far as answers are made from it.

use serde_json::{Map, Value};

use super::sample::{Sampler, overlay};

const METHODS: [&str; 7] = ["get", "put", "post", "delete", "patch", "head", "options"];

/// A document and its operations.
#[derive(Debug, Default)]
pub(super) struct Document {
    root: Value,
    operations: Vec<Operation>,
}

#[derive(Debug)]
struct Operation {
    method: String,
    segments: Vec<Segment>,
    /// Path and method in the document.
    place: (String, String),
}

#[derive(Debug, PartialEq, Eq)]
enum Segment {
    Text(String),
    Parameter(String),
}

/// What is answered.
#[derive(Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Content type and value, where the document says that there is a body.
    pub(super) body: Option<(String, Value)>,
}

impl Document {
    /// Reads the operations; what is none is passed over.
    pub(super) fn new(root: Value) -> Self {
        let mut operations = Vec::new();
        for (path, methods) in root["paths"].as_object().into_iter().flatten() {
            for method in METHODS.iter().filter(|method| methods.get(**method).is_some()) {
                operations.push(Operation {
                    method: method.to_uppercase(),
                    segments: segments(path),
                    place: (path.clone(), (*method).to_owned()),
                });
            }
        }
        // Text before parameters, so that /orders/new is not taken for an order.
        operations.sort_by_key(|operation| {
            operation
                .segments
                .iter()
                .map(|segment| matches!(segment, Segment::Parameter(_)))
                .collect::<Vec<bool>>()
        });
        Self { root, operations }
    }

    /// The success that the document promises for a request: its example, else a value made from its schema, with
    /// what the request said under the same names.
    pub(super) fn answer(&self, method: &str, path: &str, body: &Value) -> Option<Answer> {
        let found = self.operations.iter().find_map(|operation| {
            let parameters = operation.matches(method, path)?;
            Some((operation, parameters))
        });
        let (operation, parameters) = found?;
        let (path, method) = &operation.place;
        let sampler = Sampler::new(&self.root);
        let responses = self.root["paths"][path][method]["responses"].as_object()?;
        let success = responses
            .iter()
            .filter_map(|(code, response)| Some((code.replace("XX", "00").parse::<u16>().ok()?, response)))
            .filter(|(code, _)| (200..400).contains(code))
            .min_by_key(|(code, _)| *code);
        let Some((status, response)) = success else {
            return Some(Answer {
                status: 200,
                body: None,
            });
        };
        let content = sampler.resolve(response)["content"].as_object();
        let body = content.and_then(|content| media(content)).map(|(kind, media)| {
            let value = example(&sampler, media).unwrap_or_else(|| {
                let mut value = sampler.value(&media["schema"], "");
                overlay(&mut value, &Value::Object(parameters));
                overlay(&mut value, body);
                value
            });
            (kind.to_owned(), value)
        });
        Some(Answer { status, body })
    }
}

impl Operation {
    /// The path's parameters where the operation is meant.
    fn matches(&self, method: &str, path: &str) -> Option<Map<String, Value>> {
        let found: Vec<&str> = path.trim_matches('/').split('/').collect();
        if self.method != method || found.len() != self.segments.len() {
            return None;
        }
        let mut parameters = Map::new();
        for (segment, found) in self.segments.iter().zip(found) {
            match segment {
                Segment::Text(text) if text == found => {}
                Segment::Text(_) => return None,
                Segment::Parameter(name) => drop(parameters.insert(name.clone(), Value::from(found))),
            }
        }
        Some(parameters)
    }
}

fn segments(path: &str) -> Vec<Segment> {
    let segment = |text: &str| match text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        Some(name) => Segment::Parameter(name.to_owned()),
        None => Segment::Text(text.to_owned()),
    };
    path.trim_matches('/').split('/').map(segment).collect()
}

/// JSON where it is offered, else whatever comes first.
fn media(content: &Map<String, Value>) -> Option<(&str, &Value)> {
    let plain = content.iter().find(|(kind, _)| *kind == "application/json");
    let json = || content.iter().find(|(kind, _)| kind.contains("json"));
    let found = plain.or_else(json).or_else(|| content.iter().next());
    found.map(|(kind, media)| (kind.as_str(), media))
}

fn example(sampler: &Sampler<'_>, media: &Value) -> Option<Value> {
    let named = || {
        let first = media["examples"].as_object()?.values().next()?;
        sampler.resolve(first).get("value")
    };
    media.get("example").or_else(named).cloned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document() -> Document {
        let product = json!({ "type": "object", "required": ["id", "name"], "properties": {
            "id": { "type": "string" }, "name": { "type": "string" }, "price_cents": { "type": "integer", "minimum": 5 } } });
        Document::new(json!({
            "paths": {
                "/products/{id}": {
                    "get": { "responses": { "404": {}, "200": { "content": {
                        "application/problem+json": {},
                        "application/json": { "schema": { "$ref": "#/components/schemas/Product" } } } } } },
                    "delete": { "responses": { "204": { "description": "gone" } } },
                },
                "/products/new": { "get": { "responses": { "200": { "content": {
                    "application/json": { "example": { "id": "told" } } } } } } },
                "/reservations": { "post": { "responses": { "201": { "content": { "application/json": { "schema": {
                    "type": "object", "properties": { "lines": { "type": "array", "items": { "$ref": "#/components/schemas/Product" } } }
                } } } } } } },
            },
            "components": { "schemas": { "Product": product } },
        }))
    }

    fn check(method: &str, path: &str, body: Value, expect: Option<(u16, Value)>) {
        let answer = document().answer(method, path, &body);
        let found = answer.map(|answer| (answer.status, answer.body.map_or(Value::Null, |(_, value)| value)));
        assert_eq!(found, expect, "{method} {path}");
    }

    #[test]
    fn the_success_of_an_operation_is_answered() {
        let lamp = json!({ "id": "p7", "name": "name", "price_cents": 5 });
        check("GET", "/products/p7", Value::Null, Some((200, lamp)));
        check(
            "GET",
            "/products/new",
            Value::Null,
            Some((200, json!({ "id": "told" }))),
        );
        check("DELETE", "/products/p7", Value::Null, Some((204, Value::Null)));
    }

    #[test]
    fn what_the_request_said_comes_back_under_the_same_names() {
        let body =
            json!({ "lines": [{ "id": "a", "secret": 1 }, { "id": "b", "price_cents": "no number" }] });
        let lines = json!([
            { "id": "a", "name": "name", "price_cents": 5 },
            { "id": "b", "name": "name", "price_cents": 5 },
        ]);
        check(
            "POST",
            "/reservations",
            body,
            Some((201, json!({ "lines": lines }))),
        );
    }

    #[test]
    fn what_the_document_does_not_hold_has_no_answer() {
        check("PUT", "/products/p7", Value::Null, None);
        check("GET", "/", Value::Null, None);
        check("GET", "/products/p7/parts", Value::Null, None);
        assert_eq!(Document::default().answer("GET", "/", &Value::Null), None);
    }
}
