//! Payloads with their version in front: the offsets topic and the consumers' own.

#![no_main]

use bytes::Bytes;
use leeward_wire::consumer_protocol::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use leeward_wire::offsets_topic::{GroupMetadataValue, OffsetCommitValue, OffsetsTopicKey};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let bytes = Bytes::copy_from_slice(input);
    let _ = ConsumerProtocolSubscription::from_bytes(bytes.clone());
    let _ = ConsumerProtocolAssignment::from_bytes(bytes.clone());
    let _ = OffsetCommitValue::from_bytes(bytes.clone());
    let _ = GroupMetadataValue::from_bytes(bytes.clone());
    if let Ok(key) = OffsetsTopicKey::from_bytes(bytes) {
        let again = key.to_bytes().expect("names that were decoded are short enough");
        assert_eq!(OffsetsTopicKey::from_bytes(again), Ok(key));
    }
});
