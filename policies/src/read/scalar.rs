//! Scalars: texts, durations, sizes, counts, names. A number that has a unit must show it.

use std::{fmt, time::Duration};

use leeward_model::{ByteSize, ClusterId, GroupName, InvalidName, RegionName, TopicName, TopologyName};
use schemars::{Schema, SchemaGenerator, json_schema};

use super::{Reader, Value};
use crate::{
    code::Code, diagnostics::Diagnostic, interpolate, limits::DURATION_MAX, node::Node, plain::Plain,
};

/// A scalar's text, with `${VAR}` replaced where the document asks for it.
pub(crate) fn read_text(node: &Node, reader: &mut Reader<'_>, what: &str) -> Option<String> {
    match node.scalar() {
        Some(text) if !node.is_null() => interpolate::replaced(text, node, reader),
        _ => {
            let message = format!("{what} must be a single value, and this is {}", node.shape_name());
            reader.report(
                Diagnostic::error(Code::WrongShape, node.span, message).help("write one text or number"),
            );
            None
        }
    }
}

pub(crate) fn scalar_schema(pattern: &str, example: &str) -> Schema {
    json_schema!({ "type": "string", "pattern": pattern, "examples": [example] })
}

impl Value for String {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        read_text(node, reader, "this")
    }

    fn plain(&self) -> Plain {
        Plain::Text(self.clone())
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

impl Value for bool {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        match read_text(node, reader, "a switch")?.as_str() {
            "true" => Some(true),
            "false" => Some(false),
            other => {
                let message = format!("`{other}` is neither `true` nor `false`");
                reader.report(
                    Diagnostic::error(Code::UnknownValue, node.span, message).help("write `true` or `false`"),
                );
                None
            }
        }
    }

    fn plain(&self) -> Plain {
        Plain::Scalar(self.to_string())
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "boolean" })
    }
}

/// A count without unit; `10k` and `2M` are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Count(u64);

impl Count {
    pub const fn of(count: u64) -> Self {
        Self(count)
    }

    pub const fn get(self) -> u64 {
        self.0
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (digits, factor) = match text.as_bytes().last()? {
            b'k' => (&text[..text.len() - 1], 1_000),
            b'M' => (&text[..text.len() - 1], 1_000_000),
            _ => (text, 1),
        };
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        digits.parse::<u64>().ok()?.checked_mul(factor).map(Self)
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Value for Count {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = read_text(node, reader, "a count")?;
        let count = Self::parse(&text);
        if count.is_none() {
            let message = format!("`{text}` is no count");
            let help = "write a whole number: `500`, `10k`, `2M`";
            reader.report(Diagnostic::error(Code::Number, node.span, message).help(help));
        }
        count
    }

    fn plain(&self) -> Plain {
        Plain::Scalar(self.to_string())
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["integer", "string"], "pattern": "^[0-9]+[kM]?$", "minimum": 0 })
    }
}

macro_rules! unsigned {
    ($type:ty) => {
        impl Value for $type {
            fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
                let count = Count::read(node, reader)?;
                let number = Self::try_from(count.get()).ok();
                if number.is_none() {
                    let message = format!("{count} is too large here; at most {}", Self::MAX);
                    reader.report(Diagnostic::error(Code::Number, node.span, message));
                }
                number
            }

            fn plain(&self) -> Plain {
                Plain::Scalar(self.to_string())
            }

            fn schema(generator: &mut SchemaGenerator) -> Schema {
                Count::schema(generator)
            }
        }
    };
}
unsigned!(u64);
unsigned!(u32);

const DURATION_UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// `90m`, `1h30m`, `250ms`, `1.5s`. `None` where a part lacks its unit or is malformed.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut millis = 0_u64;
    while !rest.is_empty() {
        let (number, unit, after) = split_unit(rest)?;
        let (_, factor) = DURATION_UNITS.iter().find(|(name, _)| *name == unit)?;
        millis = millis.checked_add(scaled(number, *factor)?)?;
        rest = after;
    }
    let duration = Duration::from_millis(millis);
    (!text.is_empty() && duration <= DURATION_MAX).then_some(duration)
}

/// Splits off one number, its unit, and what follows.
fn split_unit(text: &str) -> Option<(&str, &str, &str)> {
    let number = text.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
    let unit = text[number..].find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(text.len() - number);
    Some((&text[..number], &text[number..number + unit], &text[number + unit..]))
}

/// A decimal number times a whole factor, where the result is whole.
fn scaled(number: &str, factor: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || fraction.len() > 6 || number.ends_with('.') || fraction.contains('.') {
        return None;
    }
    let scale = 10_u64.pow(u32::try_from(fraction.len()).ok()?);
    let fraction = if fraction.is_empty() { 0 } else { fraction.parse::<u64>().ok()? };
    let parts = u128::from(whole.parse::<u64>().ok()?) * u128::from(scale) + u128::from(fraction);
    let product = parts * u128::from(factor);
    (product % u128::from(scale) == 0).then(|| u64::try_from(product / u128::from(scale)).ok()).flatten()
}

/// The shortest text that reads back as this duration.
pub(crate) fn duration_text(duration: Duration) -> String {
    let mut millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if millis == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, factor) in DURATION_UNITS {
        if millis >= factor {
            text.push_str(&(millis / factor).to_string());
            text.push_str(unit);
            millis %= factor;
        }
    }
    text
}

impl Value for Duration {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = read_text(node, reader, "a duration")?;
        let duration = parse_duration(&text);
        if duration.is_none() {
            reader.report(unit_finding(
                node,
                &text,
                "duration",
                &["s", "ms"],
                "`250ms`, `15s`, `2m`, `1h30m`, `14d`",
            ));
        }
        duration
    }

    fn plain(&self) -> Plain {
        Plain::Scalar(duration_text(*self))
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        scalar_schema("^([0-9]+(\\.[0-9]+)?(ms|s|m|h|d))+$", "15s")
    }
}

const SIZE_UNITS: [(&str, u64); 5] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// `64MiB`, `1.5GiB`, `512B`. Decimal units (`MB`) are refused: nobody agrees on what they are.
pub(crate) fn parse_size(text: &str) -> Option<ByteSize> {
    let (number, unit, "") = split_unit(text)? else { return None };
    let (_, factor) = SIZE_UNITS.iter().find(|(name, _)| *name == unit)?;
    scaled(number, *factor).map(ByteSize::bytes)
}

fn size_text(size: ByteSize) -> String {
    let bytes = size.as_bytes();
    let unit = SIZE_UNITS.iter().find(|(_, factor)| bytes != 0 && bytes.is_multiple_of(*factor));
    unit.map_or_else(|| "0B".to_owned(), |(unit, factor)| format!("{}{unit}", bytes / factor))
}

impl Value for ByteSize {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = read_text(node, reader, "a size")?;
        let size = parse_size(&text);
        if size.is_none() {
            reader.report(unit_finding(node, &text, "size", &["B"], "`512B`, `64KiB`, `64MiB`, `1.5GiB`"));
        }
        size
    }

    fn plain(&self) -> Plain {
        Plain::Scalar(size_text(*self))
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        scalar_schema("^[0-9]+(\\.[0-9]+)?(B|KiB|MiB|GiB|TiB)$", "64MiB")
    }
}

/// A finding about a value whose unit is missing or wrong.
pub(crate) fn unit_finding(
    node: &Node,
    text: &str,
    kind: &str,
    units: &[&str],
    examples: &str,
) -> Diagnostic {
    let bare = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if bare {
        let guesses: Vec<String> = units.iter().map(|unit| format!("`{text}{unit}`")).collect();
        return Diagnostic::error(Code::Unit, node.span, format!("`{text}` needs a unit to be a {kind}"))
            .label(format!("did you mean {}?", guesses.join(" or ")))
            .help(format!("a {kind} names its unit: {examples}"));
    }
    Diagnostic::error(Code::Unit, node.span, format!("`{text}` is no {kind}"))
        .help(format!("a {kind} is a number and a unit: {examples}"))
}

macro_rules! name {
    ($type:ty, $what:literal) => {
        impl Value for $type {
            fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
                let text = read_text(node, reader, $what)?;
                let named: Result<Self, InvalidName> = Self::new(&text);
                match named {
                    Ok(name) => Some(name),
                    Err(refused) => {
                        let help = "use letters, digits, `.`, `_` and `-`";
                        reader.report(Diagnostic::error(Code::Name, node.span, refused.to_string()).help(help));
                        None
                    }
                }
            }

            fn plain(&self) -> Plain {
                Plain::Text(self.as_str().to_owned())
            }

            fn schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": "^[A-Za-z0-9._-]+$" })
            }
        }
    };
}
name!(RegionName, "a region's name");
name!(TopologyName, "a name");
name!(TopicName, "a topic's name");

macro_rules! text {
    ($type:ty, $what:literal) => {
        impl Value for $type {
            fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
                read_text(node, reader, $what).map(|text| Self::new(text.as_str()))
            }

            fn plain(&self) -> Plain {
                Plain::Text(self.as_str().to_owned())
            }

            fn schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "minLength": 1 })
            }
        }
    };
}
text!(ClusterId, "a cluster id");
text!(GroupName, "a group's name");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_number_is_neither_duration_nor_size() {
        assert_eq!(parse_duration("10"), None);
        assert_eq!(parse_size("10"), None);
    }

    #[test]
    fn parts_and_fractions_of_a_duration_add_up() {
        assert_eq!(parse_duration("1h30m"), Some(Duration::from_mins(90)));
        assert_eq!(parse_duration("1.5s"), Some(Duration::from_millis(1500)));
        assert_eq!(parse_duration("0.0001s"), None);
    }

    #[test]
    fn a_duration_beyond_ten_years_is_refused() {
        assert_eq!(parse_duration("3650d"), Some(DURATION_MAX));
        assert_eq!(parse_duration("3651d"), None);
        assert_eq!(parse_duration("99999999999999999999d"), None);
    }

    #[test]
    fn decimal_sizes_are_refused() {
        assert_eq!(parse_size("64MB"), None);
        assert_eq!(parse_size("1.5KiB"), Some(ByteSize::bytes(1536)));
    }

    #[test]
    fn counts_take_thousands_and_millions() {
        assert_eq!(Count::parse("10k"), Some(Count::of(10_000)));
        assert_eq!(Count::parse("2M"), Some(Count::of(2_000_000)));
        assert_eq!(Count::parse("-1"), None);
    }
}
