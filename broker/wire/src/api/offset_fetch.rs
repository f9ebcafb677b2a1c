//! `OffsetFetch`: reads positions of groups.

use crate::Uuid;

api!(OffsetFetch: OffsetFetchRequest => OffsetFetchResponse, 1..=10, flexible 6);

message! {
    OffsetFetchRequest {
        group_id: String [0..=7];
        topics: Option<Vec<OffsetFetchRequestTopic>> [0..=7] = Some(Vec::new()), null_from(2);
        groups: Vec<OffsetFetchRequestGroup> [8..];
        require_stable: bool [7..];
    }

    OffsetFetchRequestTopic {
        name: String [0..=7];
        partition_indexes: Vec<i32> [0..=7];
    }

    OffsetFetchRequestGroup {
        group_id: String [8..];
        member_id: Option<String> [9..], ignorable;
        member_epoch: i32 [9..] = -1, ignorable;
        topics: Option<Vec<OffsetFetchRequestTopics>> [8..] = Some(Vec::new());
    }

    OffsetFetchRequestTopics {
        name: String [8..=9], ignorable;
        topic_id: Uuid [10..], ignorable;
        partition_indexes: Vec<i32> [8..];
    }

    OffsetFetchResponse {
        throttle_time_ms: i32 [3..], ignorable;
        topics: Vec<OffsetFetchResponseTopic> [0..=7];
        error_code: i16 [2..=7], ignorable;
        groups: Vec<OffsetFetchResponseGroup> [8..];
    }

    OffsetFetchResponseTopic {
        name: String [0..=7];
        partitions: Vec<OffsetFetchResponsePartition> [0..=7];
    }

    OffsetFetchResponsePartition {
        partition_index: i32 [0..=7];
        committed_offset: i64 [0..=7];
        committed_leader_epoch: i32 [5..=7] = -1, ignorable;
        metadata: Option<String> [0..=7] = Some(String::new());
        error_code: i16 [0..=7];
    }

    OffsetFetchResponseGroup {
        group_id: String [8..];
        topics: Vec<OffsetFetchResponseTopics> [8..];
        error_code: i16 [8..];
    }

    OffsetFetchResponseTopics {
        name: String [8..=9], ignorable;
        topic_id: Uuid [10..], ignorable;
        partitions: Vec<OffsetFetchResponsePartitions> [8..];
    }

    OffsetFetchResponsePartitions {
        partition_index: i32 [8..];
        committed_offset: i64 [8..];
        committed_leader_epoch: i32 [8..] = -1, ignorable;
        metadata: Option<String> [8..] = Some(String::new());
        error_code: i16 [8..];
    }
}
