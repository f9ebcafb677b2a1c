//! `InitProducerId` and `DescribeProducers`.

use std::sync::Arc;

use leeward_wire::ErrorCode;
use leeward_wire::api::{
    DescribeProducersRequest, DescribeProducersResponse, DescribeProducersResponsePartition,
    DescribeProducersResponseProducer, DescribeProducersResponseTopic, InitProducerIdRequest,
    InitProducerIdResponse,
};

use super::blocking;
use crate::cluster::Cluster;

/// Hands out a producer id that nobody had before. Transactional producers are refused for good.
pub(crate) async fn init_producer_id(
    cluster: &Arc<Cluster>,
    request: InitProducerIdRequest,
) -> InitProducerIdResponse {
    let refused = |error: ErrorCode| InitProducerIdResponse {
        error_code: error.code(),
        producer_epoch: -1,
        ..InitProducerIdResponse::default()
    };
    if request.transactional_id.is_some() {
        return refused(ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
    }
    let cluster = cluster.clone();
    match blocking(move || cluster.new_producer_id()).await {
        Ok(producer_id) => InitProducerIdResponse { producer_id, ..InitProducerIdResponse::default() },
        // The one error of this kind that clients try again after.
        Err(_) => refused(ErrorCode::COORDINATOR_NOT_AVAILABLE),
    }
}

/// Tells the idempotent producers of partitions.
pub(crate) fn describe_producers(
    cluster: &Cluster,
    request: &DescribeProducersRequest,
) -> DescribeProducersResponse {
    let topics = request.topics.iter().map(|topic| {
        let found = cluster.topic(&topic.name);
        let partitions = topic.partition_indexes.iter().map(|index| {
            let partition = found.as_ref().and_then(|topic| topic.partition(*index));
            let error = match partition {
                Some(_) => ErrorCode::NONE,
                None => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            };
            let active = partition.map(|partition| partition.active_producers()).unwrap_or_default();
            let producers = active.into_iter().map(|producer| DescribeProducersResponseProducer {
                producer_id: producer.id,
                producer_epoch: i32::from(producer.epoch),
                last_sequence: producer.last_sequence,
                last_timestamp: producer.last_timestamp,
                coordinator_epoch: -1,
                current_txn_start_offset: -1,
            });
            DescribeProducersResponsePartition {
                partition_index: *index,
                error_code: error.code(),
                error_message: None,
                active_producers: producers.collect(),
            }
        });
        DescribeProducersResponseTopic { name: topic.name.clone(), partitions: partitions.collect() }
    });
    DescribeProducersResponse { throttle_time_ms: 0, topics: topics.collect() }
}
