//! From a request's bytes to its answer's.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use leeward_wire::api::{
    ApiVersionsResponse, ApiVersionsResponseKey, RequestBody, SaslHandshakeResponse, versions,
};
use leeward_wire::{
    ApiKey, DecodeError, EncodeError, ErrorCode, Message, Reader, RequestHeader, decode_request_header,
    encode_response,
};

use crate::api;
use crate::cluster::Cluster;

/// What the node answers; everything else is absent from `ApiVersions` and closes the connection.
const SERVED: &[ApiKey] = &[
    ApiKey::Produce,
    ApiKey::Fetch,
    ApiKey::ListOffsets,
    ApiKey::Metadata,
    ApiKey::ApiVersions,
    ApiKey::CreateTopics,
    ApiKey::DeleteTopics,
    ApiKey::CreatePartitions,
    ApiKey::DeleteRecords,
    ApiKey::InitProducerId,
    ApiKey::OffsetForLeaderEpoch,
    ApiKey::DescribeConfigs,
    ApiKey::AlterConfigs,
    ApiKey::IncrementalAlterConfigs,
    ApiKey::DescribeCluster,
    ApiKey::DescribeProducers,
];

/// Why a connection cannot go on after a request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    #[error("the request is malformed")]
    Malformed(#[from] DecodeError),
    #[error("{} version {version} is not served", api.name())]
    NotServed { api: ApiKey, version: i16 },
    #[error("the answer cannot be said")]
    Answer(#[from] EncodeError),
}

/// Answers one request; `None` where none is to be sent.
pub(crate) async fn answer(
    cluster: &Arc<Cluster>,
    peer: SocketAddr,
    frame: Bytes,
) -> Result<Option<Bytes>, RequestError> {
    let mut input = Reader::new(frame);
    let header = decode_request_header(&mut input)?;
    let (api, version) = (header.api_key, header.api_version);
    let served =
        SERVED.contains(&api) && versions(api).is_some_and(|(min, max)| (min..=max).contains(&version));
    if !served && api == ApiKey::ApiVersions {
        let refusal = api_versions(ErrorCode::UNSUPPORTED_VERSION);
        return Ok(Some(encode_response(api, 0, header.correlation_id, &refusal)?));
    }
    if !served {
        return Err(RequestError::NotServed { api, version });
    }
    let body = RequestBody::decode(api, version, &mut input)?;
    route(cluster, peer, &header, body).await
}

async fn route(
    cluster: &Arc<Cluster>,
    _peer: SocketAddr,
    header: &RequestHeader,
    body: RequestBody,
) -> Result<Option<Bytes>, RequestError> {
    let version = header.api_version;
    match body {
        RequestBody::Produce(request) => {
            let silent = request.acks == 0;
            let response = api::produce::produce(cluster, header.client_id.as_deref(), request).await;
            if silent { Ok(None) } else { say(header, &response) }
        }
        RequestBody::Fetch(request) => say(header, &api::fetch::fetch(cluster, version, &request).await),
        RequestBody::ListOffsets(request) => {
            say(header, &api::offsets::list_offsets(cluster, version, &request))
        }
        RequestBody::Metadata(request) => {
            say(header, &api::metadata::metadata(cluster, version, request).await)
        }
        RequestBody::ApiVersions(_) => say(header, &api_versions(ErrorCode::NONE)),
        RequestBody::CreateTopics(request) => say(header, &api::topics::create(cluster, request).await),
        RequestBody::DeleteTopics(request) => {
            say(header, &api::topics::delete(cluster, version, request).await)
        }
        RequestBody::CreatePartitions(request) => {
            say(header, &api::topics::create_partitions(cluster, request).await)
        }
        RequestBody::DeleteRecords(request) => {
            say(header, &api::offsets::delete_records(cluster, request).await)
        }
        RequestBody::InitProducerId(request) => {
            say(header, &api::producers::init_producer_id(cluster, request).await)
        }
        RequestBody::OffsetForLeaderEpoch(request) => {
            say(header, &api::offsets::for_leader_epoch(cluster, &request))
        }
        RequestBody::DescribeConfigs(request) => say(header, &api::configs::describe(cluster, &request)),
        RequestBody::AlterConfigs(request) => say(header, &api::configs::alter(cluster, request).await),
        RequestBody::IncrementalAlterConfigs(request) => {
            say(header, &api::configs::alter_incrementally(cluster, request).await)
        }
        RequestBody::DescribeCluster(request) => {
            say(header, &api::metadata::describe_cluster(cluster, &request))
        }
        RequestBody::DescribeProducers(request) => {
            say(header, &api::producers::describe_producers(cluster, &request))
        }
        RequestBody::SaslHandshake(_) => {
            let response = SaslHandshakeResponse {
                error_code: ErrorCode::ILLEGAL_SASL_STATE.code(),
                ..SaslHandshakeResponse::default()
            };
            say(header, &response)
        }
        other => Err(RequestError::NotServed { api: other.api(), version }),
    }
}

fn say<M: Message>(header: &RequestHeader, response: &M) -> Result<Option<Bytes>, RequestError> {
    Ok(Some(encode_response(header.api_key, header.api_version, header.correlation_id, response)?))
}

fn api_versions(error: ErrorCode) -> ApiVersionsResponse {
    let key = |api: &ApiKey| {
        let (min_version, max_version) = versions(*api)?;
        Some(ApiVersionsResponseKey { api_key: api.code(), min_version, max_version })
    };
    ApiVersionsResponse {
        error_code: error.code(),
        api_keys: SERVED.iter().filter_map(key).collect(),
        ..ApiVersionsResponse::default()
    }
}
