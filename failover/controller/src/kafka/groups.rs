//! Groups' final positions, never over a group that is alive.

use leeward_client::CommitOffset;
use leeward_model::{GroupName, TargetOffset, TopicPartition};
use leeward_wire::ErrorCode;

use super::KafkaCluster;
use crate::cluster::{ClusterError, GroupCommit};

impl KafkaCluster {
    pub(super) async fn commit(
        &self,
        group: &GroupName,
        positions: &[(TopicPartition, TargetOffset)],
    ) -> Result<GroupCommit, ClusterError> {
        let client = self.client().await?;
        let failed = |error| self.failed(&error);
        let described = client.describe_group(group).await.map_err(failed)?;
        if !described.is_empty() {
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
