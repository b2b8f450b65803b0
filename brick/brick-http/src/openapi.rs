//! OpenAPI 3.1 documents, built beside the routes they describe; schemas come from the types (schemars).
//!
//! ```
//! use brick_http::openapi::{Document, Operation};
//! use schemars::JsonSchema;
//!
//! #[derive(JsonSchema)]
//! struct Order { id: u64 }
//!
//! let document = Document::new("order", "v1").operation(
//!     Operation::get("/api/orders/{id}").summary("one order").access("users").answer::<Order>(200, "the order").problem(404, "no such order"),
//! );
//! assert_eq!(document.build()["paths"]["/api/orders/{id}"]["get"]["responses"]["404"]["description"], "no such order");
//! ```

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::access::{Areas, area_of};

/// A document being put together.
#[derive(Debug, Clone)]
pub struct Document {
    title: String,
    version: String,
    description: String,
    operations: Vec<Operation>,
}

/// One method of one path.
#[derive(Debug, Clone)]
pub struct Operation {
    method: &'static str,
    path: String,
    id: Option<String>,
    summary: String,
    access: Option<String>,
    query: Option<SchemaOf>,
    headers: Vec<(String, String)>,
    body: Option<SchemaOf>,
    answers: BTreeMap<u16, (String, Option<SchemaOf>)>,
    problems: BTreeMap<u16, String>,
}

/// Makes the schema of a type.
type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

impl Document {
    /// A document of the API's name and version.
    pub fn new(title: &str, version: &str) -> Self {
        Self {
            title: title.to_owned(),
            version: version.to_owned(),
            description: String::new(),
            operations: Vec::new(),
        }
    }

    /// What the API is for.
    #[must_use]
    pub fn description(self, text: &str) -> Self {
        Self {
            description: text.to_owned(),
            ..self
        }
    }

    /// Adds an operation.
    #[must_use]
    pub fn operation(mut self, operation: Operation) -> Self {
        self.operations.push(operation);
        self
    }

    /// Operations for operators whose path belongs to an area ask for the area's scope.
    #[must_use]
    pub fn areas(mut self, areas: Areas) -> Self {
        let operators = self.operations.iter_mut();
        for operation in operators.filter(|operation| operation.access.as_deref() == Some("admin")) {
            if let Some(area) = area_of(areas, &operation.path) {
                let right = if operation.method == "get" {
                    "read"
                } else {
                    "write"
                };
                operation.access = Some(format!("operators:{area}:{right}"));
            }
        }
        self
    }

    /// The document as JSON.
    pub fn build(&self) -> Value {
        let mut generator = SchemaSettings::draft2020_12()
            .with(|settings| {
                settings.definitions_path = "/components/schemas".into();
                settings.meta_schema = None;
            })
            .into_generator();
        let mut paths = Map::new();
        for operation in &self.operations {
            let path = paths.entry(operation.path.clone()).or_insert_with(|| json!({}));
            path[operation.method] = operation.build(&mut generator);
        }
        let mut schemas = generator.take_definitions(true);
        schemas.insert("Problem".to_owned(), problem_schema());
        let mut info = json!({ "title": self.title, "version": self.version });
        if !self.description.is_empty() {
            info["description"] = self.description.as_str().into();
        }
        json!({
            "openapi": "3.1.0",
            "info": info,
            "paths": paths,
            "components": {
                "schemas": schemas,
                "securitySchemes": {
                    "user": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                        "description": "a user's token of this system" },
                    "brick": { "type": "apiKey", "in": "header", "name": "x-brick-identity",
                        "description": "the calling process's own token" },
                    "operator": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                        "description": "a platform token with scope admin, or with the scope that the operation names" },
                },
            },
        })
    }
}

impl Operation {
    /// A GET of the path, its parameters in braces.
    pub fn get(path: &str) -> Self {
        Self::new("get", path)
    }

    /// A POST.
    pub fn post(path: &str) -> Self {
        Self::new("post", path)
    }

    /// A PUT.
    pub fn put(path: &str) -> Self {
        Self::new("put", path)
    }

    /// A DELETE.
    pub fn delete(path: &str) -> Self {
        Self::new("delete", path)
    }

    /// A PATCH.
    pub fn patch(path: &str) -> Self {
        Self::new("patch", path)
    }

    /// What it does, in a line.
    #[must_use]
    pub fn summary(mut self, text: &str) -> Self {
        text.clone_into(&mut self.summary);
        self
    }

    /// A name for generators of clients; made of method and path unless said.
    #[must_use]
    pub fn id(mut self, id: &str) -> Self {
        self.id = Some(id.to_owned());
        self
    }

    /// Who may call it, by the names of [`crate::Access`]: `public`, `users`, `bricks`, `users or bricks`, `admin`,
    /// `users:<scope>`, or `operators:<scope>`.
    #[must_use]
    pub fn access(mut self, group: &str) -> Self {
        self.access = Some(group.to_owned());
        self
    }

    /// Its query, the fields of `T`.
    #[must_use]
    pub fn query<T: JsonSchema>(mut self) -> Self {
        self.query = Some(T::json_schema);
        self
    }

    /// A request header that it understands.
    #[must_use]
    pub fn header(mut self, name: &str, description: &str) -> Self {
        self.headers.push((name.to_owned(), description.to_owned()));
        self
    }

    /// Its JSON body.
    #[must_use]
    pub fn body<T: JsonSchema>(mut self) -> Self {
        self.body = Some(schema_of::<T>);
        self
    }

    /// An answer with a JSON body.
    #[must_use]
    pub fn answer<T: JsonSchema>(mut self, status: u16, description: &str) -> Self {
        let answer = (description.to_owned(), Some(schema_of::<T> as SchemaOf));
        self.answers.insert(status, answer);
        self
    }

    /// An answer without a body, or with one that is no JSON.
    #[must_use]
    pub fn empty(mut self, status: u16, description: &str) -> Self {
        self.answers.insert(status, (description.to_owned(), None));
        self
    }

    /// An error answer.
    #[must_use]
    pub fn problem(mut self, status: u16, description: &str) -> Self {
        self.problems.insert(status, description.to_owned());
        self
    }

    fn new(method: &'static str, path: &str) -> Self {
        Self {
            method,
            path: path.to_owned(),
            id: None,
            summary: String::new(),
            access: None,
            query: None,
            headers: Vec::new(),
            body: None,
            answers: BTreeMap::new(),
            problems: BTreeMap::new(),
        }
    }

    fn build(&self, generator: &mut SchemaGenerator) -> Value {
        let mut out = json!({
            "operationId": self.id.clone().unwrap_or_else(|| self.default_id()),
            "responses": self.responses(generator),
        });
        if !self.summary.is_empty() {
            out["summary"] = self.summary.as_str().into();
        }
        let parameters = self.parameters(generator);
        if !parameters.is_empty() {
            out["parameters"] = parameters.into();
        }
        if let Some(body) = self.body {
            out["requestBody"] = json!({
                "required": true,
                "content": { "application/json": { "schema": body(generator) } },
            });
        }
        if let Some(access) = &self.access {
            out["security"] = security(access);
        }
        out
    }

    fn responses(&self, generator: &mut SchemaGenerator) -> Value {
        let mut responses = Map::new();
        for (status, (description, schema)) in &self.answers {
            let mut answer = json!({ "description": description });
            if let Some(schema) = schema {
                answer["content"] = json!({ "application/json": { "schema": schema(generator) } });
            }
            responses.insert(status.to_string(), answer);
        }
        let mut problems = self.problems.clone();
        if self.access.as_deref().is_some_and(|access| access != "public") {
            let mut add = |status, text: &str| {
                problems.entry(status).or_insert_with(|| text.to_owned());
            };
            add(401, "no token, or one that is not valid");
            add(403, "the token does not permit this");
        }
        let problem =
            json!({ "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } });
        for (status, description) in problems {
            let answer = json!({ "description": description, "content": problem });
            responses.insert(status.to_string(), answer);
        }
        responses.insert(
            "default".to_owned(),
            json!({ "description": "any other error", "content": problem }),
        );
        responses.into()
    }

    fn parameters(&self, generator: &mut SchemaGenerator) -> Vec<Value> {
        let mut parameters: Vec<Value> = placeholders(&self.path)
            .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
            .collect();
        if let Some(query) = self.query {
            let schema = query(generator).to_value();
            let required = |name: &str| {
                let listed = schema["required"].as_array();
                listed.is_some_and(|names| names.iter().any(|n| n == name))
            };
            for (name, field) in schema["properties"].as_object().into_iter().flatten() {
                let parameter =
                    json!({ "name": name, "in": "query", "required": required(name), "schema": field });
                parameters.push(parameter);
            }
        }
        for (name, description) in &self.headers {
            let parameter = json!({ "name": name, "in": "header", "description": description,
                "schema": { "type": "string" } });
            parameters.push(parameter);
        }
        parameters
    }

    /// `get_api_orders_id` for `GET /api/orders/{id}`.
    fn default_id(&self) -> String {
        let words = self.path.split(|c: char| !c.is_ascii_alphanumeric());
        words
            .filter(|word| !word.is_empty())
            .fold(self.method.to_owned(), |id, word| id + "_" + word)
    }
}

fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

fn placeholders(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|segment| {
        let inner = segment.strip_prefix('{')?.strip_suffix('}')?;
        Some(inner.trim_start_matches('*'))
    })
}

fn security(access: &str) -> Value {
    match access {
        "public" => json!([]),
        "bricks" => json!([{ "brick": [] }]),
        "users or bricks" | "users_or_bricks" => json!([{ "user": [] }, { "brick": [] }]),
        "admin" => json!([{ "operator": [] }]),
        users => match users.split_once(':') {
            Some(("operators", scope)) => json!([{ "operator": [scope] }]),
            Some((_, scope)) => json!([{ "user": [scope] }]),
            None => json!([{ "user": [] }]),
        },
    }
}

fn problem_schema() -> Value {
    json!({
        "type": "object",
        "description": "Problem details (RFC 9457)",
        "required": ["type", "title", "status", "code"],
        "properties": {
            "type": { "type": "string", "format": "uri-reference" },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "detail": { "type": "string" },
            "code": { "type": "string", "description": "stable, machine-readable" },
            "trace_id": { "type": "string", "pattern": "^[0-9a-f]{32}$" },
        },
    })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(JsonSchema, Deserialize)]
    #[expect(dead_code, reason = "described, never made")]
    struct Line {
        product: String,
        quantity: u32,
    }

    #[derive(JsonSchema, Deserialize)]
    #[expect(dead_code, reason = "described, never made")]
    struct NewOrder {
        lines: Vec<Line>,
    }

    #[derive(JsonSchema, Deserialize)]
    #[expect(dead_code, reason = "described, never made")]
    struct Search {
        q: String,
        limit: Option<u32>,
    }

    #[test]
    fn a_document_describes_its_operations() {
        let document = Document::new("order", "v1")
            .operation(
                Operation::post("/api/orders")
                    .summary("place an order")
                    .access("users:customer")
                    .header("idempotency-key", "once")
                    .body::<NewOrder>()
                    .answer::<NewOrder>(201, "placed")
                    .problem(409, "out of stock"),
            )
            .operation(
                Operation::get("/api/orders/{id}/lines/{*rest}")
                    .access("public")
                    .query::<Search>()
                    .empty(204, "none"),
            )
            .build();
        let post = &document["paths"]["/api/orders"]["post"];
        assert_eq!(
            post["requestBody"]["content"]["application/json"]["schema"]["$ref"],
            "#/components/schemas/NewOrder"
        );
        assert_eq!(
            document["components"]["schemas"]["NewOrder"]["properties"]["lines"]["items"]["$ref"],
            "#/components/schemas/Line"
        );
        assert_eq!(post["security"], json!([{ "user": ["customer"] }]));
        for status in ["201", "401", "403", "409", "default"] {
            assert!(post["responses"].get(status).is_some(), "{status}");
        }
        let get = &document["paths"]["/api/orders/{id}/lines/{*rest}"]["get"];
        let names: Vec<_> = get["parameters"]
            .as_array()
            .unwrap()
            .iter()
            .map(|p| &p["name"])
            .collect();
        assert_eq!(names, ["id", "rest", "q", "limit"]);
        assert_eq!(get["parameters"][2]["required"], true);
        assert_eq!(get["parameters"][3]["required"], false);
        assert_eq!(get["operationId"], "get_api_orders_id_lines_rest");
    }
}
