//! Frames captured from live brokers (`examples/capture.rs`): each is read to its last byte and written back equal.

#![allow(clippy::unwrap_used, reason = "a failed test names its line")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use bytes::{Buf, Bytes, BytesMut};
use leeward_wire::api::{RequestBody, ResponseBody, SPOKEN};
use leeward_wire::{
    ApiKey, FrameDecoder, Reader, RequestHeader, decode_request_header, decode_response_header,
};

/// Request and response frames in turn, of all brokers.
fn exchanges() -> Vec<(RequestHeader, Bytes, Bytes)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut exchanges = Vec::new();
    for broker in fs::read_dir(folder).unwrap() {
        for file in fs::read_dir(broker.unwrap().path()).unwrap() {
            let mut received = BytesMut::from(&fs::read(file.unwrap().path()).unwrap()[..]);
            while received.has_remaining() {
                let request = FrameDecoder::default().decode(&mut received).unwrap().unwrap();
                let response = FrameDecoder::default().decode(&mut received).unwrap().unwrap();
                let header = decode_request_header(&mut Reader::new(request.clone())).unwrap();
                exchanges.push((header, request, response));
            }
        }
    }
    exchanges
}

#[test]
fn captured_requests_are_written_back_equal() {
    for (header, frame, _) in exchanges() {
        let (api, version) = (header.api_key, header.api_version);
        let mut input = Reader::new(frame.clone());
        decode_request_header(&mut input).unwrap();
        let start = input.offset();

        let body = RequestBody::decode(api, version, &mut input).unwrap();

        let mut again = BytesMut::new();
        body.encode(version, &mut again).unwrap();
        assert_eq!(again.freeze(), frame.slice(start..), "{api} v{version}");
    }
}

#[test]
fn captured_responses_are_written_back_equal() {
    for (header, _, frame) in exchanges() {
        let (api, version) = (header.api_key, header.api_version);
        let mut input = Reader::new(frame.clone());
        decode_response_header(&mut input, api, version).unwrap();
        let start = input.offset();

        let body = ResponseBody::decode(api, version, &mut input).unwrap();

        let mut again = BytesMut::new();
        body.encode(version, &mut again).unwrap();
        assert_eq!(again.freeze(), frame.slice(start..), "{api} v{version}");
    }
}

#[test]
fn every_api_was_captured() {
    let captured: BTreeSet<ApiKey> = exchanges().into_iter().map(|(header, ..)| header.api_key).collect();

    assert_eq!(captured, SPOKEN.iter().copied().collect());
}
