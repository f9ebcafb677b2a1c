//! `AlterConfigs`: replaces the configuration of resources.

api!(AlterConfigs: AlterConfigsRequest => AlterConfigsResponse, 0..=2, flexible 2);

message! {
    AlterConfigsRequest {
        resources: Vec<AlterConfigsRequestResource> [0..];
        validate_only: bool [0..];
    }

    AlterConfigsRequestResource {
        resource_type: i8 [0..];
        resource_name: String [0..];
        configs: Vec<AlterConfigsRequestConfig> [0..];
    }

    AlterConfigsRequestConfig {
        name: String [0..];
        value: Option<String> [0..] = Some(String::new());
    }

    AlterConfigsResponse {
        throttle_time_ms: i32 [0..];
        responses: Vec<AlterConfigsResponseResource> [0..];
    }

    AlterConfigsResponseResource {
        error_code: i16 [0..];
        error_message: Option<String> [0..] = Some(String::new());
        resource_type: i8 [0..];
        resource_name: String [0..];
    }
}
