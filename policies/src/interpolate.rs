//! `${VAR}` in texts, for documents that ask for it. Only that form; `$${` is a literal `${`.

use crate::{code::Code, diagnostics::Diagnostic, node::Node, read::Reader};

/// The text with every `${VAR}` replaced; `None` when a finding was reported.
pub(crate) fn replaced(text: &str, node: &Node, reader: &mut Reader<'_>) -> Option<String> {
    if !reader.interpolate || !text.contains("${") {
        return Some(text.to_owned());
    }
    let mut result = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(found) = text[at..].find("${") {
        let open = at + found;
        if text[..open].ends_with('$') {
            result.push_str(&text[at..open - 1]);
            result.push_str("${");
            at = open + 2;
            continue;
        }
        result.push_str(&text[at..open]);
        let (value, after) = variable(text, open, node, reader)?;
        result.push_str(&value);
        at = after;
    }
    result.push_str(&text[at..]);
    Some(result)
}

/// The value of the variable whose `${` is at `open`, and where the text goes on.
fn variable(text: &str, open: usize, node: &Node, reader: &mut Reader<'_>) -> Option<(String, usize)> {
    let named = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let close = text[open..].find('}').map(|close| open + close);
    let name = close.map_or("", |close| &text[open + 2..close]);
    let end = close.map_or(text.len(), |close| close + 1);
    let span = reader.part_of(node, open, end);
    if name.is_empty() || !name.chars().all(named) {
        let finding = Diagnostic::error(Code::VariableMalformed, span, "this is no `${VAR}`");
        reader.report(finding.help("only `${NAME}` is taken; write `$${` for a literal `${`"));
        return None;
    }
    let Some(value) = reader.variable(name) else {
        let message = format!("the environment variable `{name}` is not set");
        let help = format!("set it where leeward runs: `{name}=... leeward ...`");
        reader.report(Diagnostic::error(Code::VariableUnset, span, message).help(help));
        return None;
    };
    if value.contains(['\n', '\r']) {
        let message = format!("the value of `{name}` has a line break");
        reader.report(
            Diagnostic::error(Code::VariableMalformed, span, message).help("use a value of one line"),
        );
        return None;
    }
    Some((value, end))
}
