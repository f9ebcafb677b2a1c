//! `Fetch`: reads record batches.

use bytes::Bytes;

use crate::Uuid;

api!(Fetch: FetchRequest => FetchResponse, 4..=18, flexible 12);

message! {
    FetchRequest {
        cluster_id: Option<String> [12..], ignorable, tag(0);
        replica_id: i32 [0..=14] = -1;
        replica_state: FetchRequestReplicaState [15..], tag(1);
        max_wait_ms: i32 [0..];
        min_bytes: i32 [0..];
        max_bytes: i32 [3..] = i32::MAX, ignorable;
        isolation_level: i8 [4..], ignorable;
        session_id: i32 [7..], ignorable;
        session_epoch: i32 [7..] = -1, ignorable;
        topics: Vec<FetchRequestTopic> [0..];
        forgotten_topics_data: Vec<FetchRequestForgottenTopic> [7..];
        rack_id: String [11..], ignorable;
    }

    FetchRequestReplicaState {
        replica_id: i32 [15..] = -1;
        replica_epoch: i64 [15..] = -1;
    }

    FetchRequestTopic {
        topic: String [0..=12], ignorable;
        topic_id: Uuid [13..], ignorable;
        partitions: Vec<FetchRequestPartition> [0..];
    }

    FetchRequestPartition {
        partition: i32 [0..];
        current_leader_epoch: i32 [9..] = -1, ignorable;
        fetch_offset: i64 [0..];
        last_fetched_epoch: i32 [12..] = -1;
        log_start_offset: i64 [5..] = -1, ignorable;
        partition_max_bytes: i32 [0..];
        replica_directory_id: Uuid [17..], ignorable, tag(0);
        high_watermark: i64 [18..] = i64::MAX, ignorable, tag(1);
    }

    FetchRequestForgottenTopic {
        topic: String [7..=12], ignorable;
        topic_id: Uuid [13..], ignorable;
        partitions: Vec<i32> [7..];
    }

    FetchResponse {
        throttle_time_ms: i32 [1..], ignorable;
        error_code: i16 [7..], ignorable;
        session_id: i32 [7..];
        responses: Vec<FetchResponseTopic> [0..];
        node_endpoints: Vec<FetchResponseNodeEndpoint> [16..], tag(0);
    }

    FetchResponseTopic {
        topic: String [0..=12], ignorable;
        topic_id: Uuid [13..], ignorable;
        partitions: Vec<FetchResponsePartition> [0..];
    }

    FetchResponsePartition {
        partition_index: i32 [0..];
        error_code: i16 [0..];
        high_watermark: i64 [0..];
        last_stable_offset: i64 [4..] = -1, ignorable;
        log_start_offset: i64 [5..] = -1, ignorable;
        diverging_epoch: FetchResponseEpochEndOffset [12..], tag(0);
        current_leader: FetchResponseLeader [12..], tag(1);
        snapshot_id: FetchResponseSnapshotId [12..], tag(2);
        aborted_transactions: Option<Vec<FetchResponseAbortedTransaction>> [4..] = Some(Vec::new()), ignorable;
        preferred_read_replica: i32 [11..] = -1;
        records: Option<Bytes> [0..];
    }

    FetchResponseEpochEndOffset {
        epoch: i32 [12..] = -1;
        end_offset: i64 [12..] = -1;
    }

    FetchResponseLeader {
        leader_id: i32 [12..] = -1;
        leader_epoch: i32 [12..] = -1;
    }

    FetchResponseSnapshotId {
        end_offset: i64 [0..] = -1;
        epoch: i32 [0..] = -1;
    }

    FetchResponseAbortedTransaction {
        producer_id: i64 [4..];
        first_offset: i64 [4..];
    }

    FetchResponseNodeEndpoint {
        node_id: i32 [16..];
        host: String [16..];
        port: i32 [16..];
        rack: Option<String> [16..];
    }
}

impl FetchRequest {
    /// Bytes of records that an answer may bring, but for a single larger batch: the limits of its partitions together, or its own.
    pub fn bytes_max(&self) -> usize {
        let bytes = |limit: i32| usize::try_from(limit).unwrap_or(0);
        let partitions = self.topics.iter().flat_map(|topic| &topic.partitions);
        let of_partitions = partitions.map(|partition| bytes(partition.partition_max_bytes));
        of_partitions.fold(0, usize::saturating_add).min(bytes(self.max_bytes))
    }
}
