//! The links of a process over gRPC: `proto/leeward/link.proto`.

use std::{collections::BTreeMap, pin::Pin, time::Duration};

use futures::{Stream, StreamExt};
use leeward_mirror_core::{map::Translation, partition::Standing};
use leeward_model::{
    FencingEpoch, LinkName, PartitionIndex, SourceOffset, TargetOffset, TopicName, TopicPartition, WallTime,
    with_causes,
};
use leeward_proto::link::{self as wire, link_server::Link};
use tokio_stream::wrappers::WatchStream;
use tonic::{Request, Response, Status};

use crate::{
    GroupStanding, Leave, LinkError, LinkHandle, PartitionDrift, PartitionStatus, RefusedChange, Watermark,
    clock::wall,
};

/// Answers for the links of a process.
#[derive(Clone, Debug)]
pub struct LinkService {
    links: Vec<LinkHandle>,
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl LinkService {
    pub fn new(links: Vec<LinkHandle>) -> Self {
        Self { links }
    }

    /// The link of that name; the only one where no name is given.
    #[allow(clippy::result_large_err, reason = "tonic's handlers return its own status by value")]
    fn link(&self, name: &str) -> Result<LinkHandle, Status> {
        let found = match self.links.as_slice() {
            [only] if name.is_empty() => Some(only),
            links => links.iter().find(|link| link.name().as_str() == name),
        };
        found.cloned().ok_or_else(|| Status::not_found(format!("no link `{name}` ends here")))
    }
}

fn refused(error: &LinkError) -> Status {
    let text = with_causes(error);
    match error {
        LinkError::Fenced { .. } | LinkError::NotRunning | LinkError::SameCluster(_) => {
            Status::failed_precondition(text)
        }
        LinkError::Ending | LinkError::Cluster(_) => Status::unavailable(text),
        LinkError::Unreadable { .. } | LinkError::Map(_) | LinkError::Local { .. } | LinkError::Thread(_) => {
            Status::internal(text)
        }
    }
}

#[allow(clippy::result_large_err, reason = "tonic's handlers return its own status by value")]
pub(crate) fn epoch(number: u64) -> Result<FencingEpoch, Status> {
    FencingEpoch::from_wire(number).ok_or_else(|| Status::invalid_argument("epoch 0 is none"))
}

#[allow(clippy::result_large_err, reason = "tonic's handlers return its own status by value")]
pub(crate) fn partition(topic: &str, index: i32) -> Result<TopicPartition, Status> {
    let topic = TopicName::new(topic).map_err(|error| Status::invalid_argument(error.to_string()))?;
    let partition = PartitionIndex::from_wire(index)
        .ok_or_else(|| Status::invalid_argument("a partition's index is not negative"))?;
    Ok(TopicPartition { topic, partition })
}

fn watermark(mark: &Watermark) -> wire::Watermark {
    wire::Watermark {
        topic: mark.source.topic.to_string(),
        partition: mark.source.partition.to_wire(),
        source_topic_id: mark.source_topic.to_wire().to_vec(),
        replicated_to: mark.replicated_to.to_wire(),
        target_end: mark.target_end.to_wire(),
    }
}

fn group(standing: &GroupStanding) -> wire::GroupPosition {
    wire::GroupPosition {
        group: standing.group.to_string(),
        topic: standing.partition.topic.to_string(),
        partition: standing.partition.partition.to_wire(),
        source_offset: standing.source.to_wire(),
        target_offset: standing.target.map_or(-1, TargetOffset::to_wire),
        state: standing.state.to_owned(),
    }
}

fn position(status: &PartitionStatus) -> wire::PartitionPosition {
    let standing = &status.standing;
    let cursor = |cursor: fn(&leeward_mirror_core::partition::Cursors) -> SourceOffset| {
        standing.cursors.as_ref().map_or(-1, |cursors| cursor(cursors).to_wire())
    };
    wire::PartitionPosition {
        topic: status.source.topic.to_string(),
        partition: status.source.partition.to_wire(),
        state: standing.state.to_owned(),
        stop_reason: reason(standing),
        stop_code: standing.stopped.as_ref().map_or_else(String::new, |reason| reason.code().to_owned()),
        fetched_to: cursor(|cursors| cursors.fetched),
        sent_to: cursor(|cursors| cursors.sent),
        acknowledged_to: cursor(|cursors| cursors.acknowledged),
        checkpointed_to: cursor(|cursors| cursors.checkpointed),
        source_end: standing.source_end.map_or(-1, SourceOffset::to_wire),
        target_end: standing.target_end.to_wire(),
        runs: standing.runs as u64,
        target_topic: status.target.to_string(),
    }
}

/// Why a partition does not go on; empty where it does.
fn reason(standing: &Standing) -> String {
    match (&standing.stopped, standing.refused) {
        (Some(stopped), _) => stopped.to_string(),
        (None, Some((at, code))) => {
            format!("target refuses the batch at source offset {at}: {code:?}; it is tried again")
        }
        (None, None) => String::new(),
    }
}

fn drift(drift: &PartitionDrift) -> wire::PartitionDrift {
    wire::PartitionDrift {
        topic: drift.topic.to_string(),
        source_partitions: drift.source,
        target_partitions: drift.target,
    }
}

fn refusal(refused: &RefusedChange) -> wire::RefusedChange {
    wire::RefusedChange {
        target_topic: refused.topic.to_string(),
        change: refused.change.to_string(),
        reason: refused.reason.clone(),
    }
}

fn reply(link: &LinkHandle) -> wire::LinkReply {
    let status = link.status();
    let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    wire::LinkReply {
        link: link.name().to_string(),
        source: link.config().source_region.to_string(),
        target: link.config().target_region.to_string(),
        state: status.state.name().to_owned(),
        epoch: status.epoch.map_or(0, FencingEpoch::to_wire),
        last_durable_heartbeat_millis: status.last_durable_heartbeat.map_or(-1, WallTime::as_millis),
        rpo_millis: status.rpo(wall()).map_or(-1, millis),
        lag_records: status.lag_records(),
        partitions: status.partitions.iter().map(position).collect(),
        topics_compared: status.drifts.is_some(),
        drifts: status.drifts.iter().flatten().map(drift).collect(),
        refusals: status.refusals.iter().map(refusal).collect(),
        groups_by: status.groups.name().to_owned(),
        groups_why: status.groups.why().to_owned(),
        groups_known: status.groups_known,
        failure: status.failure.unwrap_or_default(),
    }
}

#[tonic::async_trait]
impl Link for LinkService {
    async fn status(&self, request: Request<wire::LinkRequest>) -> Result<Response<wire::LinkReply>, Status> {
        let link = self.link(&request.into_inner().link)?;
        Ok(Response::new(reply(&link)))
    }

    type WatermarksStream = Answers<wire::WatermarkUpdate>;

    async fn watermarks(
        &self,
        request: Request<wire::LinkRequest>,
    ) -> Result<Response<Self::WatermarksStream>, Status> {
        let link = self.link(&request.into_inner().link)?;
        let mut told = BTreeMap::new();
        let updates = WatchStream::new(link.watermarks()).enumerate().filter_map(move |(number, marks)| {
            let news: Vec<_> =
                marks.iter().filter(|mark| told.get(&mark.source) != Some(*mark)).cloned().collect();
            told.extend(news.iter().map(|mark| (mark.source.clone(), mark.clone())));
            let update = wire::WatermarkUpdate { watermarks: news.iter().map(watermark).collect() };
            let tell = number == 0 || !update.watermarks.is_empty();
            async move { tell.then_some(Ok(update)) }
        });
        Ok(Response::new(Box::pin(updates)))
    }

    async fn translate(
        &self,
        request: Request<wire::TranslateRequest>,
    ) -> Result<Response<wire::TranslateReply>, Status> {
        let asked = request.into_inner();
        let link = self.link(&asked.link)?;
        let at = partition(&asked.topic, asked.partition)?;
        let negative = || Status::invalid_argument("an offset is not negative");
        let answer = if asked.to_source {
            let position = TargetOffset::from_wire(asked.offset).ok_or_else(negative)?;
            link.to_source(at, position).await.map(|answer| told(answer, SourceOffset::to_wire))
        } else {
            let position = SourceOffset::from_wire(asked.offset).ok_or_else(negative)?;
            link.to_target(at, position).await.map(|answer| told(answer, TargetOffset::to_wire))
        };
        let answer = Some(answer.map_err(|error| refused(&error))?);
        Ok(Response::new(wire::TranslateReply { answer }))
    }

    async fn start(&self, request: Request<wire::StartRequest>) -> Result<Response<wire::LinkReply>, Status> {
        let asked = request.into_inner();
        let link = self.link(&asked.link)?;
        let inverse_of = match asked.inverse_of.as_str() {
            "" => None,
            name => Some(LinkName::new(name).map_err(|error| Status::invalid_argument(error.to_string()))?),
        };
        let leave = Leave {
            epoch: epoch(asked.epoch)?,
            inverse_of,
            takes_back_seal: asked.takes_back_seal,
            topics_made_anew: asked.topics_made_anew,
        };
        link.give_leave(leave).await.map_err(|error| refused(&error))?;
        Ok(Response::new(reply(&link)))
    }

    async fn seal(&self, request: Request<wire::SealRequest>) -> Result<Response<wire::SealReply>, Status> {
        let asked = request.into_inner();
        let link = self.link(&asked.link)?;
        let mut drain_to = BTreeMap::new();
        for mark in asked.drain_to {
            let offset = SourceOffset::from_wire(mark.replicated_to);
            let offset = offset.ok_or_else(|| Status::invalid_argument("an offset is not negative"))?;
            drain_to.insert(partition(&mark.topic, mark.partition)?, offset);
        }
        let within = Duration::from_millis(asked.drain_millis_max);
        let sealing = async move {
            link.seal(epoch(asked.epoch)?, within, drain_to).await.map_err(|error| refused(&error))
        };
        // The seal goes on even if whoever asked hangs up.
        let ended = tokio::spawn(sealing).await.map_err(|error| Status::internal(error.to_string()))?;
        let report = ended?;
        Ok(Response::new(wire::SealReply {
            watermarks: report.watermarks.iter().map(watermark).collect(),
            groups: report.groups.iter().map(group).collect(),
            drained: report.drained,
        }))
    }

    async fn groups(
        &self,
        request: Request<wire::LinkRequest>,
    ) -> Result<Response<wire::GroupsReply>, Status> {
        let link = self.link(&request.into_inner().link)?;
        let groups = link.groups().iter().map(group).collect();
        Ok(Response::new(wire::GroupsReply { groups }))
    }

    type EventsStream = Answers<wire::LinkEvent>;

    async fn events(
        &self,
        request: Request<wire::LinkEventsRequest>,
    ) -> Result<Response<Self::EventsStream>, Status> {
        let begin = request.into_inner().after;
        let of_link = |link: &LinkHandle| {
            let (link, mut after) = (link.clone(), begin);
            WatchStream::new(link.watch_events()).flat_map(move |_| {
                let found = link.events_after(after);
                after = found.last().map_or(after, |event| event.number);
                let name = link.name().to_string();
                futures::stream::iter(found.into_iter().map(move |event| Ok(told_event(&name, &event))))
            })
        };
        let events = futures::stream::select_all(self.links.iter().map(of_link));
        Ok(Response::new(Box::pin(events)))
    }
}

fn told<T>(answer: Option<Translation<T>>, to_wire: fn(T) -> i64) -> wire::translate_reply::Answer {
    use wire::translate_reply::Answer;
    match answer {
        None => Answer::NotThereBecause("this link does not mirror the partition".to_owned()),
        Some(Translation::Exact(offset)) => Answer::Offset(to_wire(offset)),
        Some(Translation::NotThere(reason)) => Answer::NotThereBecause(reason.to_string()),
    }
}

fn told_event(link: &str, event: &crate::LinkEvent) -> wire::LinkEvent {
    let (from_offset, to_offset) = event.notice.range();
    wire::LinkEvent {
        number: event.number,
        at_millis: event.at.as_millis(),
        link: link.to_owned(),
        code: event.notice.code().to_owned(),
        topic: event.partition.topic.to_string(),
        partition: event.partition.partition.to_wire(),
        from_offset,
        to_offset,
        text: event.notice.to_string(),
    }
}
