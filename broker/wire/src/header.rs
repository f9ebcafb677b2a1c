//! The headers before each body, and whole frames.

use bytes::{BufMut, Bytes, BytesMut};

use crate::codec::{Shape, Wire, Writer};
use crate::frame::PREFIX_BYTES;
use crate::{ApiKey, DecodeCause, DecodeError, EncodeCause, EncodeError, Message, Reader, Request};

/// What stands before a request's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    pub api_key: ApiKey,
    pub api_version: i16,
    /// Returned with the response.
    pub correlation_id: i32,
    pub client_id: Option<String>,
}

/// What stands before a response's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseHeader {
    /// That of the request.
    pub correlation_id: i32,
}

/// The client id is never compact, and headers have no version of their own on the wire.
const PLAIN: Shape = Shape { version: 0, flexible: false };

impl RequestHeader {
    /// Appends the header, in the header version that the request's version implies.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] when the client id is longer than 32767 bytes.
    pub fn encode(&self, out: &mut BytesMut) -> Result<(), EncodeError> {
        out.put_i16(self.api_key.code());
        out.put_i16(self.api_version);
        out.put_i32(self.correlation_id);
        self.client_id.put(&mut Writer::new(out, "RequestHeader", "RequestHeader.client_id", PLAIN))?;
        if self.api_key.request_header_is_flexible(self.api_version) {
            out.put_u8(0);
        }
        Ok(())
    }
}

/// Reads a request's header and leaves `input` at the body. The version is not checked here: a server answers an
/// unknown version of `ApiVersions` and closes on any other.
///
/// # Errors
///
/// [`DecodeError`], with [`DecodeCause::UnknownApi`] when the key is none that Kafka has.
pub fn decode_request_header(input: &mut Reader) -> Result<RequestHeader, DecodeError> {
    input.enter("RequestHeader", "RequestHeader.api_key", PLAIN);
    let code = i16::take(input)?;
    let Some(api_key) = ApiKey::from_code(code) else {
        return Err(input.fail(DecodeCause::UnknownApi(code)));
    };
    input.enter("RequestHeader", "RequestHeader.api_version", PLAIN);
    let api_version = i16::take(input)?;
    input.enter("RequestHeader", "RequestHeader.correlation_id", PLAIN);
    let correlation_id = i32::take(input)?;
    input.enter("RequestHeader", "RequestHeader.client_id", PLAIN);
    let client_id = Wire::take(input)?;
    if api_key.request_header_is_flexible(api_version) {
        input.tags("RequestHeader", |_, _| Ok(false))?;
    }
    Ok(RequestHeader { api_key, api_version, correlation_id, client_id })
}

/// Reads a response's header and leaves `input` at the body.
///
/// # Errors
///
/// [`DecodeError`] when the bytes end early.
pub fn decode_response_header(
    input: &mut Reader,
    api: ApiKey,
    version: i16,
) -> Result<ResponseHeader, DecodeError> {
    input.enter("ResponseHeader", "ResponseHeader.correlation_id", PLAIN);
    let correlation_id = i32::take(input)?;
    if api.response_header_is_flexible(version) {
        input.tags("ResponseHeader", |_, _| Ok(false))?;
    }
    Ok(ResponseHeader { correlation_id })
}

/// A whole request frame, with its length prefix.
///
/// # Errors
///
/// [`EncodeError`] as in [`Message::encode`].
pub fn encode_request<R: Request>(
    version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
    request: &R,
) -> Result<Bytes, EncodeError> {
    let header = RequestHeader {
        api_key: R::KEY,
        api_version: version,
        correlation_id,
        client_id: client_id.map(ToOwned::to_owned),
    };
    frame(version, |out| {
        header.encode(out)?;
        request.encode(version, out)
    })
}

/// A request frame whose byte fields are not copied into it.
///
/// Invariant: the places of `left_out` rise and lie within `encoded`; the length prefix counts what is left out.
#[derive(Clone, Debug)]
pub struct FrameAround {
    /// The frame, with its length prefix, without the byte fields.
    pub encoded: Bytes,
    /// The byte fields in order, each with the place in `encoded` that it belongs before.
    pub left_out: Vec<(usize, Bytes)>,
}

/// As [`encode_request`], but leaves byte fields (record batches) out, for writers that send slices.
///
/// # Errors
///
/// [`EncodeError`] as in [`Message::encode`].
pub fn encode_request_around<R: Request>(
    version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
    request: &R,
) -> Result<FrameAround, EncodeError> {
    let header = RequestHeader {
        api_key: R::KEY,
        api_version: version,
        correlation_id,
        client_id: client_id.map(ToOwned::to_owned),
    };
    let mut out = BytesMut::zeroed(PREFIX_BYTES);
    header.encode(&mut out)?;
    let mut left_out = Vec::new();
    request.encode_around(version, &mut out, &mut left_out)?;
    let size = out.len() - PREFIX_BYTES + left_out.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
    out[..PREFIX_BYTES].copy_from_slice(&prefix(version, size)?);
    Ok(FrameAround { encoded: out.freeze(), left_out })
}

/// A whole response frame, with its length prefix.
///
/// # Errors
///
/// [`EncodeError`] as in [`Message::encode`].
pub fn encode_response<M: Message>(
    api: ApiKey,
    version: i16,
    correlation_id: i32,
    response: &M,
) -> Result<Bytes, EncodeError> {
    frame(version, |out| {
        out.put_i32(correlation_id);
        if api.response_header_is_flexible(version) {
            out.put_u8(0);
        }
        response.encode(version, out)
    })
}

fn frame(
    version: i16,
    fill: impl FnOnce(&mut BytesMut) -> Result<(), EncodeError>,
) -> Result<Bytes, EncodeError> {
    let mut out = BytesMut::zeroed(PREFIX_BYTES);
    fill(&mut out)?;
    let size = out.len() - PREFIX_BYTES;
    out[..PREFIX_BYTES].copy_from_slice(&prefix(version, size)?);
    Ok(out.freeze())
}

fn prefix(version: i16, size: usize) -> Result<[u8; PREFIX_BYTES], EncodeError> {
    let too_long =
        || EncodeError { message: "frame", version, field: "length", cause: EncodeCause::TooLong(size) };
    i32::try_from(size).map(i32::to_be_bytes).map_err(|_| too_long())
}
