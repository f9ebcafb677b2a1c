//! `ListGroups`: tells the groups of a broker.

api!(ListGroups: ListGroupsRequest => ListGroupsResponse, 0..=5, flexible 3);

message! {
    ListGroupsRequest {
        states_filter: Vec<String> [4..];
        types_filter: Vec<String> [5..];
    }

    ListGroupsResponse {
        throttle_time_ms: i32 [1..], ignorable;
        error_code: i16 [0..];
        groups: Vec<ListGroupsResponseGroup> [0..];
    }

    ListGroupsResponseGroup {
        group_id: String [0..];
        protocol_type: String [0..];
        group_state: String [4..], ignorable;
        group_type: String [5..], ignorable;
    }
}
