//! The mirror agents, asked by gRPC: how links stand, and the verbs that seal and start them.

use std::{collections::BTreeMap, time::Duration};

use leeward_failover_core::{Drain, FinalPosition, LinkReport, LogEnd, PartitionDrift, PartitionSample};
use leeward_model::{
    ByteSize, FencingEpoch, Lag, LinkName, PartitionIndex, RegionName, SourceOffset, TargetOffset, TopicName,
    TopicPartition,
};
use leeward_proto::{
    link::{
        self as wire, GroupPosition, LinkEvent, LinkEventsRequest, LinkReply, LinkRequest, PartitionPosition,
        SealRequest, StartRequest, Watermark, link_client::LinkClient,
    },
    transport::{PeerError, Transport},
};
use tokio::time::{Instant, sleep};
use tonic::{Request, Status, Streaming, transport::Channel};

use crate::limits::{DRAIN_AS_FAR_WAIT, LINK_ASK_TIMEOUT, LINK_BEGIN_WAIT, LINK_CALL_MARGIN, POLL_EVERY};

/// How a mirror agent calls a stop because the source's topic was deleted.
const TOPIC_DELETED: &str = "topic-deleted";

/// Why a mirror agent did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    #[error("no mirror agent is known for links into {region}")]
    NoAgent { region: RegionName },
    #[error("mirror agent in {region}: {}", status.message())]
    Agent { region: RegionName, status: Box<Status> },
    #[error("link {link} still had records to carry over after {waited:?}")]
    NotDrained { link: LinkName, waited: Duration },
    #[error("link {link} carries partition {partition} no further: {reason}")]
    Stopped { link: LinkName, partition: String, reason: String },
    #[error(
        "mirror agent was started again, and does not know all positions of link {link} after {waited:?}"
    )]
    NotBegun { link: LinkName, waited: Duration },
}

/// On what a link that is started goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GoesOn {
    /// Its own map.
    OnItsMap,
    /// Nothing: the target's topics were deleted, and the link makes them anew.
    OnNewTopics,
    /// What the link in the other direction carried over.
    OnItsInverse,
    /// Its own map, under the epoch of a seal whose decision was undone, or that is made once more.
    DespiteSeal,
}

/// Mirror agents by the region that their links end in.
#[derive(Clone, Debug)]
pub(crate) struct Links {
    agents: BTreeMap<RegionName, Channel>,
}

impl Links {
    /// Connections are made when first used, and again when they break.
    pub(crate) fn new<'a>(
        transport: &Transport,
        agents: impl IntoIterator<Item = (&'a RegionName, &'a String)>,
    ) -> Result<Self, PeerError> {
        let connect = |(region, address): (&RegionName, &String)| {
            let agent = transport.peer(address)?.connect_timeout(LINK_ASK_TIMEOUT);
            Ok((region.clone(), agent.connect_lazy()))
        };
        Ok(Self { agents: agents.into_iter().map(connect).collect::<Result<_, _>>()? })
    }

    fn agent(&self, region: &RegionName) -> Result<LinkClient<Channel>, LinkError> {
        let channel = self.agents.get(region);
        let channel = channel.ok_or_else(|| LinkError::NoAgent { region: region.clone() })?;
        Ok(LinkClient::new(channel.clone()))
    }

    pub(crate) async fn status(
        &self,
        source: &RegionName,
        target: &RegionName,
    ) -> Result<LinkReply, LinkError> {
        let link = String::from(LinkName::between(source, target));
        let request = bounded(LinkRequest { link }, LINK_ASK_TIMEOUT);
        let reply = self.agent(target)?.status(request).await;
        reply.map(tonic::Response::into_inner).map_err(|status| failed(target, status))
    }

    pub(crate) async fn start(
        &self,
        source: &RegionName,
        target: &RegionName,
        epoch: FencingEpoch,
        goes_on: GoesOn,
    ) -> Result<(), LinkError> {
        let inverse = || String::from(LinkName::between(target, source));
        let on_inverse = goes_on == GoesOn::OnItsInverse;
        let request = StartRequest {
            link: LinkName::between(source, target).into(),
            epoch: epoch.to_wire(),
            inverse_of: if on_inverse { inverse() } else { String::new() },
            takes_back_seal: goes_on == GoesOn::DespiteSeal,
            topics_made_anew: goes_on == GoesOn::OnNewTopics,
        };
        let request = bounded(request, LINK_CALL_MARGIN);
        let reply = self.agent(target)?.start(request).await;
        reply.map(|_| ()).map_err(|status| failed(target, status))
    }

    /// Starts a link and waits until it has begun. What it goes on is durable then: an agent that is started again may go on
    /// from the link's map, and before that it may not.
    pub(crate) async fn begin(
        &self,
        source: &RegionName,
        target: &RegionName,
        epoch: FencingEpoch,
        goes_on: GoesOn,
    ) -> Result<(), LinkError> {
        self.start(source, target, epoch, goes_on).await?;
        loop {
            let reply = self.status(source, target).await?;
            let runs = reply.state == "running" || reply.state == "source-dark";
            if runs && reply.epoch >= epoch.to_wire() {
                return Ok(());
            }
            sleep(POLL_EVERY).await;
        }
    }

    /// Drains a link and seals it for ever under this epoch.
    pub(crate) async fn seal(
        &self,
        source: &RegionName,
        target: &RegionName,
        epoch: FencingEpoch,
        drain: &Drain,
        drain_max: Duration,
    ) -> Result<Vec<FinalPosition>, LinkError> {
        let link = LinkName::between(source, target);
        self.begun(source, target, epoch, drain).await?;
        let (wait, drain_to) = match drain {
            Drain::AsFarAsItCame => (DRAIN_AS_FAR_WAIT, Vec::new()),
            Drain::To(ends) => {
                self.drained(source, target, ends, drain_max).await?;
                (drain_max, ends.iter().map(watermark).collect())
            }
        };
        let request = SealRequest {
            link: link.as_str().to_owned(),
            epoch: epoch.to_wire(),
            drain_millis_max: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
            drain_to,
        };
        let reply = self.agent(target)?.seal(bounded(request, wait + LINK_CALL_MARGIN)).await;
        let reply = reply.map_err(|status| failed(target, status))?.into_inner();
        if matches!(drain, Drain::To(_)) && !reply.drained {
            let status = self.status(source, target).await?;
            return Err(stopped(&link, &status).unwrap_or(LinkError::NotDrained { link, waited: wait }));
        }
        Ok(reply.watermarks.iter().filter_map(final_position).collect())
    }

    /// A mirror agent that was started again, before its link was sealed or after, has to open the link to say where it
    /// ended: it does so under the epoch that seals it. While the source is dark, a partition of which nothing was ever
    /// copied cannot be opened; an emergency does not wait for it for ever.
    async fn begun(
        &self,
        source: &RegionName,
        target: &RegionName,
        epoch: FencingEpoch,
        drain: &Drain,
    ) -> Result<(), LinkError> {
        if self.status(source, target).await?.state != "waiting" {
            return Ok(());
        }
        let give_up_at = Instant::now() + LINK_BEGIN_WAIT;
        self.start(source, target, epoch, GoesOn::DespiteSeal).await?;
        loop {
            let reply = self.status(source, target).await?;
            let runs = reply.state != "waiting";
            let opening = reply.partitions.iter().any(|position| position.state == "starting");
            let late = Instant::now() >= give_up_at;
            if runs && (!opening || (late && *drain == Drain::AsFarAsItCame)) {
                return Ok(());
            }
            if late {
                let link = LinkName::between(source, target);
                return Err(LinkError::NotBegun { link, waited: LINK_BEGIN_WAIT });
            }
            sleep(POLL_EVERY).await;
        }
    }

    /// Waits until the target has everything up to these ends, so that a switchover that is aborted because it did not
    /// drain has not stopped its link.
    async fn drained(
        &self,
        source: &RegionName,
        target: &RegionName,
        ends: &[LogEnd],
        within: Duration,
    ) -> Result<(), LinkError> {
        let give_up_at = Instant::now() + within;
        loop {
            let reply = self.status(source, target).await?;
            if ends.iter().all(|end| crossed(&reply, end)) {
                return Ok(());
            }
            if Instant::now() >= give_up_at {
                let link = LinkName::between(source, target);
                return Err(stopped(&link, &reply).unwrap_or(LinkError::NotDrained { link, waited: within }));
            }
            sleep(POLL_EVERY).await;
        }
    }

    pub(crate) async fn groups(
        &self,
        source: &RegionName,
        target: &RegionName,
    ) -> Result<Vec<GroupPosition>, LinkError> {
        let link = String::from(LinkName::between(source, target));
        let request = bounded(LinkRequest { link }, LINK_ASK_TIMEOUT);
        let reply = self.agent(target)?.groups(request).await;
        reply.map(|reply| reply.into_inner().groups).map_err(|status| failed(target, status))
    }

    /// Regions that have a mirror agent.
    pub(crate) fn targets(&self) -> impl Iterator<Item = &RegionName> {
        self.agents.keys()
    }

    /// Events of the links into a region, those behind `after` that the agent remembers first. It does not end by itself.
    pub(crate) async fn events(
        &self,
        target: &RegionName,
        after: u64,
    ) -> Result<Streaming<LinkEvent>, LinkError> {
        let reply = self.agent(target)?.events(LinkEventsRequest { after }).await;
        reply.map(tonic::Response::into_inner).map_err(|status| failed(target, status))
    }
}

fn bounded<T>(message: T, within: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(within);
    request
}

fn failed(region: &RegionName, status: Status) -> LinkError {
    LinkError::Agent { region: region.clone(), status: Box::new(status) }
}

/// Whether the target has everything up to this end.
pub(crate) fn crossed(reply: &LinkReply, end: &LogEnd) -> bool {
    let partition = &end.partition;
    let position = reply.partitions.iter().find(|position| {
        position.topic == partition.topic.as_str() && position.partition == partition.partition.to_wire()
    });
    end.end == SourceOffset::FIRST || position.is_some_and(|found| found.acknowledged_to >= end.end.to_wire())
}

/// The first partition that its mirror has stopped, with the reason. Of a topic that was deleted nothing is missed.
pub(crate) fn stopped(link: &LinkName, reply: &LinkReply) -> Option<LinkError> {
    let missed =
        |position: &&PartitionPosition| position.state == "stopped" && position.stop_code != TOPIC_DELETED;
    let position = reply.partitions.iter().find(missed)?;
    Some(LinkError::Stopped {
        link: link.clone(),
        partition: format!("{}-{}", position.topic, position.partition),
        reason: position.stop_reason.clone(),
    })
}

fn watermark(end: &LogEnd) -> Watermark {
    Watermark {
        topic: end.partition.topic.as_str().to_owned(),
        partition: end.partition.partition.to_wire(),
        replicated_to: end.end.to_wire(),
        ..Watermark::default()
    }
}

fn final_position(watermark: &Watermark) -> Option<FinalPosition> {
    Some(FinalPosition {
        partition: topic_partition(&watermark.topic, watermark.partition)?,
        source: SourceOffset::from_wire(watermark.replicated_to)?,
        target: TargetOffset::from_wire(watermark.target_end)?,
    })
}

/// `None` for names and indexes that no Kafka has.
pub(crate) fn topic_partition(topic: &str, partition: i32) -> Option<TopicPartition> {
    Some(TopicPartition {
        topic: TopicName::new(topic).ok()?,
        partition: PartitionIndex::from_wire(partition)?,
    })
}

/// What the brain takes from a link's status. Without a confirmed heartbeat the lag in time has no bound.
pub(crate) fn report(source: &RegionName, target: &RegionName, reply: &LinkReply) -> LinkReport {
    let time = u64::try_from(reply.rpo_millis).map_or(Duration::MAX, Duration::from_millis);
    let partitions = reply.partitions.iter().filter_map(|position| {
        Some(PartitionSample {
            partition: topic_partition(&position.topic, position.partition)?,
            source_end: SourceOffset::from_wire(position.source_end),
            replicated: SourceOffset::from_wire(position.acknowledged_to).unwrap_or(SourceOffset::FIRST),
        })
    });
    LinkReport {
        source: source.clone(),
        target: target.clone(),
        lag: Lag { time, records: reply.lag_records, bytes: ByteSize::ZERO },
        // A link that confirms heartbeats carries group positions in the same rounds.
        offsets_age: (reply.rpo_millis >= 0).then_some(Duration::ZERO),
        partitions: partitions.collect(),
        drifts: reply.topics_compared.then(|| reply.drifts.iter().filter_map(drift).collect()),
    }
}

fn drift(drift: &wire::PartitionDrift) -> Option<PartitionDrift> {
    Some(PartitionDrift {
        topic: TopicName::new(&drift.topic).ok()?,
        source: drift.source_partitions,
        target: drift.target_partitions,
    })
}
