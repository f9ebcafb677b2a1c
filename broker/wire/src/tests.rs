//! Claims about all messages at once: the table of APIs is run through, each at every version.

mod hostile;
mod limits;
mod oracle;
mod round_trip;

use bytes::{Bytes, BytesMut};

use crate::{Message, Reader};

/// A message that tests can make up.
pub(crate) trait Sampled: Message {
    /// A value with every field that `version` has; outside of it all fields are at their defaults.
    fn sampled(seed: u64, version: i16) -> Self;
}

fn encoded<M: Message>(message: &M, version: i16) -> Bytes {
    let mut out = BytesMut::new();
    message.encode(version, &mut out).expect("samples say only what the version can");
    out.freeze()
}

/// Decodes and wants every byte used.
fn decoded<M: Message>(bytes: &Bytes, version: i16) -> Result<M, crate::DecodeError> {
    let mut input = Reader::new(bytes.clone());
    let message = M::decode(&mut input, version)?;
    input.finish()?;
    Ok(message)
}
