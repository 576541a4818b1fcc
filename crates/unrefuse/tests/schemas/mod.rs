//! What `unrefuse schema` says, held against what the commands print.

use serde_json::Value;
use std::process::Command;

/// Holds `said` against the schema of that name; a field that the schema does not name is an error, too.
pub(crate) fn hold(of: &str, said: &Value) {
    let output = Command::new(env!("CARGO_BIN_EXE_unrefuse")).args(["schema", of]).output().unwrap();
    let mut schema: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(schema["properties"]["schema"]["const"], format!("unrefuse.{of}/1"));
    close(&mut schema);
    let validator = jsonschema::validator_for(&schema).expect("the schema is one");
    let errors: Vec<String> =
        validator.iter_errors(said).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

fn close(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields.contains_key("properties") {
                fields.insert("additionalProperties".to_owned(), false.into());
            }
            fields.values_mut().for_each(close);
        }
        Value::Array(list) => list.iter_mut().for_each(close),
        _ => {}
    }
}
