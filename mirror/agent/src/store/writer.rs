//! Writes changes of maps: to the topic first, then to the local copy, in the order in which they come.

use std::{sync::Arc, time::Duration};

use leeward_mirror_core::{
    map::{MapRecord, Run},
    partition::ChangeNumber,
};
use leeward_model::{PartitionIndex, SourceOffset, TargetOffset, TopicId, TopicName};
use tokio::sync::mpsc;
use tracing::warn;

use super::{Facts, Local, MapTopic};
use crate::{clock::wall, input::Input, limits::CHANGES_PER_BATCH_MAX};

/// Wait between attempts to write to the topic.
const RETRY: Duration = Duration::from_millis(200);

/// What is to be made durable about one partition.
#[derive(Debug)]
pub(crate) enum Change {
    Runs {
        key: (TopicId, PartitionIndex),
        target_topic: TopicId,
        change: ChangeNumber,
        put: Vec<Run>,
        remove: Vec<SourceOffset>,
        checkpoint: Option<TargetOffset>,
    },
    Checkpoint {
        key: (TopicId, PartitionIndex),
        target_topic: TopicId,
        target: TargetOffset,
    },
    Names {
        topic: TopicId,
        source: TopicName,
        target: TopicName,
    },
}

impl Change {
    fn facts(&self, facts: &mut Facts) {
        match self {
            Self::Runs { key, target_topic, put, remove, checkpoint, .. } => {
                let mut add = |record| facts.push((key.0, key.1, record));
                for source in remove {
                    add(MapRecord::RunRemoved(*source));
                }
                for run in put {
                    add(MapRecord::Run(*run));
                }
                if let Some(target) = *checkpoint {
                    add(MapRecord::Checkpoint { target, target_topic: *target_topic });
                }
            }
            Self::Checkpoint { key, target_topic, target } => {
                let record = MapRecord::Checkpoint { target: *target, target_topic: *target_topic };
                facts.push((key.0, key.1, record));
            }
            Self::Names { topic, source, target } => {
                let first = PartitionIndex::from_wire(0).expect("0 is an index");
                let record = MapRecord::Names { source: source.clone(), target: target.clone() };
                facts.push((*topic, first, record));
            }
        }
    }

    fn done(self) -> Option<Input> {
        match self {
            Self::Runs { key, change, .. } => Some(Input::Stored { key, change }),
            Self::Checkpoint { key, target, .. } => Some(Input::Checkpointed { key, target }),
            Self::Names { .. } => None,
        }
    }
}

/// Runs until the changes end.
pub(crate) async fn write_changes(
    mut changes: mpsc::Receiver<Change>,
    topic: MapTopic,
    local: Arc<Local>,
    inputs: mpsc::Sender<Input>,
) {
    let mut batch = Vec::new();
    while changes.recv_many(&mut batch, CHANGES_PER_BATCH_MAX).await > 0 {
        let mut facts = Facts::new();
        for change in &batch {
            change.facts(&mut facts);
        }
        while let Err(error) = topic.write(&facts, wall().as_millis()).await {
            warn!(%error, "map is not written");
            tokio::time::sleep(RETRY).await;
        }
        if let Err(error) = local.write(&facts) {
            warn!(%error, "local copy of the map is not written");
        }
        for change in batch.drain(..) {
            if let Some(input) = change.done()
                && inputs.send(input).await.is_err()
            {
                return;
            }
        }
    }
}
