//! `WriteTxnMarkers`: writes the markers that end transactions.

api!(WriteTxnMarkers: WriteTxnMarkersRequest => WriteTxnMarkersResponse, 1..=1, flexible 1);

message! {
    WriteTxnMarkersRequest {
        markers: Vec<WriteTxnMarkersRequestMarker> [0..];
    }

    WriteTxnMarkersRequestMarker {
        producer_id: i64 [0..];
        producer_epoch: i16 [0..];
        transaction_result: bool [0..];
        topics: Vec<WriteTxnMarkersRequestTopic> [0..];
        coordinator_epoch: i32 [0..];
    }

    WriteTxnMarkersRequestTopic {
        name: String [0..];
        partition_indexes: Vec<i32> [0..];
    }

    WriteTxnMarkersResponse {
        markers: Vec<WriteTxnMarkersResponseMarker> [0..];
    }

    WriteTxnMarkersResponseMarker {
        producer_id: i64 [0..];
        topics: Vec<WriteTxnMarkersResponseTopic> [0..];
    }

    WriteTxnMarkersResponseTopic {
        name: String [0..];
        partitions: Vec<WriteTxnMarkersResponsePartition> [0..];
    }

    WriteTxnMarkersResponsePartition {
        partition_index: i32 [0..];
        error_code: i16 [0..];
    }
}
