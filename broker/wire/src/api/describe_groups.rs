//! `DescribeGroups`: tells state and members of groups.

use bytes::Bytes;

api!(DescribeGroups: DescribeGroupsRequest => DescribeGroupsResponse, 0..=6, flexible 5);

message! {
    DescribeGroupsRequest {
        groups: Vec<String> [0..];
        include_authorized_operations: bool [3..];
    }

    DescribeGroupsResponse {
        throttle_time_ms: i32 [1..], ignorable;
        groups: Vec<DescribeGroupsResponseGroup> [0..];
    }

    DescribeGroupsResponseGroup {
        error_code: i16 [0..];
        error_message: Option<String> [6..], ignorable;
        group_id: String [0..];
        group_state: String [0..];
        protocol_type: String [0..];
        protocol_data: String [0..];
        members: Vec<DescribeGroupsResponseMember> [0..];
        authorized_operations: i32 [3..] = i32::MIN;
    }

    DescribeGroupsResponseMember {
        member_id: String [0..];
        group_instance_id: Option<String> [4..], ignorable;
        client_id: String [0..];
        client_host: String [0..];
        member_metadata: Bytes [0..];
        member_assignment: Bytes [0..];
    }
}
