//! Why bytes were not a message, or a message could not be said in a version.

/// Bytes that are not the message they were taken for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} v{version}, {field} at byte {offset}: {cause}")]
pub struct DecodeError {
    /// The message that was being read.
    pub message: &'static str,
    /// Its version.
    pub version: i16,
    /// The field, as `Struct.field`.
    pub field: &'static str,
    /// Where in the input, counted from the start of its [`Reader`](crate::Reader).
    pub offset: usize,
    /// What was wrong there.
    pub cause: DecodeCause,
}

/// What was wrong with the bytes of a field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeCause {
    #[error("needs {needed} bytes, {remaining} remain")]
    Truncated { needed: usize, remaining: usize },
    #[error("claims {count} elements, {remaining} bytes remain")]
    TooManyElements { count: usize, remaining: usize },
    #[error("length {0} is negative")]
    NegativeLength(i64),
    #[error("text of {0} bytes is longer than 32767")]
    TextTooLong(i64),
    #[error("variable-length integer is longer than 5 bytes")]
    VarintTooLong,
    #[error("null where the version allows none")]
    UnexpectedNull,
    #[error("text is not UTF-8")]
    NotUtf8,
    #[error("{0} bytes follow the end")]
    TrailingBytes(usize),
    #[error("more than {0} unknown tagged fields")]
    TooManyTags(u32),
    #[error("version is outside {min}..={max}")]
    UnsupportedVersion { min: i16, max: i16 },
    #[error("api key {0} is unknown")]
    UnknownApi(i16),
    #[error("this api has no message here")]
    NoMessage,
}

/// A message that its version cannot say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} v{version}, {field}: {cause}")]
pub struct EncodeError {
    /// The message that was being written.
    pub message: &'static str,
    /// Its version.
    pub version: i16,
    /// The field, as `Struct.field`.
    pub field: &'static str,
    /// What cannot be said.
    pub cause: EncodeCause,
}

/// What cannot be said about a field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeCause {
    #[error("version is outside {min}..={max}")]
    UnsupportedVersion { min: i16, max: i16 },
    #[error("set, but the version has no such field")]
    NotInVersion,
    #[error("null, which the version does not allow")]
    NullInVersion,
    #[error("length {0} does not fit")]
    TooLong(usize),
}
