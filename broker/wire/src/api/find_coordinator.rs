//! `FindCoordinator`: finds the broker that keeps a group or a transaction.

api!(FindCoordinator: FindCoordinatorRequest => FindCoordinatorResponse, 0..=6, flexible 3);

message! {
    FindCoordinatorRequest {
        key: String [0..=3];
        key_type: i8 [1..];
        coordinator_keys: Vec<String> [4..];
    }

    FindCoordinatorResponse {
        throttle_time_ms: i32 [1..], ignorable;
        error_code: i16 [0..=3];
        error_message: Option<String> [1..=3] = Some(String::new()), ignorable;
        node_id: i32 [0..=3];
        host: String [0..=3];
        port: i32 [0..=3];
        coordinators: Vec<FindCoordinatorResponseCoordinator> [4..];
    }

    FindCoordinatorResponseCoordinator {
        key: String [4..];
        node_id: i32 [4..];
        host: String [4..];
        port: i32 [4..];
        error_code: i16 [4..];
        error_message: Option<String> [4..] = Some(String::new()), ignorable;
    }
}
