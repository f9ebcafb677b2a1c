//! `Heartbeat`: keeps a member in its group.

api!(Heartbeat: HeartbeatRequest => HeartbeatResponse, 0..=4, flexible 4);

message! {
    HeartbeatRequest {
        group_id: String [0..];
        generation_id: i32 [0..];
        member_id: String [0..];
        group_instance_id: Option<String> [3..];
    }

    HeartbeatResponse {
        throttle_time_ms: i32 [1..], ignorable;
        error_code: i16 [0..];
    }
}
