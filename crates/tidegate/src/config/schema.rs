//! The JSON Schema of the file, for editors and for the generated reference.

use serde_json::{Value, json};

use super::raw::RawConfig;

/// Where the schema is published; editors find it through `# yaml-language-server: $schema=`.
pub const ID: &str = "https://github.com/tidegate/tidegate/blob/main/docs/schema/tidegate.schema.json";

/// The JSON Schema (draft 2020-12).
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(RawConfig).to_value();
    if let Some(object) = schema.as_object_mut() {
        object.insert("$id".to_owned(), json!(ID));
    }
    schema
}

/// The schema as a file.
pub fn schema_text() -> String {
    format!("{:#}\n", schema())
}
