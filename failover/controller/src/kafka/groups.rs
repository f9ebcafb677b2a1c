//! Groups' final positions, never over a group that is alive.

use leeward_client::CommitOffset;
use leeward_model::{GroupName, TargetOffset, TopicPartition};
use leeward_wire::{ErrorCode, api::DescribeGroupsRequest};

use super::KafkaCluster;
use crate::cluster::{ClusterError, GroupCommit};

/// States of a group that nobody is a member of.
const RESTING: [&str; 3] = ["", "Dead", "Empty"];

impl KafkaCluster {
    pub(super) async fn commit(
        &self,
        group: &GroupName,
        positions: &[(TopicPartition, TargetOffset)],
    ) -> Result<GroupCommit, ClusterError> {
        let client = self.client().await?;
        let failed = |error| self.failed(&error);
        let describe = DescribeGroupsRequest {
            groups: vec![group.as_str().to_owned()],
            ..DescribeGroupsRequest::default()
        };
        let described = client.request_coordinator(group, &describe).await.map_err(failed)?;
        if described.groups.iter().any(|found| !RESTING.contains(&found.group_state.as_str())) {
            return Ok(GroupCommit::SkippedActive);
        }
        let offsets: Vec<(TopicPartition, CommitOffset)> = positions
            .iter()
            .map(|(partition, offset)| (partition.clone(), CommitOffset::at(offset.to_wire())))
            .collect();
        for (_, outcome) in client.commit_offsets(group, &offsets).await.map_err(failed)? {
            match outcome {
                // A member joined between the look and the commit.
                Err(error) if error.code() == Some(ErrorCode::UNKNOWN_MEMBER_ID) => {
                    return Ok(GroupCommit::SkippedActive);
                }
                outcome => outcome.map_err(failed)?,
            }
        }
        Ok(GroupCommit::Committed)
    }
}
