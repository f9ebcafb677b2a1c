//! What a version cannot say, and what bytes cannot claim.

use bytes::{Bytes, BytesMut};

use super::{decoded, encoded};
use crate::api::*;
use crate::{
    ApiKey, DecodeCause, EncodeCause, ErrorCode, FrameDecoder, Message, Reader, RequestHeader,
    decode_request_header, decode_response_header, encode_request, encode_response,
};

#[test]
fn a_claimed_array_beyond_the_bytes_is_refused_before_it_is_allocated() {
    let claim = Bytes::from_static(&[0xFF, 0xFF, 0xFF, 0xFF, 0x0F]);

    let error = decoded::<MetadataRequest>(&claim, 12).unwrap_err();

    assert_eq!(error.cause, DecodeCause::TooManyElements { count: 0xFFFF_FFFE, remaining: 0 });
    assert_eq!(
        error.to_string(),
        "MetadataRequest v12, MetadataRequest.topics at byte 5: claims 4294967294 elements, 0 bytes remain"
    );
}

#[test]
fn an_error_names_the_nested_field_and_where_it_stands() {
    let request = ProduceRequest {
        topic_data: vec![ProduceRequestTopic {
            name: "t".into(),
            partition_data: vec![ProduceRequestPartition {
                index: 1,
                records: Some(Bytes::from_static(b"abc")),
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let bytes = encoded(&request, 8);

    let error = decoded::<ProduceRequest>(&bytes.slice(..bytes.len() - 1), 8).unwrap_err();

    assert_eq!((error.field, error.offset), ("ProduceRequestPartition.records", bytes.len() - 3));
}

#[test]
fn records_are_a_slice_of_the_frame() {
    let request = ProduceRequest {
        topic_data: vec![ProduceRequestTopic {
            partition_data: vec![ProduceRequestPartition {
                index: 1,
                records: Some(Bytes::from_static(b"abc")),
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let bytes = encoded(&request, 9);

    let again: ProduceRequest = decoded(&bytes, 9).unwrap();

    let records = again.topic_data[0].partition_data[0].records.as_ref().unwrap();
    assert!(bytes.as_ptr_range().contains(&records.as_ptr()));
}

#[test]
fn a_field_that_the_version_lacks_is_an_error_when_it_is_set() {
    let request = JoinGroupRequest { group_instance_id: Some("i".into()), ..Default::default() };

    let error = request.encode(4, &mut BytesMut::new()).unwrap_err();

    assert_eq!((error.field, error.cause), ("JoinGroupRequest.group_instance_id", EncodeCause::NotInVersion));
}

#[test]
fn an_ignorable_field_that_the_version_lacks_is_left_out() {
    let response = HeartbeatResponse { throttle_time_ms: 5, error_code: 0 };

    assert_eq!(encoded(&response, 0).len(), 2);
}

#[test]
fn a_null_that_the_version_lacks_is_an_error_both_ways() {
    let all_topics = MetadataRequest { topics: None, ..Default::default() };

    let error = all_topics.encode(0, &mut BytesMut::new()).unwrap_err();
    let refused = decoded::<MetadataRequest>(&Bytes::from_static(&[0xFF; 4]), 0).unwrap_err();

    assert_eq!(error.cause, EncodeCause::NullInVersion);
    assert_eq!(refused.cause, DecodeCause::UnexpectedNull);
}

#[test]
fn a_failed_encode_leaves_what_was_there() {
    let mut out = BytesMut::from(&b"before"[..]);
    let request = MetadataRequest { topics: None, ..Default::default() };

    request.encode(0, &mut out).unwrap_err();

    assert_eq!(&out[..], b"before");
}

#[test]
fn an_unknown_tagged_field_is_skipped() {
    let mut bytes = encoded(&HeartbeatResponse::default(), 4).to_vec();
    bytes.pop();
    bytes.extend_from_slice(&[1, 99, 2, b'x', b'y']);

    assert_eq!(decoded(&bytes.into(), 4), Ok(HeartbeatResponse::default()));
}

#[test]
fn a_version_that_is_not_spoken_is_an_error_both_ways() {
    let error = HeartbeatRequest::default().encode(5, &mut BytesMut::new()).unwrap_err();
    let refused = decoded::<HeartbeatRequest>(&Bytes::new(), -1).unwrap_err();

    assert_eq!(error.cause, EncodeCause::UnsupportedVersion { min: 0, max: 4 });
    assert_eq!(refused.cause, DecodeCause::UnsupportedVersion { min: 0, max: 4 });
}

#[test]
fn a_request_frame_splits_and_its_header_reads_back() {
    for version in [8, 9] {
        let frame = encode_request(version, 7, Some("me"), &MetadataRequest::default()).unwrap();
        let mut received = BytesMut::from(&frame[..]);

        let body = FrameDecoder::default().decode(&mut received).unwrap().unwrap();
        let mut input = Reader::new(body);
        let header = decode_request_header(&mut input).unwrap();

        let expected = RequestHeader {
            api_key: ApiKey::Metadata,
            api_version: version,
            correlation_id: 7,
            client_id: Some("me".into()),
        };
        assert_eq!(header, expected);
        assert_eq!(MetadataRequest::decode(&mut input, version), Ok(MetadataRequest::default()));
    }
}

#[test]
fn an_api_versions_response_has_the_plain_header_in_every_version() {
    let response =
        ApiVersionsResponse { error_code: ErrorCode::UNSUPPORTED_VERSION.code(), ..Default::default() };
    for version in 0..=4 {
        let frame = encode_response(ApiKey::ApiVersions, version, 7, &response).unwrap();

        let mut input = Reader::new(frame.slice(4..));
        let header = decode_response_header(&mut input, ApiKey::ApiVersions, version).unwrap();

        assert_eq!((header.correlation_id, input.offset()), (7, 4));
    }
}

#[test]
fn a_refusal_of_the_version_is_read_as_version_zero() {
    let refusal = ApiVersionsResponse {
        error_code: ErrorCode::UNSUPPORTED_VERSION.code(),
        api_keys: vec![ApiVersionsResponseKey { api_key: 18, min_version: 0, max_version: 3 }],
        ..Default::default()
    };
    let mut input = Reader::new(encoded(&refusal, 0));

    let answer = ApiVersionsResponse::decode_answer(&mut input, 4).unwrap();

    assert_eq!(answer.versions(ApiKey::ApiVersions), Some((0, 3)));
}

#[test]
fn a_text_longer_than_any_version_can_say_is_refused() {
    let mut bytes = vec![0x81, 0x80, 0x02];
    bytes.resize(bytes.len() + 0x8000, b'x');

    let error = decoded::<HeartbeatRequest>(&bytes.into(), 4).unwrap_err();

    assert_eq!(error.cause, DecodeCause::TextTooLong(0x8000));
}
