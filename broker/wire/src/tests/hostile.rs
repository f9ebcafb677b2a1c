//! Bytes from an enemy: an error or a message, never a panic.

use std::fmt::Debug;

use bytes::Bytes;
use proptest::prelude::*;

use super::{Sampled, decoded, encoded};
use crate::api::*;
use crate::codec::sample::Seed;
use crate::consumer_protocol::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use crate::offsets_topic::{GroupMetadataValue, OffsetCommitValue, OffsetsTopicKey};
use crate::{ApiKey, Reader, Request, decode_request_header, decode_response_header};

/// Flips, cuts and grows a valid message.
fn spoil(bytes: &Bytes, seed: &mut Seed) -> Bytes {
    let mut spoiled = bytes.to_vec();
    for _ in 0..=seed.below(4) {
        if spoiled.is_empty() {
            break;
        }
        let at = seed.below(spoiled.len() as u64) as usize;
        match seed.below(5) {
            0 => spoiled[at] = 0xFF,
            1 => spoiled[at] ^= 1 << seed.below(8),
            2 => spoiled.truncate(at),
            3 => spoiled.insert(at, seed.next() as u8),
            _ => spoiled[at] = 0x7F,
        }
    }
    spoiled.into()
}

/// What still decodes is a message of its version: it is written and reads back.
fn spoiled_is_survived<M: Sampled + PartialEq + Debug>(seed: u64, min: i16, max: i16) {
    for version in min..=max {
        let spoiled = spoil(&encoded(&M::sampled(seed, version), version), &mut Seed(seed));
        if let Ok(message) = decoded::<M>(&spoiled, version) {
            assert_eq!(decoded(&encoded(&message, version), version), Ok(message), "version {version}");
        }
    }
}

fn cut_short_is_an_error<M: Sampled>(seed: u64, min: i16, max: i16) {
    for version in min..=max {
        let bytes = encoded(&M::sampled(seed, version), version);
        for len in 0..bytes.len() {
            assert!(decoded::<M>(&bytes.slice(..len), version).is_err(), "version {version}, {len} bytes");
        }
    }
}

macro_rules! all_apis {
    ($($key:ident($request:ident, $response:ident),)+) => {
        fn all_survive_spoiled(seed: u64) {
            $(
                spoiled_is_survived::<$request>(seed, $request::MIN_VERSION, $request::MAX_VERSION);
                spoiled_is_survived::<$response>(seed, $request::MIN_VERSION, $request::MAX_VERSION);
            )+
        }

        fn all_refuse_cut_short(seed: u64) {
            $(
                cut_short_is_an_error::<$request>(seed, $request::MIN_VERSION, $request::MAX_VERSION);
                cut_short_is_an_error::<$response>(seed, $request::MIN_VERSION, $request::MAX_VERSION);
            )+
        }
    };
}

crate::api::for_each_api!(all_apis);

fn decode_everything(bytes: &Bytes) {
    for api in SPOKEN.iter().copied() {
        let (min, max) = versions(api).expect("spoken");
        for version in min - 1..=max + 1 {
            let _ = RequestBody::decode(api, version, &mut Reader::new(bytes.clone()));
            let _ = ResponseBody::decode(api, version, &mut Reader::new(bytes.clone()));
            let _ = decode_response_header(&mut Reader::new(bytes.clone()), api, version);
        }
    }
    let _ = decode_request_header(&mut Reader::new(bytes.clone()));
    let _ = ConsumerProtocolSubscription::from_bytes(bytes.clone());
    let _ = ConsumerProtocolAssignment::from_bytes(bytes.clone());
    let _ = OffsetsTopicKey::from_bytes(bytes.clone());
    let _ = OffsetCommitValue::from_bytes(bytes.clone());
    let _ = GroupMetadataValue::from_bytes(bytes.clone());
}

proptest! {
    #[test]
    fn any_bytes_are_survived_by_every_decoder(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        decode_everything(&bytes.into());
    }

    #[test]
    fn spoiled_messages_are_survived(seed: u64) {
        all_survive_spoiled(seed);
    }
}

#[test]
fn a_message_cut_short_anywhere_is_an_error() {
    for seed in 0..4 {
        all_refuse_cut_short(seed);
    }
}

#[test]
fn long_runs_of_one_byte_are_survived_by_every_decoder() {
    for byte in [0x00, 0x01, 0x7F, 0x80, 0xFF] {
        decode_everything(&vec![byte; 4096].into());
    }
}

#[test]
fn an_api_without_messages_is_an_error_that_names_it() {
    let error = RequestBody::decode(ApiKey::Vote, 0, &mut Reader::new(Bytes::new())).unwrap_err();

    assert_eq!(error.message, "Vote");
}
