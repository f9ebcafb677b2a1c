//! Writes changes of maps: to the topic first, then to the local copy, in the order in which they come.

use leeward_mirror_core::{
    map::{MapRecord, Run},
    partition::ChangeNumber,
};
use leeward_model::{PartitionIndex, SourceOffset, TargetOffset, TopicId, TopicName, with_causes};
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::{
    Fact, Facts, LocalCopy, MapTopic, SharedWriting,
    parts::parts,
    topic::{Written, is_gone},
};
use crate::{
    LinkError,
    clock::wall,
    input::Input,
    limits::{CHANGES_PER_ROUND_MAX, MAP_RETRY},
};

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
    fn facts(&self) -> Facts {
        let mut facts = Facts::new();
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
        facts
    }

    fn done(self) -> Option<Input> {
        match self {
            Self::Runs { key, change, .. } => Some(Input::Stored { key, change }),
            Self::Checkpoint { key, target, .. } => Some(Input::Checkpointed { key, target }),
            Self::Names { .. } => None,
        }
    }
}

/// What writes a link's maps.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) topic: MapTopic,
    pub(crate) copy: LocalCopy,
    pub(crate) writing: SharedWriting,
    pub(crate) inputs: mpsc::Sender<Input>,
}

impl Writer {
    /// Runs until the changes end.
    pub(crate) async fn run(mut self, mut changes: mpsc::Receiver<Change>) {
        let mut round = Vec::new();
        loop {
            let next = changes.recv_many(&mut round, CHANGES_PER_ROUND_MAX);
            let received = match self.copy.due() {
                Some(due) => tokio::time::timeout_at(due, next).await,
                None => Ok(next.await),
            };
            match received {
                Ok(0) => return self.copy.settle().await,
                Ok(_) => {}
                Err(_) => {
                    self.copy.settle().await;
                    continue;
                }
            }
            let parts = parts(round.iter().map(Change::facts));
            let mut written = round.drain(..);
            for part in parts {
                self.write(&part.facts).await;
                for input in written.by_ref().take(part.ended).filter_map(Change::done) {
                    if self.inputs.send(input).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Tries until the topic has the facts.
    async fn write(&mut self, facts: &[Fact]) {
        self.writing.begin();
        let mut lost = false;
        while let Err(error) = self.attempt(facts, &mut lost).await {
            let error = with_causes(&error);
            if self.writing.fail(error.clone()) {
                warn!(topic = %self.topic.name(), error, "map is not written");
            }
            tokio::time::sleep(MAP_RETRY).await;
        }
        if self.writing.end() {
            info!(topic = %self.topic.name(), "map is written again");
        }
        self.copy.take(facts).await;
    }

    /// Where the topic is found to be gone, it is made and filled first.
    async fn attempt(&mut self, facts: &[Fact], lost: &mut bool) -> Result<(), LinkError> {
        loop {
            if *lost {
                self.fill().await?;
                *lost = false;
            }
            match self.topic.append(facts, wall().as_millis()).await {
                Ok(Written::Behind) => return Ok(()),
                Ok(Written::Elsewhere) => *lost = true,
                Err(error) if is_gone(&error) => {
                    *lost = self.topic.make().await? || self.topic.look().await?;
                    if !*lost {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes to a topic that was made again everything that the one before it had.
    async fn fill(&mut self) -> Result<(), LinkError> {
        let facts = self.copy.begin_filling().await?;
        warn!(topic = %self.topic.name(), records = facts.len(), "map topic is another: local copy is written to it");
        self.topic.begin_anew().await?;
        self.topic.write(facts, wall().as_millis()).await?;
        if self.topic.look().await? {
            return Err(self.topic.changing());
        }
        self.copy.end_filling().await
    }
}
