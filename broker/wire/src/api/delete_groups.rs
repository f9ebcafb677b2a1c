//! `DeleteGroups`: deletes groups.

api!(DeleteGroups: DeleteGroupsRequest => DeleteGroupsResponse, 0..=2, flexible 2);

message! {
    DeleteGroupsRequest {
        groups_names: Vec<String> [0..];
    }

    DeleteGroupsResponse {
        throttle_time_ms: i32 [0..];
        results: Vec<DeleteGroupsResponseGroup> [0..];
    }

    DeleteGroupsResponseGroup {
        group_id: String [0..];
        error_code: i16 [0..];
    }
}
