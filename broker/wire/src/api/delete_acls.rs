//! `DeleteAcls`: removes access rules.

api!(DeleteAcls: DeleteAclsRequest => DeleteAclsResponse, 1..=3, flexible 2);

message! {
    DeleteAclsRequest {
        filters: Vec<DeleteAclsRequestFilter> [0..];
    }

    DeleteAclsRequestFilter {
        resource_type_filter: i8 [0..];
        resource_name_filter: Option<String> [0..] = Some(String::new());
        pattern_type_filter: i8 [1..] = 3;
        principal_filter: Option<String> [0..] = Some(String::new());
        host_filter: Option<String> [0..] = Some(String::new());
        operation: i8 [0..];
        permission_type: i8 [0..];
    }

    DeleteAclsResponse {
        throttle_time_ms: i32 [0..];
        filter_results: Vec<DeleteAclsResponseFilterResult> [0..];
    }

    DeleteAclsResponseFilterResult {
        error_code: i16 [0..];
        error_message: Option<String> [0..] = Some(String::new());
        matching_acls: Vec<DeleteAclsResponseMatchingAcl> [0..];
    }

    DeleteAclsResponseMatchingAcl {
        error_code: i16 [0..];
        error_message: Option<String> [0..] = Some(String::new());
        resource_type: i8 [0..];
        resource_name: String [0..];
        pattern_type: i8 [1..] = 3;
        principal: String [0..];
        host: String [0..];
        operation: i8 [0..];
        permission_type: i8 [0..];
    }
}
