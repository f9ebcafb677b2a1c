//! `ListTransactions`: tells the transactions of a broker.

api!(ListTransactions: ListTransactionsRequest => ListTransactionsResponse, 0..=2, flexible 0);

message! {
    ListTransactionsRequest {
        state_filters: Vec<String> [0..];
        producer_id_filters: Vec<i64> [0..];
        duration_filter: i64 [1..] = -1;
        transactional_id_pattern: Option<String> [2..];
    }

    ListTransactionsResponse {
        throttle_time_ms: i32 [0..];
        error_code: i16 [0..];
        unknown_state_filters: Vec<String> [0..];
        transaction_states: Vec<ListTransactionsResponseTransaction> [0..];
    }

    ListTransactionsResponseTransaction {
        transactional_id: String [0..];
        producer_id: i64 [0..];
        transaction_state: String [0..];
    }
}
