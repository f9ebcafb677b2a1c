//! What can be wrong with a batch. A broker's answers to a batch are not here.

use std::io;

use super::Compression;

/// Why bytes are not a usable record batch.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    #[error("{bytes} bytes are too few for a record batch")]
    Truncated { bytes: usize },
    #[error("message format {magic} is older than record batches")]
    OldMagic { magic: i8 },
    #[error("unknown message format {magic}")]
    UnknownMagic { magic: i8 },
    #[error("batch declares {declared} bytes and has {bytes}")]
    Length { declared: i64, bytes: usize },
    #[error("record count {0} is negative")]
    RecordCount(i32),
    #[error("base offset {base} with last offset delta {delta} is no range of offsets")]
    Offsets { base: i64, delta: i32 },
    #[error("unknown compression codec {0}")]
    UnknownCompression(u8),
    #[error("batch carries CRC {stored:#010x}, its bytes give {computed:#010x}")]
    Crc { stored: u32, computed: u32 },
    #[error("payload is compressed with {0:?}")]
    Compressed(Compression),
    #[error("payload is larger than {limit_bytes} bytes when decompressed")]
    TooLarge { limit_bytes: usize },
    #[error("{codec:?} payload does not decompress")]
    Decompress { codec: Compression, source: io::Error },
    #[error("record {index} of the batch is malformed")]
    Record { index: i32, source: Malformed },
    #[error("{bytes} bytes follow the last record")]
    TrailingBytes { bytes: usize },
    #[error("control batch holds no records to re-encode")]
    Control,
    #[error("batch is no control batch with exactly one record")]
    NoControlRecord,
    #[error("re-encoded batch cannot be built")]
    Build(#[from] super::BuildError),
}

/// What is wrong inside one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("it ends too early")]
    Truncated,
    #[error("a variable-length integer does not fit its type")]
    Varint,
    #[error("length {0} is impossible")]
    Length(i32),
    #[error("{0} bytes follow its headers")]
    TrailingBytes(usize),
    #[error("offset delta {0} is out of order or past the batch's last")]
    OffsetDelta(i32),
    #[error("its control key or value is too short")]
    Control,
}
