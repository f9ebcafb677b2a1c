//! Bounds: `"<= 10s"`, `0`, `"> 3"`.

use std::{fmt, time::Duration};

use schemars::{Schema, SchemaGenerator, json_schema};

use crate::{
    code::Code,
    diagnostics::Diagnostic,
    node::Node,
    plain::Plain,
    read::{Count, Reader, Value, duration_text, parse_duration, read_text, unit_finding},
};

/// How a measured value is compared with a bound's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    AtMost,
    Less,
    AtLeast,
    More,
    Equal,
}

impl Comparison {
    const SIGNS: [(&'static str, Self); 6] = [
        ("<=", Self::AtMost),
        (">=", Self::AtLeast),
        ("==", Self::Equal),
        ("<", Self::Less),
        (">", Self::More),
        ("=", Self::Equal),
    ];

    /// The sign as policies write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AtMost => "<=",
            Self::Less => "<",
            Self::AtLeast => ">=",
            Self::More => ">",
            Self::Equal => "==",
        }
    }
}

/// A value that a measured one is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound<T> {
    pub comparison: Comparison,
    pub value: T,
}

impl<T: PartialOrd + Copy> Bound<T> {
    pub fn at_most(value: T) -> Self {
        Self { comparison: Comparison::AtMost, value }
    }

    /// Whether a measured value keeps the bound.
    pub fn holds(&self, measured: T) -> bool {
        match self.comparison {
            Comparison::AtMost => measured <= self.value,
            Comparison::Less => measured < self.value,
            Comparison::AtLeast => measured >= self.value,
            Comparison::More => measured > self.value,
            Comparison::Equal => measured == self.value,
        }
    }
}

impl fmt::Display for Bound<Duration> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.comparison.as_str(), duration_text(self.value))
    }
}

impl fmt::Display for Bound<Count> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.comparison.as_str(), self.value)
    }
}

/// The sign, if one is written, and what follows it.
fn split(text: &str) -> (Option<Comparison>, &str) {
    let found =
        Comparison::SIGNS.iter().find_map(|(sign, comparison)| Some((*comparison, text.strip_prefix(sign)?)));
    match found {
        Some((comparison, rest)) => (Some(comparison), rest.trim_start()),
        None => (None, text),
    }
}

impl Value for Bound<Duration> {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = read_text(node, reader, "a bound")?;
        let (comparison, rest) = split(&text);
        let Some(value) = parse_duration(rest) else {
            reader.report(unit_finding(
                node,
                rest,
                "duration",
                &["s", "ms"],
                "`\"<= 10s\"`, `\"< 2m\"`, `1h30m`",
            ));
            return None;
        };
        // A duration without sign is a budget: exact times do not happen.
        Some(Self { comparison: comparison.unwrap_or(Comparison::AtMost), value })
    }

    fn plain(&self) -> Plain {
        Plain::Text(self.to_string())
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        let pattern = "^(<=|>=|==|=|<|>)? ?([0-9]+(\\.[0-9]+)?(ms|s|m|h|d))+$";
        json_schema!({ "type": "string", "pattern": pattern, "examples": ["<= 10s"] })
    }
}

impl Value for Bound<Count> {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = read_text(node, reader, "a bound")?;
        let (comparison, rest) = split(&text);
        let Some(value) = Count::parse(rest) else {
            let finding =
                Diagnostic::error(Code::Number, node.span, format!("`{text}` is no bound on a count"));
            reader.report(finding.help("write `0`, or a comparison in quotes: `\"<= 1000\"`"));
            return None;
        };
        Some(Self { comparison: comparison.unwrap_or(Comparison::Equal), value })
    }

    fn plain(&self) -> Plain {
        Plain::Text(self.to_string())
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        let pattern = "^(<=|>=|==|=|<|>)? ?[0-9]+[kM]?$";
        json_schema!({ "type": ["string", "integer"], "pattern": pattern, "minimum": 0, "examples": ["<= 1000"] })
    }
}
