//! `AddPartitionsToTxn`: adds partitions to a transaction.

api!(AddPartitionsToTxn: AddPartitionsToTxnRequest => AddPartitionsToTxnResponse, 0..=5, flexible 3);

message! {
    AddPartitionsToTxnRequest {
        transactions: Vec<AddPartitionsToTxnRequestTransaction> [4..];
        v3_and_below_transactional_id: String [0..=3];
        v3_and_below_producer_id: i64 [0..=3];
        v3_and_below_producer_epoch: i16 [0..=3];
        v3_and_below_topics: Vec<AddPartitionsToTxnRequestTopic> [0..=3];
    }

    AddPartitionsToTxnRequestTransaction {
        transactional_id: String [4..];
        producer_id: i64 [4..];
        producer_epoch: i16 [4..];
        verify_only: bool [4..];
        topics: Vec<AddPartitionsToTxnRequestTopic> [4..];
    }

    AddPartitionsToTxnRequestTopic {
        name: String [0..];
        partitions: Vec<i32> [0..];
    }

    AddPartitionsToTxnResponse {
        throttle_time_ms: i32 [0..];
        error_code: i16 [4..], ignorable;
        results_by_transaction: Vec<AddPartitionsToTxnResponseTransaction> [4..];
        results_by_topic_v3_and_below: Vec<AddPartitionsToTxnResponseTopic> [0..=3];
    }

    AddPartitionsToTxnResponseTransaction {
        transactional_id: String [4..];
        topic_results: Vec<AddPartitionsToTxnResponseTopic> [4..];
    }

    AddPartitionsToTxnResponseTopic {
        name: String [0..];
        results_by_partition: Vec<AddPartitionsToTxnResponsePartition> [0..];
    }

    AddPartitionsToTxnResponsePartition {
        partition_index: i32 [0..];
        partition_error_code: i16 [0..];
    }
}
