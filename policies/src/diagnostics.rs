//! What is wrong with a policy: where, why, and the way out. Rendering is in `diagnostics/render.rs`.

mod render;

use crate::{
    code::Code,
    limits::DIAGNOSTICS_MAX,
    source::{Place, Source, Span},
};
pub use render::Format;

/// Whether a finding stops the policy from loading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    Error,
    Warning,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    pub severity: Severity,
    pub code: Code,
    pub message: String,
    pub span: Span,
    /// What stands beside the marked text.
    pub label: Option<String>,
    /// Other marked places, each with its label.
    pub related: Vec<(Span, String)>,
    /// Facts behind the finding, such as a sum.
    pub notes: Vec<String>,
    /// The way out.
    pub help: Option<String>,
}

impl Diagnostic {
    pub(crate) fn error(code: Code, span: Span, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            message: message.into(),
            span,
            label: None,
            related: Vec::new(),
            notes: Vec::new(),
            help: None,
        }
    }

    pub(crate) fn warning(code: Code, span: Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, span, message) }
    }

    pub(crate) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    pub(crate) fn related(mut self, span: Span, label: impl Into<String>) -> Self {
        self.related.push((span, label.into()));
        self
    }

    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// All findings about some sources, in the order of their places.
#[derive(Clone, Debug)]
pub struct Diagnostics {
    sources: Vec<Source>,
    findings: Vec<Diagnostic>,
}

impl Diagnostics {
    pub(crate) fn new(sources: Vec<Source>, findings: Vec<Diagnostic>) -> Self {
        let mut diagnostics = Self { sources, findings: Vec::new() };
        diagnostics.extend(findings);
        diagnostics
    }

    /// Adds findings about the same sources.
    pub(crate) fn extend(&mut self, findings: impl IntoIterator<Item = Diagnostic>) {
        self.findings.extend(findings);
        self.findings.sort_by_key(|finding| (finding.span, finding.code));
        self.findings.dedup();
        self.findings.truncate(DIAGNOSTICS_MAX);
    }

    pub(crate) fn with(mut self, finding: Diagnostic) -> Self {
        self.findings.push(finding);
        self
    }

    pub fn is_empty(&self) -> bool {
        self.findings.is_empty()
    }

    /// Whether any finding stops the policy from loading.
    pub fn has_errors(&self) -> bool {
        self.count(Severity::Error) > 0
    }

    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.findings.iter()
    }

    /// Where a finding's main mark begins.
    pub fn place(&self, finding: &Diagnostic) -> Place {
        self.sources[finding.span.source].place(finding.span)
    }

    /// `2 errors, 1 warning`.
    pub fn summary(&self) -> String {
        let plural =
            |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
        let errors = plural(self.count(Severity::Error), "error");
        match self.count(Severity::Warning) {
            0 => errors,
            warnings => format!("{errors}, {}", plural(warnings, "warning")),
        }
    }

    fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }
}

impl std::fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.render(Format::Text { colour: false }))
    }
}

impl std::error::Error for Diagnostics {}
