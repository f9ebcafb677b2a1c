//! Compressing and decompressing payloads, the latter under a cap.

use std::io::{self, Read, Write};

use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;
use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};

use super::header::HEADER_BYTES;
use super::limits::ZSTD_WINDOW_LOG_MAX;
use super::{BatchError, Compression, RecordBatch, RecordIter, xerial};

const MEMORY_TAKES_ALL: &str = "writing to memory does not fail";

/// A batch's payload without its compression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decompressed {
    payload: Bytes,
    record_count: i32,
    last_offset_delta: i32,
}

impl Decompressed {
    pub fn records(&self) -> RecordIter<'_> {
        RecordIter::new(&self.payload, self.record_count, self.last_offset_delta)
    }

    pub fn payload(&self) -> &Bytes {
        &self.payload
    }
}

impl RecordBatch {
    /// The payload without its compression; shared where it has none.
    ///
    /// # Errors
    ///
    /// [`BatchError::TooLarge`] past `limit_bytes`, [`BatchError::Decompress`] where the codec refuses.
    pub fn decompress(&self, limit_bytes: usize) -> Result<Decompressed, BatchError> {
        let payload = match self.compression() {
            Compression::None if self.payload().len() > limit_bytes => {
                return Err(BatchError::TooLarge { limit_bytes });
            }
            Compression::None => self.payload_bytes(),
            codec => decompress(codec, self.payload(), limit_bytes)?.into(),
        };
        Ok(Decompressed {
            payload,
            record_count: self.record_count(),
            last_offset_delta: self.last_offset_delta(),
        })
    }
}

fn decompress(codec: Compression, payload: &[u8], limit_bytes: usize) -> Result<Vec<u8>, BatchError> {
    let read = match codec {
        Compression::None => read_capped(payload, payload.len(), limit_bytes),
        Compression::Gzip => read_capped(MultiGzDecoder::new(payload), payload.len(), limit_bytes),
        Compression::Lz4 => read_capped(FrameDecoder::new(payload), payload.len(), limit_bytes),
        Compression::Zstd => {
            zstd_decoder(payload).and_then(|decoder| read_capped(decoder, payload.len(), limit_bytes))
        }
        Compression::Snappy => xerial::decompress(payload, limit_bytes),
    };
    match read {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(BatchError::TooLarge { limit_bytes }),
        Err(source) => Err(BatchError::Decompress { codec, source }),
    }
}

fn zstd_decoder(payload: &[u8]) -> io::Result<zstd::Decoder<'static, &[u8]>> {
    let mut decoder = zstd::Decoder::with_buffer(payload)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
    Ok(decoder)
}

/// Reads to the end, or gives `None` when more than the limit comes.
fn read_capped(
    reader: impl Read,
    compressed_bytes: usize,
    limit_bytes: usize,
) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::with_capacity(compressed_bytes.saturating_mul(4).min(limit_bytes));
    let one_past = (limit_bytes as u64).saturating_add(1);
    reader.take(one_past).read_to_end(&mut bytes)?;
    Ok((bytes.len() <= limit_bytes).then_some(bytes))
}

/// Compresses records behind room for a header.
pub(super) fn compress(codec: Compression, records: &[u8]) -> Vec<u8> {
    let mut into = Vec::with_capacity(HEADER_BYTES + records.len() / 2);
    into.resize(HEADER_BYTES, 0);
    match codec {
        Compression::None => {
            into.extend_from_slice(records);
            into
        }
        Compression::Gzip => {
            let mut encoder = GzEncoder::new(into, flate2::Compression::default());
            encoder.write_all(records).expect(MEMORY_TAKES_ALL);
            encoder.finish().expect(MEMORY_TAKES_ALL)
        }
        Compression::Snappy => {
            xerial::compress(records, &mut into);
            into
        }
        Compression::Lz4 => {
            let frame = FrameInfo::new().block_size(BlockSize::Max64KB).block_mode(BlockMode::Independent);
            let mut encoder = FrameEncoder::with_frame_info(frame, into);
            encoder.write_all(records).expect(MEMORY_TAKES_ALL);
            encoder.finish().expect(MEMORY_TAKES_ALL)
        }
        Compression::Zstd => {
            let level = zstd::DEFAULT_COMPRESSION_LEVEL;
            let mut encoder = zstd::Encoder::new(into, level).expect("the level is zstd's own");
            encoder.write_all(records).expect(MEMORY_TAKES_ALL);
            encoder.finish().expect(MEMORY_TAKES_ALL)
        }
    }
}
