//! `ListOffsets`: finds offsets by time or position.

api!(ListOffsets: ListOffsetsRequest => ListOffsetsResponse, 1..=10, flexible 6);

message! {
    ListOffsetsRequest {
        replica_id: i32 [0..];
        isolation_level: i8 [2..];
        topics: Vec<ListOffsetsRequestTopic> [0..];
        timeout_ms: i32 [10..], ignorable;
    }

    ListOffsetsRequestTopic {
        name: String [0..];
        partitions: Vec<ListOffsetsRequestPartition> [0..];
    }

    ListOffsetsRequestPartition {
        partition_index: i32 [0..];
        current_leader_epoch: i32 [4..] = -1, ignorable;
        timestamp: i64 [0..];
        max_num_offsets: i32 [0..=0] = 1;
    }

    ListOffsetsResponse {
        throttle_time_ms: i32 [2..], ignorable;
        topics: Vec<ListOffsetsResponseTopic> [0..];
    }

    ListOffsetsResponseTopic {
        name: String [0..];
        partitions: Vec<ListOffsetsResponsePartition> [0..];
    }

    ListOffsetsResponsePartition {
        partition_index: i32 [0..];
        error_code: i16 [0..];
        old_style_offsets: Vec<i64> [0..=0];
        timestamp: i64 [1..] = -1;
        offset: i64 [1..] = -1;
        leader_epoch: i32 [4..] = -1;
    }
}
