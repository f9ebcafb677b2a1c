//! Answers what is no batch: from what the gateway knows, or by the acting region.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use leeward_wire::api::{
    InitProducerIdRequest, InitProducerIdResponse, OffsetCommitRequest, RequestBody, ResponseBody,
};
use leeward_wire::{ErrorCode, PeerRoom, RequestHeader};

use super::asked::{Asked, Closed};
use super::upstream::{NoAnswer, Upstream, pass_on, read};
use super::{Face, fetch, groups, metadata, refusal, versions};
use crate::hub::TOPIC_RESOURCE;
use crate::limits::RELAY_TIMEOUT;

/// What answers a request: a body to encode, or bytes to pass on.
pub(super) enum Answer {
    Body(ResponseBody),
    Raw(Bytes),
}

/// Answers one request; what of its answer is held in `room` is given back by the caller, once the client has it.
pub(super) async fn answer(
    face: &Face,
    upstream: &mut Upstream,
    asked: Asked,
    room: &mut PeerRoom,
) -> Result<Option<Bytes>, Closed> {
    let header = asked.header.clone();
    let no_response = matches!(&asked.body, RequestBody::Produce(request) if request.acks == 0);
    let (version, answer) = match &asked.body {
        RequestBody::ApiVersions(_) => {
            let (version, body) = versions::answer(face, header.api_version);
            (version, Ok(Answer::Body(body)))
        }
        _ => (header.api_version, dispatch(face, upstream, &asked, room).await),
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(NoAnswer) => match refusal::of(&asked.body) {
            Some(body) => Answer::Body(body),
            None => return Err(Closed),
        },
    };
    if no_response {
        return Ok(None);
    }
    encode(&header, version, &answer).map(Some)
}

fn encode(header: &RequestHeader, version: i16, answer: &Answer) -> Result<Bytes, Closed> {
    let api = header.api_key;
    let mut frame = BytesMut::zeroed(leeward_wire::frame::PREFIX_BYTES);
    frame.extend_from_slice(&header.correlation_id.to_be_bytes());
    if api.response_header_is_flexible(version) {
        frame.extend_from_slice(&[0]);
    }
    match answer {
        Answer::Raw(body) => frame.extend_from_slice(body),
        Answer::Body(body) => body.encode(version, &mut frame).map_err(|error| {
            tracing::error!(%error, "answer cannot be written");
            Closed
        })?,
    }
    let size = frame.len() - leeward_wire::frame::PREFIX_BYTES;
    let prefix = i32::try_from(size).map_err(|_| Closed)?;
    frame[..leeward_wire::frame::PREFIX_BYTES].copy_from_slice(&prefix.to_be_bytes());
    Ok(frame.freeze())
}

async fn dispatch(
    face: &Face,
    upstream: &mut Upstream,
    asked: &Asked,
    room: &mut PeerRoom,
) -> Result<Answer, NoAnswer> {
    match &asked.body {
        RequestBody::Metadata(request) => metadata::metadata(face, upstream, request)
            .await
            .map(|body| Answer::Body(ResponseBody::Metadata(body))),
        RequestBody::FindCoordinator(request) => {
            let version = asked.header.api_version;
            let body = metadata::find_coordinator(face, upstream, request, version).await;
            Ok(Answer::Body(ResponseBody::FindCoordinator(body)))
        }
        RequestBody::DescribeCluster(_) => {
            Ok(Answer::Body(ResponseBody::DescribeCluster(metadata::describe_cluster(face))))
        }
        RequestBody::InitProducerId(request) if request.transactional_id.is_none() => {
            Ok(Answer::Body(ResponseBody::InitProducerId(init_producer_id(face))))
        }
        RequestBody::Produce(request) => fetch::produce(upstream, request, asked.header.api_version)
            .await
            .map(|body| Answer::Body(ResponseBody::Produce(body))),
        RequestBody::Fetch(request) => fetch::fetch(upstream, request, asked.header.api_version, room)
            .await
            .map(|body| Answer::Body(ResponseBody::Fetch(body))),
        RequestBody::ListOffsets(request) => fetch::list_offsets(upstream, request, asked.header.api_version)
            .await
            .map(|body| Answer::Body(ResponseBody::ListOffsets(body))),
        RequestBody::DeleteRecords(request) => {
            fetch::delete_records(upstream, request, asked.header.api_version)
                .await
                .map(|body| Answer::Body(ResponseBody::DeleteRecords(body)))
        }
        RequestBody::OffsetCommit(request) => commit(upstream, asked, request).await,
        RequestBody::DeleteTopics(_) => delete_topics(face, upstream, asked).await,
        RequestBody::AlterConfigs(request) => {
            let changed =
                request.resources.iter().map(|changed| (changed.resource_type, &changed.resource_name));
            alter_configs(face, upstream, asked, changed).await
        }
        RequestBody::IncrementalAlterConfigs(request) => {
            let changed =
                request.resources.iter().map(|changed| (changed.resource_type, &changed.resource_name));
            alter_configs(face, upstream, asked, changed).await
        }
        body => {
            if let Some(body) = groups::answer(upstream, body, asked.header.api_version).await? {
                return Ok(Answer::Body(body));
            }
            match keeper(body) {
                Some(Keeper::Group(group)) => to_group(upstream, asked, group).await,
                Some(Keeper::Transaction(id)) => {
                    count_transaction(face, body);
                    to_transaction(upstream, asked, id).await
                }
                None => to_controller(upstream, asked).await,
            }
        }
    }
}

/// Has topics deleted. Of one that the region does not have, nothing is kept here either.
async fn delete_topics(face: &Face, upstream: &mut Upstream, asked: &Asked) -> Result<Answer, NoAnswer> {
    let (api, version) = (asked.header.api_key, asked.header.api_version);
    let answer = to_controller(upstream, asked).await?;
    if let Answer::Raw(body) = &answer
        && let ResponseBody::DeleteTopics(answered) = read(api, version, body.clone())?
    {
        let gone = [ErrorCode::NONE, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION].map(ErrorCode::code);
        let deleted = answered.responses.iter().filter(|topic| gone.contains(&topic.error_code));
        deleted.filter_map(|topic| topic.name.as_ref()).for_each(|name| face.hub.topic_was_deleted(name));
    }
    Ok(answer)
}

/// Has configurations changed; what those of topics demand of batches counts before the client hears of it.
async fn alter_configs(
    face: &Face,
    upstream: &mut Upstream,
    asked: &Asked,
    resources: impl Iterator<Item = (i8, &String)>,
) -> Result<Answer, NoAnswer> {
    let answer = to_controller(upstream, asked).await?;
    let topics = resources.filter(|(kind, _)| *kind == TOPIC_RESOURCE);
    let topics: Vec<String> = topics.map(|(_, name)| name.clone()).collect();
    face.hub.learn_rules(&*upstream.cluster()?, &topics).await;
    Ok(answer)
}

/// Who keeps what a request is about.
enum Keeper<'a> {
    Group(&'a str),
    Transaction(&'a str),
}

fn keeper(body: &RequestBody) -> Option<Keeper<'_>> {
    let group = match body {
        RequestBody::JoinGroup(request) => &request.group_id,
        RequestBody::SyncGroup(request) => &request.group_id,
        RequestBody::Heartbeat(request) => &request.group_id,
        RequestBody::LeaveGroup(request) => &request.group_id,
        RequestBody::OffsetDelete(request) => &request.group_id,
        RequestBody::TxnOffsetCommit(request) => &request.group_id,
        RequestBody::DescribeGroups(request) => request.groups.first()?,
        RequestBody::DeleteGroups(request) => request.groups_names.first()?,
        RequestBody::OffsetFetch(request) => match request.groups.first() {
            Some(group) => &group.group_id,
            None => &request.group_id,
        },
        RequestBody::InitProducerId(InitProducerIdRequest { transactional_id: Some(id), .. }) => {
            return Some(Keeper::Transaction(id));
        }
        RequestBody::AddPartitionsToTxn(request) => {
            return Some(Keeper::Transaction(&request.v3_and_below_transactional_id));
        }
        RequestBody::AddOffsetsToTxn(request) => return Some(Keeper::Transaction(&request.transactional_id)),
        RequestBody::EndTxn(request) => return Some(Keeper::Transaction(&request.transactional_id)),
        _ => return None,
    };
    Some(Keeper::Group(group))
}

fn count_transaction(face: &Face, body: &RequestBody) {
    if let RequestBody::EndTxn(_) = body {
        face.hub.metrics.relayed_transactions.inc();
    }
}

fn init_producer_id(face: &Face) -> InitProducerIdResponse {
    match face.hub.new_producer_id() {
        Ok(id) => {
            InitProducerIdResponse { producer_id: id.to_wire(), producer_epoch: 0, ..Default::default() }
        }
        Err(error) => {
            tracing::error!(%error, "no producer id can be reserved");
            InitProducerIdResponse {
                error_code: ErrorCode::COORDINATOR_NOT_AVAILABLE.code(),
                producer_id: -1,
                producer_epoch: -1,
                ..Default::default()
            }
        }
    }
}

/// Time for a request: what it asks the region to wait, and the usual.
fn patience(body: &RequestBody) -> Duration {
    let asked_ms = match body {
        RequestBody::JoinGroup(request) => request.rebalance_timeout_ms.max(request.session_timeout_ms),
        RequestBody::SyncGroup(_) => 300_000,
        RequestBody::CreateTopics(request) => request.timeout_ms,
        RequestBody::DeleteTopics(request) => request.timeout_ms,
        RequestBody::CreatePartitions(request) => request.timeout_ms,
        _ => 0,
    };
    RELAY_TIMEOUT + Duration::from_millis(u64::try_from(asked_ms).unwrap_or(0))
}

async fn to_controller(upstream: &mut Upstream, asked: &Asked) -> Result<Answer, NoAnswer> {
    upstream
        .within(async |upstream, cluster| {
            let connection = upstream.controller(&cluster).await?;
            let body = pass_on(&connection, &asked.header, &asked.raw, patience(&asked.body)).await?;
            Ok(Answer::Raw(body))
        })
        .await
}

async fn to_transaction(upstream: &mut Upstream, asked: &Asked, id: &str) -> Result<Answer, NoAnswer> {
    upstream
        .within(async |upstream, cluster| {
            let connection = upstream.transaction(&cluster, id).await?;
            let body = pass_on(&connection, &asked.header, &asked.raw, patience(&asked.body)).await?;
            Ok(Answer::Raw(body))
        })
        .await
}

async fn to_group(upstream: &mut Upstream, asked: &Asked, group: &str) -> Result<Answer, NoAnswer> {
    let (api, version) = (asked.header.api_key, asked.header.api_version);
    upstream
        .within(async |upstream, cluster| {
            let connection = upstream.group(&cluster, group).await?;
            let passed = pass_on(&connection, &asked.header, &asked.raw, patience(&asked.body)).await;
            let body = passed.inspect_err(|_| {
                cluster.forget_coordinator(&leeward_model::GroupName::new(group));
            })?;
            let answered = read(api, version, body.clone())?;
            if is_not_coordinator(&answered) {
                cluster.forget_coordinator(&leeward_model::GroupName::new(group));
            }
            Ok(match answered {
                ResponseBody::OffsetFetch(answer) => {
                    Answer::Body(ResponseBody::OffsetFetch(groups::without_leader_epochs(answer)))
                }
                _ => Answer::Raw(body),
            })
        })
        .await
}

async fn commit(
    upstream: &mut Upstream,
    asked: &Asked,
    request: &OffsetCommitRequest,
) -> Result<Answer, NoAnswer> {
    let mut request = request.clone();
    for partition in request.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
        partition.committed_leader_epoch = -1;
    }
    let mut raw = BytesMut::new();
    let body = RequestBody::OffsetCommit(request.clone());
    body.encode(asked.header.api_version, &mut raw).map_err(|_| NoAnswer)?;
    let asked = Asked { header: asked.header.clone(), raw: raw.freeze(), body };
    to_group(upstream, &asked, &request.group_id).await
}

fn is_not_coordinator(answer: &ResponseBody) -> bool {
    let code = match answer {
        ResponseBody::JoinGroup(answer) => answer.error_code,
        ResponseBody::SyncGroup(answer) => answer.error_code,
        ResponseBody::Heartbeat(answer) => answer.error_code,
        ResponseBody::LeaveGroup(answer) => answer.error_code,
        ResponseBody::DescribeGroups(answer) => answer.groups.first().map_or(0, |group| group.error_code),
        ResponseBody::DeleteGroups(answer) => answer.results.first().map_or(0, |group| group.error_code),
        ResponseBody::OffsetDelete(answer) => answer.error_code,
        ResponseBody::OffsetFetch(answer) => {
            answer.groups.first().map_or(answer.error_code, |group| group.error_code)
        }
        ResponseBody::OffsetCommit(answer) => answer
            .topics
            .iter()
            .flat_map(|topic| &topic.partitions)
            .map(|partition| partition.error_code)
            .next()
            .unwrap_or(0),
        _ => 0,
    };
    groups::is_of_no_coordinator(code)
}

#[cfg(test)]
mod tests {
    use leeward_wire::ApiKey;

    use super::*;

    #[test]
    fn an_answer_is_framed_with_its_correlation_id() {
        let header =
            RequestHeader { api_key: ApiKey::Heartbeat, api_version: 4, correlation_id: 7, client_id: None };

        let frame = encode(&header, 4, &Answer::Raw(Bytes::from_static(&[9]))).unwrap_or_default();

        assert_eq!(&frame[..], &[0, 0, 0, 6, 0, 0, 0, 7, 0, 9]);
    }
}
