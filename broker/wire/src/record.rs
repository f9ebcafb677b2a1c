//! Kafka record batches of magic 2, kept as the bytes they came as.
//!
//! A batch is a 61-byte header and a payload. The header is read and patched without touching the payload;
//! the payload is decompressed, iterated or built only where somebody asks. Nothing here knows requests,
//! partitions or what a broker would do with a batch.

mod attributes;
mod batch;
mod builder;
mod checksum;
mod codec;
mod control;
mod digest;
mod error;
pub mod header;
mod iterate;
pub mod limits;
mod patch;
mod reader;
mod reencode;
mod split;
mod writer;
mod xerial;

pub use attributes::{Compression, TimestampType};
pub use batch::RecordBatch;
pub use builder::{BatchBuilder, BuildError};
pub use checksum::crc32c;
pub use codec::Decompressed;
pub use control::{ControlKind, ControlRecord, control_batch};
pub use digest::{BatchDigest, RecordDigest};
pub use error::{BatchError, Malformed};
pub use iterate::{Header, Headers, Record, RecordIter};
pub use patch::Patch;
pub use reencode::{Reencode, ReencodedBatch, Reencoder, reencode};
pub use split::{Batches, split_batches};
