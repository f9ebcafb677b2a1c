//! A closed set of words, declared once.

/// Declares an enum whose values are words in a policy. Words under `later` are specified but not done yet.
macro_rules! words {
    (
        $(#[doc = $doc:literal])*
        $vis:vis enum $name:ident in $what:literal {
            $($(#[doc = $word_doc:literal])* $variant:ident = $word:literal,)*
        }
        $(later [$($later:literal),* $(,)?])?
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $vis enum $name {
            $($(#[doc = $word_doc])* $variant,)*
        }

        impl $name {
            /// All words, as policies write them.
            $vis const WORDS: &'static [&'static str] = &[$($word),*];

            /// The word as policies write it.
            $vis fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl $crate::read::Value for $name {
            fn read(node: &$crate::node::Node, reader: &mut $crate::read::Reader<'_>) -> Option<Self> {
                let text = $crate::read::read_text(node, reader, $what)?;
                match text.as_str() {
                    $($word => Some(Self::$variant),)*
                    unknown => {
                        let later: &[&str] = &[$($($later),*)?];
                        reader.unknown_word(node, unknown, $what, Self::WORDS, later);
                        None
                    }
                }
            }

            fn plain(&self) -> $crate::plain::Plain {
                $crate::plain::Plain::Scalar(self.as_str().to_owned())
            }

            fn schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "enum": [$($word),*] })
            }
        }
    };
}

use crate::{
    code::Code,
    diagnostics::Diagnostic,
    node::Node,
    read::{Reader, nearest},
};
pub(crate) use words;

impl Reader<'_> {
    /// Reports a word that is not in its set.
    pub(crate) fn unknown_word(
        &mut self,
        node: &Node,
        word: &str,
        what: &str,
        known: &[&str],
        later: &[&str],
    ) {
        if later.contains(&word) {
            self.report(
                Diagnostic::error(
                    Code::ValueNotYet,
                    node.span,
                    format!("{what} `{word}` is not yet implemented"),
                )
                .help(format!("this version has: {}", listed(known))),
            );
            return;
        }
        let finding = Diagnostic::error(Code::UnknownValue, node.span, format!("`{word}` is no {what}"));
        let help = format!("one of: {}", listed(known));
        self.report(match nearest(word, known) {
            Some(near) => finding.label(format!("did you mean `{near}`?")).help(help),
            None => finding.help(help),
        });
    }
}

fn listed(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}
