//! A value as a policy would write it: what `show` prints.

/// A value in the shape that YAML gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Plain {
    /// Not written at all.
    Absent,
    /// Written as it is: `15s`, `true`, `earliest`.
    Scalar(String),
    /// A text of the user's, quoted where YAML needs it.
    Text(String),
    List(Vec<Plain>),
    Map(Vec<(String, Plain)>),
}

impl Plain {
    pub(crate) fn one(key: &str, value: Self) -> Self {
        Self::Map(vec![(key.to_owned(), value)])
    }

    /// The same with every text of the user's changed.
    pub(crate) fn map_texts(self, change: &dyn Fn(&str) -> String) -> Self {
        match self {
            Self::Text(text) => Self::Text(change(&text)),
            Self::List(items) => Self::List(items.into_iter().map(|item| item.map_texts(change)).collect()),
            Self::Map(entries) => {
                Self::Map(entries.into_iter().map(|(key, value)| (key, value.map_texts(change))).collect())
            }
            Self::Absent | Self::Scalar(_) => self,
        }
    }

    /// One line of flow YAML.
    pub(crate) fn flow(&self) -> String {
        match self {
            Self::Absent => "null".to_owned(),
            Self::Scalar(text) => text.clone(),
            Self::Text(text) => quoted(text),
            Self::List(items) => format!("[{}]", items.iter().map(Self::flow).collect::<Vec<_>>().join(", ")),
            Self::Map(entries) => {
                let entries = entries.iter().filter(|(_, value)| *value != Self::Absent);
                let entries: Vec<_> =
                    entries.map(|(key, value)| format!("{}: {}", quoted(key), value.flow())).collect();
                format!("{{{}}}", entries.join(", "))
            }
        }
    }
}

/// A text that reads back as itself, in quotes where it would not otherwise.
pub(crate) fn quoted(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/'))
        && !matches!(text, "null" | "true" | "false");
    if plain { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}
