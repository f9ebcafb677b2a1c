//! The JSON Schema that ships is the one that the declarations give, and it takes what ships.

use std::{fs, path::Path};

#[test]
fn the_shipped_schema_is_what_the_declarations_give() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("leeward.schema.json");
    let text = fs::read_to_string(path).expect("ships with the crate");

    let shipped: serde_json::Value = serde_json::from_str(&text).expect("JSON");

    assert!(
        shipped == leeward_policies::schema(),
        "write the output of `leeward policy schema` to policies/leeward.schema.json"
    );
}

#[test]
fn the_schema_describes_every_field_of_a_failover() {
    let schema = leeward_policies::schema();

    let failover = &schema["definitions"]["Failover"];

    assert_eq!(failover["additionalProperties"], false);
    for (field, described) in failover["properties"].as_object().expect("fields") {
        assert!(described["description"].is_string(), "{field} is not described");
        assert!(!described["default"].is_null(), "{field} has no default");
    }
}
