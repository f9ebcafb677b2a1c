//! Findings as people and machines read them.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet, renderer::DecorStyle};
use serde_json::json;

use super::{Diagnostic, Diagnostics, Severity};

/// Widest line of a rendering; longer source lines are cut around the mark.
const WIDTH: usize = 120;

/// How findings are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// With source lines, for people.
    Text { colour: bool },
    /// One JSON document.
    Json,
    /// Workflow commands that annotate a pull request.
    Github,
}

impl Diagnostics {
    /// Writes all findings; ends with a line break unless there are none.
    pub fn render(&self, format: Format) -> String {
        match format {
            Format::Text { colour } => self.render_text(colour),
            Format::Json => self.render_json(),
            Format::Github => self.render_github(),
        }
    }

    fn render_text(&self, colour: bool) -> String {
        if self.is_empty() {
            return String::new();
        }
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let renderer = renderer.term_width(WIDTH).decor_style(DecorStyle::Ascii);
        let mut text = String::new();
        for finding in &self.findings {
            text.push_str(&renderer.render(&[self.group(finding)]));
            text.push_str("\n\n");
        }
        text.push_str(&self.summary());
        text.push('\n');
        text
    }

    fn group<'a>(&'a self, finding: &'a Diagnostic) -> Group<'a> {
        let level = match finding.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let source = &self.sources[finding.span.source];
        let mark =
            AnnotationKind::Primary.span(source.first_line(finding.span)).label(finding.label.as_deref());
        let mut snippet = Snippet::source(source.text()).path(source.name()).annotation(mark);
        for (span, label) in finding.related.iter().filter(|(span, _)| span.source == finding.span.source) {
            let place = AnnotationKind::Context.span(source.first_line(*span));
            snippet = snippet.annotation(place.label(label.as_str()));
        }
        let mut group =
            level.primary_title(finding.message.as_str()).id(finding.code.as_str()).element(snippet);
        for (span, label) in finding.related.iter().filter(|(span, _)| span.source != finding.span.source) {
            let place = self.sources[span.source].place(*span);
            group = group.element(Level::NOTE.message(format!("{label}: {place}")));
        }
        for note in &finding.notes {
            group = group.element(Level::NOTE.message(note.as_str()));
        }
        if let Some(help) = &finding.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        group
    }

    fn render_json(&self) -> String {
        let findings: Vec<_> = self.findings.iter().map(|finding| self.json(finding)).collect();
        let document = json!({
            "schema": "leeward/diagnostics/v1",
            "errors": self.count(Severity::Error),
            "warnings": self.count(Severity::Warning),
            "findings": findings,
        });
        format!("{document:#}\n")
    }

    fn json(&self, finding: &Diagnostic) -> serde_json::Value {
        let place = self.place(finding);
        json!({
            "severity": word(finding.severity),
            "code": finding.code.as_str(),
            "message": finding.message,
            "file": &*place.file,
            "line": place.line,
            "column": place.column,
            "label": finding.label,
            "notes": finding.notes,
            "help": finding.help,
        })
    }

    fn render_github(&self) -> String {
        let mut text = String::new();
        for finding in &self.findings {
            let place = self.place(finding);
            let mut message = finding.message.clone();
            for more in finding.label.iter().chain(&finding.notes) {
                message.push('\n');
                message.push_str(more);
            }
            if let Some(help) = &finding.help {
                message.push_str("\nhelp: ");
                message.push_str(help);
            }
            let line = format!(
                "::{} file={},line={},col={},title={}::{}",
                word(finding.severity),
                property(&place.file),
                place.line,
                place.column,
                finding.code,
                escaped(&message),
            );
            text.push_str(&line);
            text.push('\n');
        }
        text
    }
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    escaped(text).replace(':', "%3A").replace(',', "%2C")
}
