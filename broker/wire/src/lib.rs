//! Kafka's wire protocol, both directions: frames, headers, messages, record batches; and how much of an answer a server
//! may hold. Knows no sockets, no clock and no cluster.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a failed test names its line"))]

#[macro_use]
mod codec;
#[macro_use]
mod versioned;

mod answer_room;
pub mod api;
mod api_key;
pub mod consumer_protocol;
mod error;
pub mod error_code;
pub mod frame;
pub mod header;
pub mod limits;
mod message;
pub mod offsets_topic;
pub mod record;
#[cfg(test)]
mod tests;
mod uuid;

pub use answer_room::{AnswerRoom, PeerRoom};
pub use api_key::ApiKey;
pub use codec::Reader;
pub use error::{DecodeCause, DecodeError, EncodeCause, EncodeError};
pub use error_code::ErrorCode;
pub use frame::{FrameDecoder, FrameError};
pub use header::{
    FrameAround, RequestHeader, ResponseHeader, decode_request_header, decode_response_header,
    encode_request, encode_request_around, encode_response,
};
pub use message::{Message, Request};
pub use uuid::Uuid;
