//! `CreateTopics`: creates topics.

use crate::Uuid;

api!(CreateTopics: CreateTopicsRequest => CreateTopicsResponse, 2..=7, flexible 5);

message! {
    CreateTopicsRequest {
        topics: Vec<CreateTopicsRequestTopic> [0..];
        timeout_ms: i32 [0..] = 60000;
        validate_only: bool [1..];
    }

    CreateTopicsRequestTopic {
        name: String [0..];
        num_partitions: i32 [0..];
        replication_factor: i16 [0..];
        assignments: Vec<CreateTopicsRequestAssignment> [0..];
        configs: Vec<CreateTopicsRequestConfig> [0..];
    }

    CreateTopicsRequestAssignment {
        partition_index: i32 [0..];
        broker_ids: Vec<i32> [0..];
    }

    CreateTopicsRequestConfig {
        name: String [0..];
        value: Option<String> [0..] = Some(String::new());
    }

    CreateTopicsResponse {
        throttle_time_ms: i32 [2..], ignorable;
        topics: Vec<CreateTopicsResponseTopic> [0..];
    }

    CreateTopicsResponseTopic {
        name: String [0..];
        topic_id: Uuid [7..], ignorable;
        error_code: i16 [0..];
        error_message: Option<String> [1..] = Some(String::new()), ignorable;
        topic_config_error_code: i16 [5..], ignorable, tag(0);
        num_partitions: i32 [5..] = -1, ignorable;
        replication_factor: i16 [5..] = -1, ignorable;
        configs: Option<Vec<CreateTopicsResponseConfig>> [5..] = Some(Vec::new()), ignorable;
    }

    CreateTopicsResponseConfig {
        name: String [5..];
        value: Option<String> [5..] = Some(String::new());
        read_only: bool [5..];
        config_source: i8 [5..] = -1, ignorable;
        is_sensitive: bool [5..];
    }
}
