//! The schemas in `schema/` are those of the types, and hold for what is written.

use std::fs;
use std::path::Path;

use dva_plan::document::to_bytes;
use dva_plan::schema::schemas;
use serde_json::Value;

use crate::fixture;

#[test]
fn the_schemas_are_current() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema");
    for (name, schema) in schemas() {
        let generated = format!(
            "{}\n",
            serde_json::to_string_pretty(&schema).expect("a schema serializes")
        );
        let path = folder.join(name);
        if std::env::var_os("DVA_BLESS").is_some() {
            fs::write(&path, &generated).expect("the schema folder is writable");
        }
        let written = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            written == generated,
            "{name} is stale: DVA_BLESS=1 cargo test -p dva-plan writes it"
        );
    }
}

#[test]
fn a_plan_fits_its_schema() {
    let bytes = to_bytes(&fixture::plan());
    let lines: Vec<Value> = bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).expect("a line is JSON"))
        .collect();
    let [(_, header), (_, plan), ..] = schemas();
    for (schema, line) in [(header, &lines[0]), (plan, &lines[1])] {
        let schema = serde_json::to_value(schema).expect("a schema serializes");
        let validator = jsonschema::validator_for(&schema).expect("a schema");
        let problems: Vec<_> = validator
            .iter_errors(line)
            .map(|error| error.to_string())
            .collect();
        assert!(problems.is_empty(), "{problems:?}");
    }
}
