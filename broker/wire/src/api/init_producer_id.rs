//! `InitProducerId`: hands out a producer id and epoch.

api!(InitProducerId: InitProducerIdRequest => InitProducerIdResponse, 0..=6, flexible 2);

message! {
    InitProducerIdRequest {
        transactional_id: Option<String> [0..] = Some(String::new());
        transaction_timeout_ms: i32 [0..];
        producer_id: i64 [3..] = -1;
        producer_epoch: i16 [3..] = -1;
        enable2_pc: bool [6..];
        keep_prepared_txn: bool [6..];
    }

    InitProducerIdResponse {
        throttle_time_ms: i32 [0..], ignorable;
        error_code: i16 [0..];
        producer_id: i64 [0..] = -1;
        producer_epoch: i16 [0..];
        ongoing_txn_producer_id: i64 [6..] = -1, ignorable;
        ongoing_txn_producer_epoch: i16 [6..] = -1, ignorable;
    }
}
