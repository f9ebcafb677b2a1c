//! `CreatePartitions`: raises partition counts.

api!(CreatePartitions: CreatePartitionsRequest => CreatePartitionsResponse, 0..=3, flexible 2);

message! {
    CreatePartitionsRequest {
        topics: Vec<CreatePartitionsRequestTopic> [0..];
        timeout_ms: i32 [0..];
        validate_only: bool [0..];
    }

    CreatePartitionsRequestTopic {
        name: String [0..];
        count: i32 [0..];
        assignments: Option<Vec<CreatePartitionsRequestAssignment>> [0..] = Some(Vec::new());
    }

    CreatePartitionsRequestAssignment {
        broker_ids: Vec<i32> [0..];
    }

    CreatePartitionsResponse {
        throttle_time_ms: i32 [0..];
        results: Vec<CreatePartitionsResponseTopic> [0..];
    }

    CreatePartitionsResponseTopic {
        name: String [0..];
        error_code: i16 [0..];
        error_message: Option<String> [0..];
    }
}
