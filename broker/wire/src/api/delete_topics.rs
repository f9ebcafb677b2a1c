//! `DeleteTopics`: deletes topics.

use crate::Uuid;

api!(DeleteTopics: DeleteTopicsRequest => DeleteTopicsResponse, 1..=6, flexible 4);

message! {
    DeleteTopicsRequest {
        topics: Vec<DeleteTopicsRequestTopic> [6..];
        topic_names: Vec<String> [0..=5], ignorable;
        timeout_ms: i32 [0..];
    }

    DeleteTopicsRequestTopic {
        name: Option<String> [6..];
        topic_id: Uuid [6..];
    }

    DeleteTopicsResponse {
        throttle_time_ms: i32 [1..], ignorable;
        responses: Vec<DeleteTopicsResponseTopic> [0..];
    }

    DeleteTopicsResponseTopic {
        name: Option<String> [0..] = Some(String::new()), null_from(6);
        topic_id: Uuid [6..], ignorable;
        error_code: i16 [0..];
        error_message: Option<String> [5..], ignorable;
    }
}
