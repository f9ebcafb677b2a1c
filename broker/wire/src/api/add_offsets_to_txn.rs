//! `AddOffsetsToTxn`: adds a group to a transaction.

api!(AddOffsetsToTxn: AddOffsetsToTxnRequest => AddOffsetsToTxnResponse, 0..=4, flexible 3);

message! {
    AddOffsetsToTxnRequest {
        transactional_id: String [0..];
        producer_id: i64 [0..];
        producer_epoch: i16 [0..];
        group_id: String [0..];
    }

    AddOffsetsToTxnResponse {
        throttle_time_ms: i32 [0..];
        error_code: i16 [0..];
    }
}
