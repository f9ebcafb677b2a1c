//! `Produce`: appends record batches.

use bytes::Bytes;

use crate::Uuid;

api!(Produce: ProduceRequest => ProduceResponse, 3..=13, flexible 9);

message! {
    ProduceRequest {
        transactional_id: Option<String> [3..];
        acks: i16 [0..];
        timeout_ms: i32 [0..];
        topic_data: Vec<ProduceRequestTopic> [0..];
    }

    ProduceRequestTopic {
        name: String [0..=12], ignorable;
        topic_id: Uuid [13..], ignorable;
        partition_data: Vec<ProduceRequestPartition> [0..];
    }

    ProduceRequestPartition {
        index: i32 [0..];
        records: Option<Bytes> [0..];
    }

    ProduceResponse {
        responses: Vec<ProduceResponseTopic> [0..];
        throttle_time_ms: i32 [1..], ignorable;
        node_endpoints: Vec<ProduceResponseNodeEndpoint> [10..], tag(0);
    }

    ProduceResponseTopic {
        name: String [0..=12], ignorable;
        topic_id: Uuid [13..], ignorable;
        partition_responses: Vec<ProduceResponsePartition> [0..];
    }

    ProduceResponsePartition {
        index: i32 [0..];
        error_code: i16 [0..];
        base_offset: i64 [0..];
        log_append_time_ms: i64 [2..] = -1, ignorable;
        log_start_offset: i64 [5..] = -1, ignorable;
        record_errors: Vec<ProduceResponseRecordError> [8..], ignorable;
        error_message: Option<String> [8..], ignorable;
        current_leader: ProduceResponseLeader [10..], tag(0);
    }

    ProduceResponseRecordError {
        batch_index: i32 [8..];
        batch_index_error_message: Option<String> [8..];
    }

    ProduceResponseLeader {
        leader_id: i32 [10..] = -1;
        leader_epoch: i32 [10..] = -1;
    }

    ProduceResponseNodeEndpoint {
        node_id: i32 [10..];
        host: String [10..];
        port: i32 [10..];
        rack: Option<String> [10..];
    }
}
