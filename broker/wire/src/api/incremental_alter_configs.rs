//! `IncrementalAlterConfigs`: changes single configuration entries.

api!(IncrementalAlterConfigs: IncrementalAlterConfigsRequest => IncrementalAlterConfigsResponse, 0..=1, flexible 1);

message! {
    IncrementalAlterConfigsRequest {
        resources: Vec<IncrementalAlterConfigsRequestResource> [0..];
        validate_only: bool [0..];
    }

    IncrementalAlterConfigsRequestResource {
        resource_type: i8 [0..];
        resource_name: String [0..];
        configs: Vec<IncrementalAlterConfigsRequestConfig> [0..];
    }

    IncrementalAlterConfigsRequestConfig {
        name: String [0..];
        config_operation: i8 [0..];
        value: Option<String> [0..] = Some(String::new());
    }

    IncrementalAlterConfigsResponse {
        throttle_time_ms: i32 [0..];
        responses: Vec<IncrementalAlterConfigsResponseResource> [0..];
    }

    IncrementalAlterConfigsResponseResource {
        error_code: i16 [0..];
        error_message: Option<String> [0..] = Some(String::new());
        resource_type: i8 [0..];
        resource_name: String [0..];
    }
}
