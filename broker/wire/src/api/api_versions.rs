//! `ApiVersions`: tells the versions a broker speaks.

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
