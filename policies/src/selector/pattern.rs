//! One typed pattern over names.

use regex::{Regex, RegexBuilder};
use schemars::{Schema, SchemaGenerator, json_schema};

use crate::{
    code::Code,
    diagnostics::Diagnostic,
    limits::REGEX_BYTES_MAX,
    node::Node,
    plain::Plain,
    read::{Reader, Value, read_text},
};

/// One way to name topics or groups.
#[derive(Clone, Debug)]
pub enum Pattern {
    Literal(String),
    Prefix(String),
    Suffix(String),
    /// `*` is any text, `?` any one character.
    Glob(String),
    /// Matches whole names only. The text as written, and compiled.
    Regex(String, Regex),
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

/// Why a regular expression is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{cause}")]
pub struct InvalidRegex {
    cause: String,
    /// Bytes of the expression that are at fault, where known.
    at: Option<(usize, usize)>,
}

impl Pattern {
    /// `*`.
    pub fn everything() -> Self {
        Self::glob("*")
    }

    pub fn glob(glob: &str) -> Self {
        Self::Glob(glob.to_owned())
    }

    /// Compiles an expression that has to match whole names.
    ///
    /// # Errors
    ///
    /// [`InvalidRegex`] with the part at fault.
    pub fn regex(expression: &str) -> Result<Self, InvalidRegex> {
        if let Err(refused) = regex_syntax::Parser::new().parse(expression) {
            return Err(syntax(&refused));
        }
        let whole = RegexBuilder::new(&format!("^(?:{expression})$")).size_limit(REGEX_BYTES_MAX).build();
        whole
            .map(|compiled| Self::Regex(expression.to_owned(), compiled))
            .map_err(|error| InvalidRegex { cause: error.to_string().replace('\n', " "), at: None })
    }

    pub(crate) fn literal(&self) -> Option<&str> {
        match self {
            Self::Literal(text) => Some(text),
            Self::Prefix(_) | Self::Suffix(_) | Self::Glob(_) | Self::Regex(..) => None,
        }
    }

    pub fn matches(&self, name: &str) -> bool {
        match self {
            Self::Literal(text) => name == text,
            Self::Prefix(text) => name.starts_with(text.as_str()),
            Self::Suffix(text) => name.ends_with(text.as_str()),
            Self::Glob(glob) => glob_matches(glob, name),
            Self::Regex(_, compiled) => compiled.is_match(name),
        }
    }

    fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Literal(text) => ("literal", text),
            Self::Prefix(text) => ("prefix", text),
            Self::Suffix(text) => ("suffix", text),
            Self::Glob(text) => ("glob", text),
            Self::Regex(text, _) => ("regex", text),
        }
    }
}

/// Walks both texts once, going back only to the last `*`.
fn glob_matches(glob: &str, name: &str) -> bool {
    let (mut glob, mut name) = (glob.chars(), name.chars());
    let mut retry = None;
    loop {
        let before = (glob.clone(), name.clone());
        match (glob.next(), name.next()) {
            (Some('*'), _) => {
                name = before.1;
                retry = Some((glob.clone(), name.clone()));
            }
            (Some('?'), Some(_)) => {}
            (Some(wanted), Some(found)) if wanted == found => {}
            (None, None) => return true,
            (_, None) => return false,
            (_, Some(_)) => {
                let Some((after_star, mut from)) = retry else { return false };
                from.next();
                glob = after_star.clone();
                name = from.clone();
                retry = Some((after_star, from));
            }
        }
    }
}

fn syntax(refused: &regex_syntax::Error) -> InvalidRegex {
    let (cause, span) = match refused {
        regex_syntax::Error::Parse(error) => (error.kind().to_string(), error.span()),
        regex_syntax::Error::Translate(error) => (error.kind().to_string(), error.span()),
        other => return InvalidRegex { cause: other.to_string().replace('\n', " "), at: None },
    };
    InvalidRegex { cause, at: Some((span.start.offset, span.end.offset)) }
}

const KINDS: [&str; 5] = ["literal", "prefix", "suffix", "glob", "regex"];

impl Value for Pattern {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        if let Some(text) = node.scalar().filter(|_| !node.is_null()) {
            let message = "a pattern says how it matches";
            let kind = if text.contains(['*', '?']) { "glob" } else { "literal" };
            let help = format!(
                "for example `{{{kind}: \"{text}\"}}`; there are literal, prefix, suffix, glob, regex"
            );
            reader.report(Diagnostic::error(Code::WrongShape, node.span, message).help(help));
            return None;
        }
        let entries = reader.entries(node, "a pattern", &KINDS, &[])?;
        let [entry] = entries else {
            let message = format!("a pattern has exactly one kind, and this has {}", entries.len());
            reader.report(
                Diagnostic::error(Code::WrongShape, node.span, message).help("write `{prefix: orders.}`"),
            );
            return None;
        };
        if !KINDS.contains(&entry.key.as_str()) {
            return None;
        }
        let text = read_text(&entry.value, reader, "a pattern")?;
        if text.is_empty() {
            let finding = Diagnostic::error(Code::EmptyList, entry.value.span, "this pattern is empty");
            reader.report(finding.help("to take everything write `{glob: \"*\"}`"));
            return None;
        }
        match entry.key.as_str() {
            "literal" => Some(Self::Literal(text)),
            "prefix" => Some(Self::Prefix(text)),
            "suffix" => Some(Self::Suffix(text)),
            "glob" => Some(Self::glob(&text)),
            _ => read_regex(&text, &entry.value, reader),
        }
    }

    fn plain(&self) -> Plain {
        let (kind, text) = self.parts();
        Plain::one(kind, Plain::Text(text.to_owned()))
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "properties": {
                "literal": { "type": "string", "description": "This very name." },
                "prefix": { "type": "string", "description": "Names that begin so." },
                "suffix": { "type": "string", "description": "Names that end so." },
                "glob": { "type": "string", "description": "`*` is any text, `?` any one character." },
                "regex": { "type": "string", "description": "Matches whole names." },
            },
            "minProperties": 1,
            "maxProperties": 1,
            "additionalProperties": false,
        })
    }
}

fn read_regex(text: &str, node: &Node, reader: &mut Reader<'_>) -> Option<Pattern> {
    match Pattern::regex(text) {
        Ok(pattern) => Some(pattern),
        Err(refused) => {
            let span = match refused.at {
                Some((start, end)) => reader.part_of(node, start, end.max(start + 1)),
                None => node.span,
            };
            let finding = Diagnostic::error(Code::Regex, span, "this regular expression does not compile");
            reader.report(finding.label(refused.cause).help("try it at a prompt, or use `glob` or `prefix`"));
            None
        }
    }
}
