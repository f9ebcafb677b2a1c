//! `DeleteRecords`: moves the start of partitions forward.

api!(DeleteRecords: DeleteRecordsRequest => DeleteRecordsResponse, 0..=2, flexible 2);

message! {
    DeleteRecordsRequest {
        topics: Vec<DeleteRecordsRequestTopic> [0..];
        timeout_ms: i32 [0..];
    }

    DeleteRecordsRequestTopic {
        name: String [0..];
        partitions: Vec<DeleteRecordsRequestPartition> [0..];
    }

    DeleteRecordsRequestPartition {
        partition_index: i32 [0..];
        offset: i64 [0..];
    }

    DeleteRecordsResponse {
        throttle_time_ms: i32 [0..];
        topics: Vec<DeleteRecordsResponseTopic> [0..];
    }

    DeleteRecordsResponseTopic {
        name: String [0..];
        partitions: Vec<DeleteRecordsResponsePartition> [0..];
    }

    DeleteRecordsResponsePartition {
        partition_index: i32 [0..];
        low_watermark: i64 [0..];
        error_code: i16 [0..];
    }
}
