//! `CreateAcls`: adds access rules.

api!(CreateAcls: CreateAclsRequest => CreateAclsResponse, 1..=3, flexible 2);

message! {
    CreateAclsRequest {
        creations: Vec<CreateAclsRequestCreation> [0..];
    }

    CreateAclsRequestCreation {
        resource_type: i8 [0..];
        resource_name: String [0..];
        resource_pattern_type: i8 [1..] = 3;
        principal: String [0..];
        host: String [0..];
        operation: i8 [0..];
        permission_type: i8 [0..];
    }

    CreateAclsResponse {
        throttle_time_ms: i32 [0..];
        results: Vec<CreateAclsResponseResult> [0..];
    }

    CreateAclsResponseResult {
        error_code: i16 [0..];
        error_message: Option<String> [0..] = Some(String::new());
    }
}
