//! What is written reads back.

use std::fmt::Debug;

use bytes::BytesMut;
use proptest::prelude::*;

use super::{Sampled, decoded, encoded};
use crate::Request;
use crate::api::*;
use crate::consumer_protocol::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use crate::offsets_topic::{GroupMetadataKey, GroupMetadataValue, OffsetCommitKey, OffsetCommitValue};

fn reads_back<M: Sampled + PartialEq + Debug>(seed: u64, min: i16, max: i16) {
    for version in min..=max {
        let message = M::sampled(seed, version);
        let bytes = encoded(&message, version);
        assert_eq!(decoded::<M>(&bytes, version).as_ref(), Ok(&message), "version {version}");
        assert_eq!(encoded_around(&message, version), bytes, "version {version}");
    }
}

/// The message encoded around its byte fields, with these put back.
fn encoded_around<M: Sampled>(message: &M, version: i16) -> BytesMut {
    let (mut out, mut left_out) = (BytesMut::new(), Vec::new());
    message.encode_around(version, &mut out, &mut left_out).expect("samples say only what the version can");
    let mut joined = BytesMut::new();
    let mut taken = 0;
    for (before, bytes) in left_out {
        joined.extend_from_slice(&out[taken..before]);
        joined.extend_from_slice(&bytes);
        taken = before;
    }
    joined.extend_from_slice(&out[taken..]);
    joined
}

macro_rules! all_read_back {
    ($($key:ident($request:ident, $response:ident),)+) => {
        fn all_read_back(seed: u64) {
            $(
                reads_back::<$request>(seed, $request::MIN_VERSION, $request::MAX_VERSION);
                reads_back::<$response>(seed, $request::MIN_VERSION, $request::MAX_VERSION);
            )+
        }
    };
}

crate::api::for_each_api!(all_read_back);

macro_rules! payloads_read_back {
    ($($payload:ident)+) => {
        fn payloads_read_back(seed: u64) {
            $(reads_back::<$payload>(seed, $payload::MIN_VERSION, $payload::MAX_VERSION);)+
        }
    };
}

payloads_read_back!(
    ConsumerProtocolSubscription ConsumerProtocolAssignment
    OffsetCommitKey OffsetCommitValue GroupMetadataKey GroupMetadataValue
);

proptest! {
    #[test]
    fn every_message_reads_back_in_every_version(seed: u64) {
        all_read_back(seed);
    }

    #[test]
    fn every_payload_reads_back_in_every_version(seed: u64) {
        payloads_read_back(seed);
    }
}
