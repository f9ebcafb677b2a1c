//! `OffsetForLeaderEpoch`: finds where leader epochs ended.

api!(OffsetForLeaderEpoch: OffsetForLeaderEpochRequest => OffsetForLeaderEpochResponse, 2..=4, flexible 4);

message! {
    OffsetForLeaderEpochRequest {
        replica_id: i32 [3..] = -2, ignorable;
        topics: Vec<OffsetForLeaderEpochRequestTopic> [0..];
    }

    OffsetForLeaderEpochRequestTopic {
        topic: String [0..];
        partitions: Vec<OffsetForLeaderEpochRequestPartition> [0..];
    }

    OffsetForLeaderEpochRequestPartition {
        partition: i32 [0..];
        current_leader_epoch: i32 [2..] = -1, ignorable;
        leader_epoch: i32 [0..];
    }

    OffsetForLeaderEpochResponse {
        throttle_time_ms: i32 [2..], ignorable;
        topics: Vec<OffsetForLeaderEpochResponseTopic> [0..];
    }

    OffsetForLeaderEpochResponseTopic {
        topic: String [0..];
        partitions: Vec<OffsetForLeaderEpochResponsePartition> [0..];
    }

    OffsetForLeaderEpochResponsePartition {
        error_code: i16 [0..];
        partition: i32 [0..];
        leader_epoch: i32 [1..] = -1, ignorable;
        end_offset: i64 [0..] = -1;
    }
}
