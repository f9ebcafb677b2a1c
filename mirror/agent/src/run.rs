//! One run of a link: from leave to write until its end. Starts the tasks around the link's own.

use std::sync::Arc;

use leeward_client::{ClientConfig, Cluster, FetchFrom, FetchPlan, Fetcher, OffsetSpec, TopicSelection};
use leeward_model::{TopicPartition, WallTime, with_causes};
use tokio::sync::{Mutex, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{
    Leave, LinkConfig, LinkError,
    groups::{GroupParts, Groups, Standings},
    heartbeat::{beat, heartbeat_topic_of, newest},
    inverse::seed_inverse,
    limits::{CHANGES_MAX, CONNECT_RETRY, FETCH_WAIT_MAX, INPUTS_MAX},
    metrics::LinkMetrics,
    source::{Wants, read_all},
    status::{Board, LinkState},
    store::{Local, LocalCopy, MapReader, MapTopic, SharedStored, SharedWriting, Writer, fill_from_copy},
    task::{Parts, Task, Verb},
    topics::follow,
};

/// What a run is made of.
pub(crate) struct Run {
    pub(crate) config: Arc<LinkConfig>,
    pub(crate) leave: Leave,
    pub(crate) local: Arc<Local>,
    pub(crate) board: Arc<Board>,
    pub(crate) metrics: LinkMetrics,
    pub(crate) standings: Standings,
    /// Filled once groups can be looked at.
    pub(crate) groups: Arc<Mutex<Option<Groups>>>,
    pub(crate) verbs: mpsc::Sender<Verb>,
    pub(crate) end: CancellationToken,
}

impl Run {
    /// Runs until ended. What fails at the start is shown and tried again.
    pub(crate) async fn run(self, mut verbs: mpsc::Receiver<Verb>) {
        let end = self.end.clone();
        let begun = async {
            loop {
                match self.begin().await {
                    Ok(begun) => return begun,
                    Err(error) => {
                        warn!(link = %self.config.name, error = %with_causes(&error), "link cannot begin yet");
                        self.show_failure(&error);
                        tokio::time::sleep(CONNECT_RETRY).await;
                    }
                }
            }
        };
        let Some((task, inputs)) = Box::pin(end.run_until_cancelled(begun)).await else { return };
        info!(link = %self.config.name, epoch = %self.leave.epoch, "link runs");
        task.run(inputs, &mut verbs, end).await;
    }

    fn show_failure(&self, error: &LinkError) {
        let mut status = self.board.status.lock();
        status.failure = Some(with_causes(error));
        status.state = match error {
            LinkError::SameCluster(_) => LinkState::Failed,
            _ => LinkState::Waiting,
        };
    }

    async fn begin(&self) -> Result<(Task, mpsc::Receiver<crate::input::Input>), LinkError> {
        let config = &self.config;
        let target = connect(&config.target).await?;
        let mut topic = MapTopic::ensure(&target, &config.name, config.replication_factor).await?;
        let stored = SharedStored::default();
        topic.read(&stored).await?;
        fill_from_copy(&self.local, &topic, &stored).await?;
        if self.leave.topics_made_anew {
            self.forget_deleted(&target, &topic, &stored).await?;
        }
        if let Some(opposite) = &self.leave.inverse_of {
            let source = connect(&config.source).await?;
            seed_inverse(config, opposite, (&source, &target), (&topic, &stored)).await?;
        }
        let last_heartbeat = last_heartbeat(&target, config).await;
        let (inputs, received) = mpsc::channel(INPUTS_MAX);
        let (changes, to_write) = mpsc::channel(CHANGES_MAX);
        let (found, source) = watch::channel(None);
        let wants = Arc::new(Wants::default());
        let reading = self.end.child_token();
        let writing = SharedWriting::of(topic.name().clone());
        let content = stored.lock().clone();
        let writer = Writer {
            topic: topic.clone(),
            copy: LocalCopy::of(self.local.clone(), content).await,
            writing: writing.clone(),
            inputs: inputs.clone(),
        };
        tokio::spawn(writer.run(to_write));
        let parts = Parts {
            config: config.clone(),
            epoch: self.leave.epoch,
            target: target.clone(),
            source: source.clone(),
            inputs: inputs.clone(),
            changes,
            wants: wants.clone(),
            maps: Arc::new(MapReader::new(topic, stored.clone())),
            stored,
            writing,
            board: self.board.clone(),
            metrics: self.metrics.clone(),
            reading: reading.clone(),
        };
        let around = Around {
            config: config.clone(),
            target: target.clone(),
            inputs,
            wants,
            reading: reading.clone(),
        };
        let board = self.board.clone();
        tokio::spawn(reading.clone().run_until_cancelled_owned(around.reach(found, board)));
        self.look_after_groups(source, target, &reading).await;
        Ok((Task::new(parts, last_heartbeat), received))
    }

    /// Takes away what is stored about topics that the target does not have any more.
    async fn forget_deleted(
        &self,
        target: &Cluster,
        topic: &MapTopic,
        stored: &SharedStored,
    ) -> Result<(), LinkError> {
        let present = target.metadata(TopicSelection::All).await?;
        let facts =
            stored.lock().removal_of_deleted(|name| present.topics.get(name).and_then(|topic| topic.id));
        topic.write_stored(facts, stored, crate::clock::wall().as_millis()).await
    }

    async fn look_after_groups(
        &self,
        source: watch::Receiver<Option<Cluster>>,
        target: Cluster,
        reading: &CancellationToken,
    ) {
        if self.config.groups.is_none() {
            return;
        }
        let groups = Groups::new(GroupParts {
            config: self.config.clone(),
            source,
            target,
            verbs: self.verbs.clone(),
            metrics: self.metrics.clone(),
            board: self.board.clone(),
            standings: self.standings.clone(),
        });
        *self.groups.lock().await = Some(groups);
        let shared = self.groups.clone();
        let looking = async move {
            if let Some(groups) = shared.lock().await.as_mut() {
                groups.run().await;
            }
        };
        tokio::spawn(reading.clone().run_until_cancelled_owned(looking));
    }
}

/// Connects, and stays with the cluster that answered first: another one at the same addresses is an error from then on.
async fn connect(config: &ClientConfig) -> Result<Cluster, LinkError> {
    let cluster = Cluster::connect(config.clone()).await?;
    if config.expected_cluster_id.is_some() {
        return Ok(cluster);
    }
    let expected_cluster_id = Some(cluster.cluster_id());
    Ok(Cluster::connect(ClientConfig { expected_cluster_id, ..config.clone() }).await?)
}

/// What runs around a link's task once the source is reached.
struct Around {
    config: Arc<LinkConfig>,
    target: Cluster,
    inputs: mpsc::Sender<crate::input::Input>,
    wants: Arc<Wants>,
    reading: CancellationToken,
}

impl Around {
    async fn reach(self, found: watch::Sender<Option<Cluster>>, board: Arc<Board>) {
        let source = loop {
            match connect(&self.config.source).await {
                Ok(source) if source.cluster_id() == self.target.cluster_id() => {
                    let error = LinkError::SameCluster(source.cluster_id());
                    error!(link = %self.config.name, %error, "link cannot run");
                    board.status.lock().failure = Some(error.to_string());
                }
                Ok(source) => break source,
                Err(error) => warn!(link = %self.config.name, %error, "source is not reached"),
            }
            tokio::time::sleep(CONNECT_RETRY).await;
        };
        found.send_replace(Some(source.clone()));
        let reading = read_all(source.clone(), self.wants, self.inputs.clone(), self.reading.clone());
        let following =
            follow(self.config.clone(), source.clone(), self.target, self.inputs, self.reading.clone());
        let beating = async {
            loop {
                beat(&source, &self.config.name).await;
                tokio::time::sleep(self.config.heartbeat_every).await;
            }
        };
        tokio::join!(reading, following, beating);
    }
}

/// The newest heartbeat that the target has, from an earlier life of the link.
async fn last_heartbeat(target: &Cluster, config: &LinkConfig) -> Option<WallTime> {
    let partition: TopicPartition = heartbeat_topic_of(&config.name);
    target.topic(&partition.topic).await.ok()?;
    let end = target.list_offset(&partition, OffsetSpec::Latest).await.ok()?.offset;
    let leader = target.leader(&partition).await.ok()?;
    let mut fetcher = Fetcher::new(target, leader.broker);
    fetcher.set(partition, FetchFrom::offset((end - 1).max(0)));
    let plan = FetchPlan { max_wait: FETCH_WAIT_MAX, ..FetchPlan::default() };
    let answers = fetcher.fetch(&plan).await.ok()?;
    answers.into_iter().find_map(|answer| newest(answer.records)).map(|(written, _)| written)
}
