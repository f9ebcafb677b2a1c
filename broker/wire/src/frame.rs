//! Splits a byte stream into frames: a 4-byte length, then that many bytes. Does no input or output.

use bytes::{Buf, Bytes, BytesMut};

use crate::limits::FRAME_BYTES_MAX;

/// Bytes of a frame's length prefix.
pub const PREFIX_BYTES: usize = 4;

/// Why a stream cannot be split any further; the connection must be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("frame of {size} bytes is larger than the allowed {max}")]
    TooLarge { size: usize, max: usize },
    #[error("frame length {0} is negative")]
    Negative(i32),
}

/// Takes frames out of received bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameDecoder {
    /// Largest frame in bytes, without its prefix; a longer one is an error.
    pub max_frame_bytes: usize,
}

impl Default for FrameDecoder {
    fn default() -> Self {
        Self { max_frame_bytes: FRAME_BYTES_MAX }
    }
}

impl FrameDecoder {
    /// Takes the next whole frame, without its prefix, or `None` when more bytes must arrive first.
    ///
    /// # Errors
    ///
    /// [`FrameError`]; `received` is left as it was.
    pub fn decode(&self, received: &mut BytesMut) -> Result<Option<Bytes>, FrameError> {
        let Some(prefix) = received.first_chunk::<PREFIX_BYTES>() else {
            return Ok(None);
        };
        let signed = i32::from_be_bytes(*prefix);
        let size = usize::try_from(signed).map_err(|_| FrameError::Negative(signed))?;
        if size > self.max_frame_bytes {
            return Err(FrameError::TooLarge { size, max: self.max_frame_bytes });
        }
        if received.len() - PREFIX_BYTES < size {
            return Ok(None);
        }
        received.advance(PREFIX_BYTES);
        Ok(Some(received.split_to(size).freeze()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_that_arrives_in_pieces_comes_out_once_whole() {
        let decoder = FrameDecoder::default();
        let mut received = BytesMut::from(&[0, 0, 0, 2, 7][..]);

        assert_eq!(decoder.decode(&mut received), Ok(None));
        received.extend_from_slice(&[8, 0]);

        assert_eq!(decoder.decode(&mut received), Ok(Some(Bytes::from_static(&[7, 8]))));
        assert_eq!(&received[..], &[0]);
    }

    #[test]
    fn a_frame_above_the_limit_is_refused_by_its_prefix() {
        let decoder = FrameDecoder { max_frame_bytes: 4 };
        let mut received = BytesMut::from(&[0, 0, 0, 5][..]);

        assert_eq!(decoder.decode(&mut received), Err(FrameError::TooLarge { size: 5, max: 4 }));
    }

    #[test]
    fn a_negative_length_is_refused() {
        let mut received = BytesMut::from(&[0xFF, 0xFF, 0xFF, 0xFE][..]);

        assert_eq!(FrameDecoder::default().decode(&mut received), Err(FrameError::Negative(-2)));
    }
}
