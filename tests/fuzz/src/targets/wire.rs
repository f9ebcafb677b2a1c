//! Kafka's messages: a client's byte stream, and any body by API and version, both directions.

use bytes::{Bytes, BytesMut};
use leeward_wire::api::{RequestBody, ResponseBody, SPOKEN, versions};
use leeward_wire::consumer_protocol::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use leeward_wire::offsets_topic::{GroupMetadataValue, OffsetCommitValue, OffsetsTopicKey};
use leeward_wire::{FrameDecoder, Reader, decode_request_header, decode_response_header};

/// A client's byte stream as node and gateway meet it: frames, headers, bodies.
pub(crate) fn requests(input: &[u8]) {
    let mut received = BytesMut::from(input);
    while let Ok(Some(frame)) = FrameDecoder::default().decode(&mut received) {
        let mut reader = Reader::new(frame);
        let Ok(header) = decode_request_header(&mut reader) else { continue };
        let Ok(body) = RequestBody::decode(header.api_key, header.api_version, &mut reader) else { continue };
        let mut out = BytesMut::new();
        body.encode(header.api_version, &mut out).expect("what was decoded can be said in its version");
        let again = RequestBody::decode(header.api_key, header.api_version, &mut Reader::new(out.freeze()));
        assert_eq!(again, Ok(body));
    }
}

/// A body: the first two bytes pick API and version. Then payloads that have their version in front.
pub(crate) fn bodies(input: &[u8]) {
    let [api, version, body @ ..] = input else { return };
    let api = SPOKEN[usize::from(*api) % SPOKEN.len()];
    let (min, max) = versions(api).expect("spoken");
    let version = min + i16::from(*version) % (max - min + 1);
    let body = Bytes::copy_from_slice(body);
    if let Ok(request) = RequestBody::decode(api, version, &mut Reader::new(body.clone())) {
        let mut out = BytesMut::new();
        request.encode(version, &mut out).expect("what was decoded can be said in its version");
        assert_eq!(RequestBody::decode(api, version, &mut Reader::new(out.freeze())), Ok(request));
    }
    let mut reader = Reader::new(body.clone());
    if decode_response_header(&mut reader, api, version).is_ok()
        && let Ok(response) = ResponseBody::decode(api, version, &mut reader)
    {
        let mut out = BytesMut::new();
        response.encode(version, &mut out).expect("what was decoded can be said in its version");
        assert_eq!(ResponseBody::decode(api, version, &mut Reader::new(out.freeze())), Ok(response));
    }
    payloads(body);
}

fn payloads(bytes: Bytes) {
    let _ = ConsumerProtocolSubscription::from_bytes(bytes.clone());
    let _ = ConsumerProtocolAssignment::from_bytes(bytes.clone());
    let _ = OffsetCommitValue::from_bytes(bytes.clone());
    let _ = GroupMetadataValue::from_bytes(bytes.clone());
    if let Ok(key) = OffsetsTopicKey::from_bytes(bytes) {
        let again = key.to_bytes().expect("names that were decoded are short enough");
        assert_eq!(OffsetsTopicKey::from_bytes(again), Ok(key));
    }
}
