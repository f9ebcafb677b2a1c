//! `DescribeConfigs`: tells configuration entries.

api!(DescribeConfigs: DescribeConfigsRequest => DescribeConfigsResponse, 1..=4, flexible 4);

message! {
    DescribeConfigsRequest {
        resources: Vec<DescribeConfigsRequestResource> [0..];
        include_synonyms: bool [1..];
        include_documentation: bool [3..];
    }

    DescribeConfigsRequestResource {
        resource_type: i8 [0..];
        resource_name: String [0..];
        configuration_keys: Option<Vec<String>> [0..] = Some(Vec::new());
    }

    DescribeConfigsResponse {
        throttle_time_ms: i32 [0..];
        results: Vec<DescribeConfigsResponseResult> [0..];
    }

    DescribeConfigsResponseResult {
        error_code: i16 [0..];
        error_message: Option<String> [0..] = Some(String::new());
        resource_type: i8 [0..];
        resource_name: String [0..];
        configs: Vec<DescribeConfigsResponseEntry> [0..];
    }

    DescribeConfigsResponseEntry {
        name: String [0..];
        value: Option<String> [0..] = Some(String::new());
        read_only: bool [0..];
        is_default: bool [0..=0];
        config_source: i8 [1..] = -1, ignorable;
        is_sensitive: bool [0..];
        synonyms: Vec<DescribeConfigsResponseSynonym> [1..], ignorable;
        config_type: i8 [3..], ignorable;
        documentation: Option<String> [3..] = Some(String::new()), ignorable;
    }

    DescribeConfigsResponseSynonym {
        name: String [1..];
        value: Option<String> [1..] = Some(String::new());
        source: i8 [1..];
    }
}
