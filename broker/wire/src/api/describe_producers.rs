//! `DescribeProducers`: tells the producers of partitions.

api!(DescribeProducers: DescribeProducersRequest => DescribeProducersResponse, 0..=0, flexible 0);

message! {
    DescribeProducersRequest {
        topics: Vec<DescribeProducersRequestTopic> [0..];
    }

    DescribeProducersRequestTopic {
        name: String [0..];
        partition_indexes: Vec<i32> [0..];
    }

    DescribeProducersResponse {
        throttle_time_ms: i32 [0..];
        topics: Vec<DescribeProducersResponseTopic> [0..];
    }

    DescribeProducersResponseTopic {
        name: String [0..];
        partitions: Vec<DescribeProducersResponsePartition> [0..];
    }

    DescribeProducersResponsePartition {
        partition_index: i32 [0..];
        error_code: i16 [0..];
        error_message: Option<String> [0..];
        active_producers: Vec<DescribeProducersResponseProducer> [0..];
    }

    DescribeProducersResponseProducer {
        producer_id: i64 [0..];
        producer_epoch: i32 [0..];
        last_sequence: i32 [0..] = -1;
        last_timestamp: i64 [0..] = -1;
        coordinator_epoch: i32 [0..];
        current_txn_start_offset: i64 [0..] = -1;
    }
}
