//! `DescribeTransactions`: tells the state of transactions.

api!(DescribeTransactions: DescribeTransactionsRequest => DescribeTransactionsResponse, 0..=0, flexible 0);

message! {
    DescribeTransactionsRequest {
        transactional_ids: Vec<String> [0..];
    }

    DescribeTransactionsResponse {
        throttle_time_ms: i32 [0..];
        transaction_states: Vec<DescribeTransactionsResponseTransaction> [0..];
    }

    DescribeTransactionsResponseTransaction {
        error_code: i16 [0..];
        transactional_id: String [0..];
        transaction_state: String [0..];
        transaction_timeout_ms: i32 [0..];
        transaction_start_time_ms: i64 [0..];
        producer_id: i64 [0..];
        producer_epoch: i16 [0..];
        topics: Vec<DescribeTransactionsResponseTopic> [0..];
    }

    DescribeTransactionsResponseTopic {
        topic: String [0..];
        partitions: Vec<i32> [0..];
    }
}
