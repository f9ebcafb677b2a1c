//! Bytes held against another implementation: it reads what we wrote and writes the same bytes again.

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages as theirs;
use kafka_protocol::protocol::{Decodable, Encodable, Message as TheirMessage};
use proptest::prelude::*;

use super::{Sampled, encoded};
use crate::Request;
use crate::api::*;
use crate::consumer_protocol::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};

fn agree<Ours: Sampled, Theirs: TheirMessage + Encodable + Decodable>(seed: u64, min: i16, max: i16) {
    let name = std::any::type_name::<Theirs>();
    for version in min.max(Theirs::VERSIONS.min)..=max.min(Theirs::VERSIONS.max) {
        let bytes = encoded(&Ours::sampled(seed, version), version);
        let again =
            again::<Theirs>(&bytes, version).unwrap_or_else(|error| panic!("{name} v{version}: {error}"));
        assert_eq!(bytes, again, "{name} v{version}");
    }
}

fn again<Theirs: Encodable + Decodable>(bytes: &Bytes, version: i16) -> Result<Bytes, String> {
    let mut input = bytes.clone();
    let message = Theirs::decode(&mut input, version).map_err(|error| error.to_string())?;
    if input.has_remaining() {
        return Err(format!("{} bytes left over", input.remaining()));
    }
    let mut out = BytesMut::new();
    message.encode(&mut out, version).map_err(|error| error.to_string())?;
    Ok(out.freeze())
}

macro_rules! all_agree {
    ($($key:ident($request:ident, $response:ident),)+) => {
        fn all_agree(seed: u64) {
            $(
                agree::<$request, theirs::$request>(seed, $request::MIN_VERSION, $request::MAX_VERSION);
                agree::<$response, theirs::$response>(seed, $request::MIN_VERSION, $request::MAX_VERSION);
            )+
        }

        fn codes() -> Vec<(crate::ApiKey, i16)> {
            vec![$((crate::ApiKey::$key, theirs::ApiKey::$key as i16),)+]
        }

        fn header_versions() {
            $(
                for version in $request::MIN_VERSION..=$request::MAX_VERSION {
                    let (api, key) = (crate::ApiKey::$key, theirs::ApiKey::$key);
                    let ours = (api.request_header_is_flexible(version), api.response_header_is_flexible(version));
                    let theirs = (key.request_header_version(version) == 2, key.response_header_version(version) == 1);
                    assert_eq!(ours, theirs, "{api} v{version}");
                    assert_eq!($request::FLEXIBLE_FROM, api.flexible_from(), "{api}");
                }
            )+
        }
    };
}

crate::api::for_each_api!(all_agree);

proptest! {
    #[test]
    fn the_oracle_writes_the_same_bytes(seed: u64) {
        all_agree(seed);
    }

    #[test]
    fn the_oracle_writes_the_same_consumer_payloads(seed: u64) {
        agree::<ConsumerProtocolSubscription, theirs::ConsumerProtocolSubscription>(seed, 0, 3);
        agree::<ConsumerProtocolAssignment, theirs::ConsumerProtocolAssignment>(seed, 0, 3);
    }
}

#[test]
fn the_oracle_has_the_same_key_numbers() {
    for (ours, theirs) in codes() {
        assert_eq!(ours.code(), theirs, "{ours}");
    }
}

#[test]
fn the_oracle_has_the_same_header_versions() {
    header_versions();
}

#[test]
fn the_oracle_calls_the_same_errors_retriable() {
    for code in crate::ErrorCode::ALL {
        let theirs = kafka_protocol::ResponseError::try_from_code(code.code());
        assert_eq!(code.is_retriable(), theirs.is_some_and(|error| error.is_retriable()), "{code}");
    }
}
