//! One partition's way into the target: batches out in order, answers back in order.

use futures::{StreamExt, stream::FuturesOrdered};
use leeward_client::{Acks, Cluster, ClusterError, Lane, PendingProduce, ProduceAck};
use leeward_mirror_core::{limits::IN_FLIGHT_MAX, partition::BatchNumber};
use leeward_model::{TargetOffset, TopicPartition};
use leeward_wire::record::RecordBatch;
use tokio::sync::mpsc;

use crate::{input::Input, limits::PRODUCE_WAIT_MAX};

/// Batches on their way to one partition.
pub(crate) type Sink = mpsc::Sender<(BatchNumber, RecordBatch)>;

/// Where a sink writes, and whom it tells.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) cluster: Cluster,
    pub(crate) lane: Lane,
    pub(crate) source: TopicPartition,
    pub(crate) target: TopicPartition,
    pub(crate) inputs: mpsc::Sender<Input>,
}

/// Starts a sink; it ends when its sender is dropped.
pub(crate) fn open(route: Route) -> Sink {
    let (sink, batches) = mpsc::channel(IN_FLIGHT_MAX);
    tokio::spawn(run(route, batches));
    sink
}

async fn run(route: Route, mut batches: mpsc::Receiver<(BatchNumber, RecordBatch)>) {
    let mut answers = FuturesOrdered::new();
    loop {
        let told = tokio::select! {
            biased;
            Some((batch, outcome)) = answers.next(), if !answers.is_empty() => route.tell(batch, outcome).await,
            next = batches.recv() => match next {
                Some((batch, records)) => {
                    let sent = route.send(&records).await;
                    answers.push_back(async move { (batch, answer(sent).await) });
                    true
                }
                None => return,
            },
        };
        if !told {
            return;
        }
    }
}

async fn answer(sent: Result<PendingProduce, ClusterError>) -> Result<ProduceAck, ClusterError> {
    sent?.ack().await
}

impl Route {
    async fn send(&self, records: &RecordBatch) -> Result<PendingProduce, ClusterError> {
        self.cluster.submit_produce_on(self.lane, &self.target, records, Acks::All, PRODUCE_WAIT_MAX).await
    }

    async fn tell(&self, batch: BatchNumber, outcome: Result<ProduceAck, ClusterError>) -> bool {
        let partition = self.source.clone();
        let input = match outcome {
            Ok(ack) => {
                let base = TargetOffset::from_wire(ack.base_offset);
                Input::Acknowledged { partition, batch, base }
            }
            Err(error) => {
                if error.wants_new_metadata()
                    && let Err(error) = self.cluster.refresh().await
                {
                    tracing::debug!(%error, target = %self.target, "no new metadata");
                }
                match error.code() {
                    Some(code) => Input::Refused { partition, batch, code },
                    None => Input::Unanswered { partition, batch },
                }
            }
        };
        self.inputs.send(input).await.is_ok()
    }
}
