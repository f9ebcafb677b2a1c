//! `JoinGroup`: enters a group and waits for its generation.

use bytes::Bytes;

api!(JoinGroup: JoinGroupRequest => JoinGroupResponse, 0..=9, flexible 6);

message! {
    JoinGroupRequest {
        group_id: String [0..];
        session_timeout_ms: i32 [0..];
        rebalance_timeout_ms: i32 [1..] = -1, ignorable;
        member_id: String [0..];
        group_instance_id: Option<String> [5..];
        protocol_type: String [0..];
        protocols: Vec<JoinGroupRequestProtocol> [0..];
        reason: Option<String> [8..], ignorable;
    }

    JoinGroupRequestProtocol {
        name: String [0..];
        metadata: Bytes [0..];
    }

    JoinGroupResponse {
        throttle_time_ms: i32 [2..], ignorable;
        error_code: i16 [0..];
        generation_id: i32 [0..] = -1;
        protocol_type: Option<String> [7..], ignorable;
        protocol_name: Option<String> [0..] = Some(String::new()), null_from(7);
        leader: String [0..];
        skip_assignment: bool [9..];
        member_id: String [0..];
        members: Vec<JoinGroupResponseMember> [0..];
    }

    JoinGroupResponseMember {
        member_id: String [0..];
        group_instance_id: Option<String> [5..], ignorable;
        metadata: Bytes [0..];
    }
}
