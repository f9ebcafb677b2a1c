//! `ApiVersions`: tells the versions a broker speaks.

use crate::{ApiKey, DecodeError, ErrorCode, Message, Reader};

api!(ApiVersions: ApiVersionsRequest => ApiVersionsResponse, 0..=4, flexible 3);

message! {
    ApiVersionsRequest {
        client_software_name: String [3..], ignorable;
        client_software_version: String [3..], ignorable;
    }

    ApiVersionsResponse {
        error_code: i16 [0..];
        api_keys: Vec<ApiVersionsResponseKey> [0..];
        throttle_time_ms: i32 [1..], ignorable;
        supported_features: Vec<ApiVersionsResponseSupportedFeature> [3..], ignorable, tag(0);
        finalized_features_epoch: i64 [3..] = -1, ignorable, tag(1);
        finalized_features: Vec<ApiVersionsResponseFinalizedFeature> [3..], ignorable, tag(2);
        zk_migration_ready: bool [3..], ignorable, tag(3);
    }

    ApiVersionsResponseKey {
        api_key: i16 [0..];
        min_version: i16 [0..];
        max_version: i16 [0..];
    }

    ApiVersionsResponseSupportedFeature {
        name: String [3..];
        min_version: i16 [3..];
        max_version: i16 [3..];
    }

    ApiVersionsResponseFinalizedFeature {
        name: String [3..];
        max_version_level: i16 [3..];
        min_version_level: i16 [3..];
    }
}

impl ApiVersionsResponse {
    /// Reads the answer to a request of `version`. A broker that does not speak it answers in version 0, with
    /// [`ErrorCode::UNSUPPORTED_VERSION`] and, from Kafka 2.4 on, the versions of `ApiVersions` that it does speak.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] as in [`Message::decode`].
    pub fn decode_answer(input: &mut Reader, version: i16) -> Result<Self, DecodeError> {
        let refusal = ErrorCode::UNSUPPORTED_VERSION.code().to_be_bytes();
        let spoken = if input.starts_with(&refusal) { 0 } else { version };
        Self::decode(input, spoken)
    }

    /// The lowest and highest version that the broker speaks of `api`.
    pub fn versions(&self, api: ApiKey) -> Option<(i16, i16)> {
        let key = self.api_keys.iter().find(|key| key.api_key == api.code())?;
        Some((key.min_version, key.max_version))
    }
}
