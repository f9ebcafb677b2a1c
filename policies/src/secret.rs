//! Where a secret is to be found. The secret itself is fetched by whoever uses it, and never printed.

use std::fmt;

use schemars::{Schema, SchemaGenerator, json_schema};

use crate::{
    code::Code,
    diagnostics::Diagnostic,
    node::{Node, Shape},
    plain::Plain,
    read::{Reader, Value},
};

/// Where a secret is to be found.
#[derive(Clone, PartialEq, Eq)]
pub enum SecretRef {
    /// An environment variable of the process.
    FromEnv(String),
    /// A file's content without its last line break; read again when it changes.
    FromFile(String),
    /// What a command prints; the first word is the program.
    FromExec(Vec<String>),
    /// Written in the policy, which only a demo may do.
    InClear(ClearText),
}

/// A secret's text; its `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct ClearText(String);

impl ClearText {
    /// Shows the secret.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ClearText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

impl fmt::Debug for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.plain().flow())
    }
}

const FORMS: &str = "`{fromEnv: NAME}`, `{fromFile: /path}` or `{fromExec: [program, argument]}`";

impl Value for SecretRef {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        match &node.shape {
            Shape::Map(_) => read_reference(node, reader),
            Shape::Scalar { text, .. } if reader.demo && !node.is_null() => {
                Some(Self::InClear(ClearText(text.clone())))
            }
            Shape::Scalar { .. } | Shape::List(_) => {
                reader.report(
                    Diagnostic::error(Code::SecretInClear, node.span, "a secret is written in the file")
                        .label("everybody who can read the policy can read it")
                        .note("a demo may: metadata.annotations.\"leeward/demo\": \"true\"")
                        .help(format!("say where it is: {FORMS}")),
                );
                None
            }
        }
    }

    fn plain(&self) -> Plain {
        match self {
            Self::FromEnv(name) => Plain::one("fromEnv", Plain::Text(name.clone())),
            Self::FromFile(path) => Plain::one("fromFile", Plain::Text(path.clone())),
            Self::FromExec(command) => {
                Plain::one("fromExec", Plain::List(command.iter().cloned().map(Plain::Text).collect()))
            }
            Self::InClear(_) => Plain::Text("(hidden)".to_owned()),
        }
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        let command = json_schema!({ "type": "array", "items": { "type": "string" }, "minItems": 1 });
        json_schema!({
            "description": "Where a secret is to be found; a text only in a demo.",
            "type": ["object", "string"],
            "properties": { "fromEnv": { "type": "string" }, "fromFile": { "type": "string" }, "fromExec": command },
            "minProperties": 1,
            "maxProperties": 1,
            "additionalProperties": false,
        })
    }
}

fn read_reference(node: &Node, reader: &mut Reader<'_>) -> Option<SecretRef> {
    let entries = reader.entries(node, "a secret", &["fromEnv", "fromFile", "fromExec"], &[])?;
    let [entry] = entries else {
        let message = format!("a secret needs exactly one place, and this names {}", entries.len());
        reader.report(
            Diagnostic::error(Code::WrongShape, node.span, message).help(format!("write one of {FORMS}")),
        );
        return None;
    };
    let text = |node: &Node| node.scalar().filter(|text| !text.is_empty()).map(str::to_owned);
    let read = match (entry.key.as_str(), &entry.value.shape) {
        ("fromEnv", _) => text(&entry.value).map(SecretRef::FromEnv),
        ("fromFile", _) => text(&entry.value).map(SecretRef::FromFile),
        ("fromExec", Shape::List(words)) if !words.is_empty() => {
            words.iter().map(text).collect::<Option<Vec<_>>>().map(SecretRef::FromExec)
        }
        ("fromExec", _) => None,
        // An unknown key was reported with the entries.
        _ => return None,
    };
    if read.is_none() {
        let message = format!("`{}` does not say where the secret is", entry.key);
        reader.report(
            Diagnostic::error(Code::WrongShape, entry.value.span, message).help(format!("write {FORMS}")),
        );
    }
    read
}
