//! The attribute bits of a batch.

use super::BatchError;

const COMPRESSION: i16 = 0b111;
pub(super) const LOG_APPEND_TIME: i16 = 1 << 3;
pub(super) const TRANSACTIONAL: i16 = 1 << 4;
pub(super) const CONTROL: i16 = 1 << 5;
pub(super) const DELETE_HORIZON: i16 = 1 << 6;

/// How a batch's payload is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Compression {
    #[default]
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl Compression {
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The codec's number in the attributes.
    pub const fn code(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    /// The codec that a batch's attributes name.
    ///
    /// # Errors
    ///
    /// [`BatchError::UnknownCompression`] for the codes 5 to 7.
    pub fn from_attributes(attributes: i16) -> Result<Self, BatchError> {
        let code = (attributes & COMPRESSION) as u8;
        Self::ALL.get(usize::from(code)).copied().ok_or(BatchError::UnknownCompression(code))
    }
}

/// Whose clock a batch's timestamps are from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimestampType {
    /// Each record has the time its producer gave it.
    CreateTime,
    /// All records have the time the broker appended them: the batch's max timestamp.
    LogAppendTime,
}
