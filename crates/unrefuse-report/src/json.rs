//! The report for a program, and its schema.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json as value};
use std::fmt::Write as _;
use unrefuse_diagnose::Report;
use unrefuse_facts::text::visible;

/// `report` as indented JSON that ends with a newline.
///
/// Characters that could act on a terminal or mislead a reader are written as `\uNNNN`: the values stay what they are.
pub fn json(report: &Report) -> String {
    pretty(report)
}

/// Indented JSON, safe to look at.
///
/// # Panics
/// Where a type serialises to maps whose keys are no strings; the types of this project have named fields only.
pub(crate) fn pretty(data: &impl Serialize) -> String {
    let mut plain = serde_json::to_string_pretty(data).expect("named fields only");
    if plain.bytes().all(|b| b.is_ascii() && b != 0x7f) {
        plain.push('\n');
        return plain;
    }
    let mut out = String::with_capacity(plain.len() + 1);
    for c in plain.chars() {
        // What is not ASCII stands inside a string, where JSON allows an escape for every character; serde_json has
        // escaped C0 already, so that DEL is the only ASCII character left that is not visible.
        let hidden =
            c != '\n' && (c == '\u{7f}' || !c.is_ascii()) && visible(c.encode_utf8(&mut [0; 4])).starts_with('\\');
        if hidden {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out.push('\n');
    out
}

/// The JSON Schema (draft 2020-12) of `T`, whose field `schema` always says `name`.
pub(crate) fn schema_of<T: JsonSchema>(name: &str) -> Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12().for_serialize();
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    if let Some(Value::Object(field)) = schema.pointer_mut("/properties/schema") {
        field.insert("const".to_owned(), name.into());
    }
    schema
}

/// The JSON Schema (draft 2020-12) of [`json`]'s output; `ids` are the causes that a root or a why can be.
pub fn schema(ids: &[&str]) -> Value {
    let mut schema = schema_of::<Report>(unrefuse_diagnose::report::SCHEMA);
    let known = value!(ids);
    for pointer in ["/$defs/Why/properties/id", "/$defs/Blocker/properties/root"] {
        if let Some(Value::Object(id)) = schema.pointer_mut(pointer) {
            id.insert("enum".to_owned(), known.clone());
        }
    }
    schema
}
