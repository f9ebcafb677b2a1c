//! `OffsetCommit`: stores positions of a group.

use crate::Uuid;

api!(OffsetCommit: OffsetCommitRequest => OffsetCommitResponse, 2..=10, flexible 8);

message! {
    OffsetCommitRequest {
        group_id: String [0..];
        generation_id_or_member_epoch: i32 [1..] = -1, ignorable;
        member_id: String [1..], ignorable;
        group_instance_id: Option<String> [7..];
        retention_time_ms: i64 [2..=4] = -1, ignorable;
        topics: Vec<OffsetCommitRequestTopic> [0..];
    }

    OffsetCommitRequestTopic {
        name: String [0..=9], ignorable;
        topic_id: Uuid [10..], ignorable;
        partitions: Vec<OffsetCommitRequestPartition> [0..];
    }

    OffsetCommitRequestPartition {
        partition_index: i32 [0..];
        committed_offset: i64 [0..];
        committed_leader_epoch: i32 [6..] = -1, ignorable;
        commit_timestamp: i64 [1..=1] = -1;
        committed_metadata: Option<String> [0..] = Some(String::new());
    }

    OffsetCommitResponse {
        throttle_time_ms: i32 [3..], ignorable;
        topics: Vec<OffsetCommitResponseTopic> [0..];
    }

    OffsetCommitResponseTopic {
        name: String [0..=9], ignorable;
        topic_id: Uuid [10..], ignorable;
        partitions: Vec<OffsetCommitResponsePartition> [0..];
    }

    OffsetCommitResponsePartition {
        partition_index: i32 [0..];
        error_code: i16 [0..];
    }
}
