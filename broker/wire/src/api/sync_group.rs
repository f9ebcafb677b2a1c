//! `SyncGroup`: hands out the assignment of a generation.

use bytes::Bytes;

api!(SyncGroup: SyncGroupRequest => SyncGroupResponse, 0..=5, flexible 4);

message! {
    SyncGroupRequest {
        group_id: String [0..];
        generation_id: i32 [0..];
        member_id: String [0..];
        group_instance_id: Option<String> [3..];
        protocol_type: Option<String> [5..], ignorable;
        protocol_name: Option<String> [5..], ignorable;
        assignments: Vec<SyncGroupRequestAssignment> [0..];
    }

    SyncGroupRequestAssignment {
        member_id: String [0..];
        assignment: Bytes [0..];
    }

    SyncGroupResponse {
        throttle_time_ms: i32 [1..], ignorable;
        error_code: i16 [0..];
        protocol_type: Option<String> [5..], ignorable;
        protocol_name: Option<String> [5..], ignorable;
        assignment: Bytes [0..];
    }
}
