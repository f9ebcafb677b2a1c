//! From a request's bytes to its answer's.

use std::net::SocketAddr;

use bytes::Bytes;
use leeward_model::TopicPartition;
use leeward_wire::api::{
    ApiVersionsResponse, ApiVersionsResponseKey, RequestBody, SaslHandshakeResponse, versions,
};
use leeward_wire::{
    ApiKey, DecodeError, EncodeError, ErrorCode, Message, Reader, RequestHeader, decode_request_header,
    encode_response,
};

use crate::api;
use crate::shared::{Peer, Shared};

/// What the node answers; everything else is absent from `ApiVersions` and closes the connection.
const SERVED: &[ApiKey] = &[
    ApiKey::OffsetCommit,
    ApiKey::OffsetFetch,
    ApiKey::FindCoordinator,
    ApiKey::JoinGroup,
    ApiKey::Heartbeat,
    ApiKey::LeaveGroup,
    ApiKey::SyncGroup,
    ApiKey::DescribeGroups,
    ApiKey::ListGroups,
    ApiKey::DeleteGroups,
    ApiKey::OffsetDelete,
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

/// Positions are told by topic name: the newest version that does.
const NAMED_POSITIONS_MAX: i16 = 9;

/// The versions of an API that the node answers.
fn served(api: ApiKey) -> Option<(i16, i16)> {
    let (min, max) = versions(api).filter(|_| SERVED.contains(&api))?;
    match api {
        ApiKey::OffsetCommit | ApiKey::OffsetFetch => Some((min, max.min(NAMED_POSITIONS_MAX))),
        _ => Some((min, max)),
    }
}

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
    shared: &Shared,
    peer: &mut Peer,
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
    route(shared, peer, &header, body).await
}

async fn route(
    shared: &Shared,
    peer: &mut Peer,
    header: &RequestHeader,
    body: RequestBody,
) -> Result<Option<Bytes>, RequestError> {
    let version = header.api_version;
    let cluster = &shared.cluster;
    match body {
        RequestBody::Produce(request) => {
            let silent = request.acks == 0;
            let response = api::produce::produce(cluster, header.client_id.as_deref(), request).await;
            if silent { Ok(None) } else { say(header, &response) }
        }
        RequestBody::Fetch(request) => {
            say(header, &api::fetch::fetch(cluster, version, &request, &mut peer.room).await)
        }
        RequestBody::ListOffsets(request) => {
            say(header, &api::offsets::list_offsets(cluster, version, &request))
        }
        RequestBody::Metadata(request) => {
            say(header, &api::metadata::metadata(shared, version, request).await)
        }
        RequestBody::ApiVersions(_) => say(header, &api_versions(ErrorCode::NONE)),
        RequestBody::CreateTopics(request) => say(header, &api::topics::create(cluster, request).await),
        RequestBody::DeleteTopics(request) => {
            say(header, &api::topics::delete(shared, version, request).await)
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
            say(header, &api::metadata::describe_cluster(shared, &request))
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
        other => route_group(shared, peer.address, header, other).await,
    }
}

async fn route_group(
    shared: &Shared,
    peer: SocketAddr,
    header: &RequestHeader,
    body: RequestBody,
) -> Result<Option<Bytes>, RequestError> {
    let version = header.api_version;
    let Shared { cluster, groups, .. } = shared;
    match body {
        RequestBody::FindCoordinator(request) => say(header, &api::groups::locate(shared, version, &request)),
        RequestBody::JoinGroup(request) => {
            let caller = api::groups::caller(header.client_id.as_deref(), peer);
            say(header, &groups.join_group(request, version, caller).await)
        }
        RequestBody::SyncGroup(request) => say(header, &groups.sync_group(request).await),
        RequestBody::Heartbeat(request) => say(header, &groups.heartbeat(request).await),
        RequestBody::LeaveGroup(request) => say(header, &groups.leave_group(request, version).await),
        RequestBody::OffsetCommit(request) => {
            let exists = |partition: &TopicPartition| api::groups::exists(cluster, partition);
            say(header, &groups.offset_commit(request, exists).await)
        }
        RequestBody::OffsetFetch(request) => say(header, &groups.offset_fetch(request, version).await),
        RequestBody::OffsetDelete(request) => say(header, &groups.offset_delete(request).await),
        RequestBody::DescribeGroups(request) => say(header, &groups.describe_groups(request, version).await),
        RequestBody::ListGroups(request) => say(header, &groups.list_groups(request).await),
        RequestBody::DeleteGroups(request) => say(header, &groups.delete_groups(request).await),
        other => Err(RequestError::NotServed { api: other.api(), version }),
    }
}

fn say<M: Message>(header: &RequestHeader, response: &M) -> Result<Option<Bytes>, RequestError> {
    Ok(Some(encode_response(header.api_key, header.api_version, header.correlation_id, response)?))
}

fn api_versions(error: ErrorCode) -> ApiVersionsResponse {
    let key = |api: &ApiKey| {
        let (min_version, max_version) = served(*api)?;
        Some(ApiVersionsResponseKey { api_key: api.code(), min_version, max_version })
    };
    ApiVersionsResponse {
        error_code: error.code(),
        api_keys: SERVED.iter().filter_map(key).collect(),
        ..ApiVersionsResponse::default()
    }
}
