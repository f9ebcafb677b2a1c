//! The JSON Schema of policies, from the same declarations that read them.

use schemars::{Schema, generate::SchemaSettings, json_schema};
use serde_json::{Map, Value as Json};

use crate::{
    API_VERSION, drill::DrillSpec, loaded::Metadata, plain::Plain, read::Value, topology::TopologySpec,
};

/// The schema of every document that a policy file can hold.
pub fn schema() -> Json {
    let mut generator = SchemaSettings::draft07().into_generator();
    let metadata = Metadata::schema(&mut generator);
    let topology = TopologySpec::schema(&mut generator);
    let drill = DrillSpec::schema(&mut generator);
    let document = |kind: &str, spec: Schema| {
        json_schema!({
            "type": "object",
            "properties": {
                "apiVersion": { "const": API_VERSION },
                "kind": { "const": kind },
                "metadata": metadata,
                "interpolate": { "type": "boolean", "default": false, "description": "Replace `${VAR}` from the environment." },
                "spec": spec,
            },
            "required": ["apiVersion", "kind", "metadata", "spec"],
            "additionalProperties": false,
        })
    };
    let topology = document("Topology", topology);
    let drill = document("Drill", drill);
    let definitions = generator.take_definitions(true);
    json_schema!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Leeward policy",
        "if": { "properties": { "kind": { "const": "Drill" } }, "required": ["kind"] },
        "then": drill,
        "else": topology,
        "definitions": definitions,
    })
    .to_value()
}

/// Collects the schema of a mapping with fixed fields.
pub(crate) struct Record {
    description: String,
    properties: Map<String, Json>,
    required: Vec<Json>,
}

impl Record {
    pub(crate) fn new(description: &str) -> Self {
        Self { description: one_line(description), properties: Map::new(), required: Vec::new() }
    }

    pub(crate) fn field(&mut self, key: &str, mut schema: Schema, description: &str, default: Option<Plain>) {
        if default.is_none() {
            self.required.push(Json::from(key));
        }
        if schema.get("$ref").is_some() {
            // Draft 7 ignores what stands beside a `$ref`.
            let reference = schema.to_value();
            schema = json_schema!({ "allOf": [reference] });
        }
        let description = one_line(description);
        if !description.is_empty() {
            schema.insert("description".to_owned(), Json::from(description));
        }
        if let Some(default) = default.filter(|default| *default != Plain::Absent) {
            schema.insert("default".to_owned(), json(&default));
        }
        self.properties.insert(key.to_owned(), schema.to_value());
    }

    pub(crate) fn finish(self) -> Schema {
        json_schema!({
            "type": "object",
            "description": self.description,
            "properties": self.properties,
            "required": self.required,
            "additionalProperties": false,
        })
    }
}

fn one_line(doc: &str) -> String {
    doc.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

fn json(plain: &Plain) -> Json {
    match plain {
        Plain::Absent => Json::Null,
        Plain::Scalar(text) => serde_json::from_str(text).unwrap_or_else(|_| Json::from(text.as_str())),
        Plain::Text(text) => Json::from(text.as_str()),
        Plain::List(items) => items.iter().map(json).collect(),
        Plain::Map(entries) => {
            let entries = entries.iter().filter(|(_, value)| *value != Plain::Absent);
            Json::Object(entries.map(|(key, value)| (key.clone(), json(value))).collect())
        }
    }
}
