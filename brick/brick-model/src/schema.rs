//! The manifest's JSON schema, for editors and `brick schema`.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::model::Model;

/// JSON schema (draft 2020-12) of `brick.toml`.
pub fn schema() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<Model>();
    schema.insert("title".to_owned(), Value::from("brick.toml"));
    schema.to_value()
}
