//! Pages made from the API documents in `api`.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// The checked-in documents by name.
pub(super) fn documents(root: &Path) -> Result<Vec<(String, Value)>> {
    let mut documents = Vec::new();
    for entry in std::fs::read_dir(root.join("api")).context("cannot read api")? {
        let path = entry?.path();
        let file = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let Some(name) = file.strip_suffix(".openapi.json") else {
            continue;
        };
        let text = std::fs::read_to_string(&path)?;
        let value = serde_json::from_str(&text).with_context(|| format!("{file} is no JSON"))?;
        documents.push((name.to_owned(), value));
    }
    documents.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(documents)
}

/// What the document calls itself.
pub(super) fn title(name: &str, document: &Value) -> String {
    document["info"]["title"].as_str().unwrap_or(name).to_owned()
}

/// A page: every operation with what it takes and answers, then the types.
pub(super) fn page(name: &str, document: &Value) -> String {
    let mut page = format!("# {}\n\n", title(name, document));
    if let Some(text) = document["info"]["description"].as_str() {
        page.push_str(&format!("{text}\n\n"));
    }
    page.push_str(&format!("Made from `api/{name}.openapi.json`.\n"));
    for (path, methods) in document["paths"].as_object().into_iter().flatten() {
        for method in METHODS {
            if let Some(operation) = methods.get(method) {
                page.push_str(&format!("\n## `{} {path}`\n\n", method.to_uppercase()));
                self::operation(&mut page, operation);
            }
        }
    }
    page.push_str("\n## Types\n");
    for (name, schema) in document["components"]["schemas"]
        .as_object()
        .into_iter()
        .flatten()
    {
        page.push_str(&format!("\n### {name}\n\n"));
        self::schema(&mut page, schema);
    }
    page
}

fn operation(page: &mut String, operation: &Value) {
    for key in ["summary", "description"] {
        if let Some(text) = operation[key].as_str() {
            page.push_str(&format!("{}.\n\n", text.trim_end_matches('.')));
        }
    }
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let rows: Vec<String> = parameters
        .map(|parameter| {
            let schema = &parameter["schema"];
            let about = parameter["description"]
                .as_str()
                .or(schema["description"].as_str());
            format!(
                "| `{}` | {} | {} | {} |\n",
                parameter["name"].as_str().unwrap_or_default(),
                parameter["in"].as_str().unwrap_or_default(),
                kind(schema),
                cell(about.unwrap_or_default())
            )
        })
        .collect();
    if !rows.is_empty() {
        page.push_str("| parameter | in | type | meaning |\n| --- | --- | --- | --- |\n");
        page.push_str(&rows.concat());
        page.push('\n');
    }
    for (media, content) in operation["requestBody"]["content"]
        .as_object()
        .into_iter()
        .flatten()
    {
        page.push_str(&format!("Body: `{media}`, {}.\n\n", kind(&content["schema"])));
    }
    page.push_str("| answer | type | meaning |\n| --- | --- | --- |\n");
    for (status, answer) in operation["responses"].as_object().into_iter().flatten() {
        let content = answer["content"].as_object();
        let schema = content.and_then(|content| content.values().next());
        page.push_str(&format!(
            "| `{status}` | {} | {} |\n",
            schema.map_or_else(String::new, |content| kind(&content["schema"])),
            cell(answer["description"].as_str().unwrap_or_default())
        ));
    }
}

fn schema(page: &mut String, schema: &Value) {
    if let Some(text) = schema["description"].as_str() {
        page.push_str(&format!("{text}\n\n"));
    }
    let required: Vec<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let Some(properties) = schema["properties"].as_object().filter(|found| !found.is_empty()) else {
        page.push_str(&format!("{}\n", kind(schema)));
        return;
    };
    page.push_str("| member | type | meaning |\n| --- | --- | --- |\n");
    for (name, property) in properties {
        let optional = if required.contains(&name.as_str()) {
            ""
        } else {
            ", optional"
        };
        page.push_str(&format!(
            "| `{name}` | {}{optional} | {} |\n",
            kind(property),
            cell(property["description"].as_str().unwrap_or_default())
        ));
    }
}

/// A schema's type in a word; types of the document are links.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return format!("[{name}](#{})", name.to_lowercase());
    }
    for key in ["anyOf", "oneOf", "allOf"] {
        if let Some(choices) = schema[key].as_array() {
            let kinds: Vec<String> = choices.iter().map(kind).collect();
            return kinds.join(" or ");
        }
    }
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
        return values.join(" or ");
    }
    match &schema["type"] {
        Value::String(kind) if kind == "array" => format!("list of {}", self::kind(&schema["items"])),
        Value::String(kind) => kind.clone(),
        Value::Array(kinds) => {
            let kinds: Vec<&str> = kinds.iter().filter_map(Value::as_str).collect();
            kinds.join(" or ")
        }
        _ => "any".to_owned(),
    }
}

/// Text for a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_page_tells_every_operation_and_type() {
        let document = json!({
            "info": { "title": "Shop" },
            "paths": { "/orders/{id}": { "get": { "summary": "Read an order",
                "parameters": [{ "name": "id", "in": "path", "schema": { "type": "string" } }],
                "responses": { "200": { "description": "the order", "content": {
                    "application/json": { "schema": { "$ref": "#/components/schemas/Order" } } } } } } } },
            "components": { "schemas": { "Order": { "properties": { "lines": {
                "type": "array", "items": { "type": ["string", "null"] }, "description": "a | b" } } } } },
        });
        let page = page("shop", &document);
        for expect in [
            "# Shop\n",
            "## `GET /orders/{id}`\n\nRead an order.\n",
            "| `id` | path | string |  |\n",
            "| `200` | [Order](#order) | the order |\n",
            "### Order\n",
            "| `lines` | list of string or null, optional | a \\| b |\n",
        ] {
            assert!(page.contains(expect), "{expect:?} in\n{page}");
        }
    }
}
