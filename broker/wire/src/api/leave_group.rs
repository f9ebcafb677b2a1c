//! `LeaveGroup`: takes members out of their group.

api!(LeaveGroup: LeaveGroupRequest => LeaveGroupResponse, 0..=5, flexible 4);

message! {
    LeaveGroupRequest {
        group_id: String [0..];
        member_id: String [0..=2];
        members: Vec<LeaveGroupRequestMember> [3..];
    }

    LeaveGroupRequestMember {
        member_id: String [3..];
        group_instance_id: Option<String> [3..];
        reason: Option<String> [5..], ignorable;
    }

    LeaveGroupResponse {
        throttle_time_ms: i32 [1..], ignorable;
        error_code: i16 [0..];
        members: Vec<LeaveGroupResponseMember> [3..];
    }

    LeaveGroupResponseMember {
        member_id: String [3..];
        group_instance_id: Option<String> [3..] = Some(String::new());
        error_code: i16 [3..];
    }
}
