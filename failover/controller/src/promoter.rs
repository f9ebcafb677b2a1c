//! Opens the survivor: the groups' final positions first, then its topics.

use std::collections::BTreeMap;

use leeward_failover_core::FenceProof;
use leeward_model::{GroupName, RegionName, TargetOffset, TopicPartition};
use tracing::warn;

use crate::{
    cluster::{Cluster, ClusterError, GroupCommit},
    fencer::{FenceError, Fencer},
    links::{LinkError, Links, topic_partition},
};

/// Why a region was not promoted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PromoteError {
    #[error("a fence of {fenced} does not let {region} be promoted over it")]
    FenceOfItself { fenced: RegionName, region: RegionName },
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    Seal(#[from] FenceError),
}

/// What a promotion did.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Promotion {
    pub(crate) topics: u32,
    pub(crate) groups: u32,
}

/// Writes the groups' final positions and lifts what seal there is. The proof says that nobody else writes.
pub(crate) async fn promote(
    region: &RegionName,
    fence: &FenceProof,
    links: &Links,
    cluster: &dyn Cluster,
    fencer: &Fencer,
) -> Result<Promotion, PromoteError> {
    if fence.region() == region {
        return Err(PromoteError::FenceOfItself { fenced: fence.region().clone(), region: region.clone() });
    }
    let positions = final_groups(links, fence.region(), region).await?;
    let mut groups = 0;
    for (group, positions) in positions {
        match cluster.commit_group(&group, &positions).await? {
            GroupCommit::Committed => groups += 1,
            GroupCommit::SkippedActive => {
                warn!(%group, %region, "group is alive on the survivor: its own positions stay");
            }
        }
    }
    let topics = fencer.unseal(|| true).await?;
    Ok(Promotion { topics, groups })
}

/// Positions that the mirror knows for the target, by group.
async fn final_groups(
    links: &Links,
    source: &RegionName,
    target: &RegionName,
) -> Result<BTreeMap<GroupName, Vec<(TopicPartition, TargetOffset)>>, PromoteError> {
    let mut groups: BTreeMap<GroupName, Vec<(TopicPartition, TargetOffset)>> = BTreeMap::new();
    for position in links.groups(source, target).await? {
        let partition = topic_partition(&position.topic, position.partition);
        let offset = TargetOffset::from_wire(position.target_offset);
        // What is committed already needs no second commit; what is active on the survivor must not get one.
        let wanted = position.state == "waiting";
        if let (true, Some(partition), Some(offset)) = (wanted, partition, offset) {
            groups.entry(GroupName::new(&position.group)).or_default().push((partition, offset));
        }
    }
    Ok(groups)
}
