//! Payloads that carry their own version in their first two bytes.

use bytes::{BufMut, Bytes, BytesMut};

use crate::codec::{Shape, Wire};
use crate::{DecodeError, EncodeError, Message, Reader};

/// The version first, then the message in that version.
pub(crate) fn to_bytes<M: Message>(message: &M, version: i16) -> Result<Bytes, EncodeError> {
    let mut out = BytesMut::new();
    out.put_i16(version);
    message.encode(version, &mut out)?;
    Ok(out.freeze())
}

/// Reads the version that stands first.
pub(crate) fn version(input: &mut Reader, name: &'static str) -> Result<i16, DecodeError> {
    input.enter(name, "version", Shape { version: 0, flexible: false });
    i16::take(input)
}

/// Gives a payload its versions: `versioned!(Name, min..=max, flexible from)`.
macro_rules! versioned {
    ($name:ident, $min:literal ..= $max:literal, flexible $flexible_from:expr) => {
        top_level!($name, $min..=$max, flexible $flexible_from);

        impl $name {
            /// Oldest version.
            pub const MIN_VERSION: i16 = $min;
            /// Newest version.
            pub const MAX_VERSION: i16 = $max;

            /// The payload with its version in front.
            ///
            /// # Errors
            ///
            /// [`EncodeError`](crate::EncodeError) when the version is not one of these, or cannot say a field that is set.
            pub fn to_bytes(&self, version: i16) -> Result<bytes::Bytes, $crate::EncodeError> {
                $crate::versioned::to_bytes(self, version)
            }
        }
    };
}
