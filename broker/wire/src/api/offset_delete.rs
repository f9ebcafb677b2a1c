//! `OffsetDelete`: deletes positions of a group.

api!(OffsetDelete: OffsetDeleteRequest => OffsetDeleteResponse, 0..=0, flexible i16::MAX);

message! {
    OffsetDeleteRequest {
        group_id: String [0..];
        topics: Vec<OffsetDeleteRequestTopic> [0..];
    }

    OffsetDeleteRequestTopic {
        name: String [0..];
        partitions: Vec<OffsetDeleteRequestPartition> [0..];
    }

    OffsetDeleteRequestPartition {
        partition_index: i32 [0..];
    }

    OffsetDeleteResponse {
        error_code: i16 [0..];
        throttle_time_ms: i32 [0..], ignorable;
        topics: Vec<OffsetDeleteResponseTopic> [0..];
    }

    OffsetDeleteResponseTopic {
        name: String [0..];
        partitions: Vec<OffsetDeleteResponsePartition> [0..];
    }

    OffsetDeleteResponsePartition {
        partition_index: i32 [0..];
        error_code: i16 [0..];
    }
}
