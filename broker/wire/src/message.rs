//! What all messages have in common.

use bytes::{Bytes, BytesMut};

use crate::{ApiKey, DecodeError, EncodeError, Reader};

/// A body of the protocol, without frame and header.
pub trait Message: Sized {
    /// Appends the message in `version`; on an error `out` is as it was.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] when the version is not spoken, or cannot say a field that is set.
    fn encode(&self, version: i16, out: &mut BytesMut) -> Result<(), EncodeError>;

    /// As [`Message::encode`], but leaves byte fields out: they go into `left_out`, in order, each with the length of `out` before
    /// which it belongs.
    ///
    /// # Errors
    ///
    /// As [`Message::encode`]; `left_out` is of no use then.
    fn encode_around(
        &self,
        version: i16,
        out: &mut BytesMut,
        left_out: &mut Vec<(usize, Bytes)>,
    ) -> Result<(), EncodeError>;

    /// Reads the message in `version` and leaves `input` behind it.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] when the version is not spoken, or the bytes are not this message.
    fn decode(input: &mut Reader, version: i16) -> Result<Self, DecodeError>;
}

/// A request, and what answers it.
pub trait Request: Message {
    const KEY: ApiKey;
    const MIN_VERSION: i16;
    const MAX_VERSION: i16;
    /// First version with compact lengths and tagged fields.
    const FLEXIBLE_FROM: i16;
    type Response: Message;
}
