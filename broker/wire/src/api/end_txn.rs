//! `EndTxn`: commits or aborts a transaction.

api!(EndTxn: EndTxnRequest => EndTxnResponse, 0..=5, flexible 3);

message! {
    EndTxnRequest {
        transactional_id: String [0..];
        producer_id: i64 [0..];
        producer_epoch: i16 [0..];
        committed: bool [0..];
    }

    EndTxnResponse {
        throttle_time_ms: i32 [0..];
        error_code: i16 [0..];
        producer_id: i64 [5..] = -1, ignorable;
        producer_epoch: i16 [5..] = -1, ignorable;
    }
}
