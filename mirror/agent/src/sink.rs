//! The way into the target: batches out in order, several partitions in one request, answers back in order; one task for each
//! broker.

use std::collections::{BTreeMap, HashMap, HashSet};

use futures::{StreamExt, stream::FuturesOrdered};
use leeward_client::{Acks, Cluster, ClusterError, Lane, PendingBatches, ProduceAck};
use leeward_mirror_core::partition::BatchNumber;
use leeward_model::{TargetOffset, TopicPartition};
use leeward_wire::record::RecordBatch;
use tokio::sync::mpsc;

use crate::{
    input::{Input, Outcome, Produced},
    limits::{PRODUCE_REQUEST_BYTES_MAX, PRODUCE_WAIT_MAX, SINK_HANDOVERS_MAX},
};

/// A batch for one partition of the target.
#[derive(Debug)]
pub(crate) struct Outgoing {
    /// The partition as it is named at the source.
    pub(crate) source: TopicPartition,
    pub(crate) target: TopicPartition,
    pub(crate) batch: BatchNumber,
    pub(crate) records: RecordBatch,
}

/// Where a link's batches go out.
#[derive(Debug)]
pub(crate) struct Sinks {
    cluster: Cluster,
    lane: Lane,
    inputs: mpsc::Sender<Input>,
    by_broker: HashMap<i32, mpsc::Sender<Vec<Outgoing>>>,
    /// Not handed over yet. No partition has more in it than its machine has in flight.
    waiting: Vec<Outgoing>,
}

impl Sinks {
    pub(crate) fn new(cluster: Cluster, inputs: mpsc::Sender<Input>) -> Self {
        let by_broker = HashMap::new();
        Self { cluster, lane: Lane::own(), inputs, by_broker, waiting: Vec::new() }
    }

    pub(crate) fn push(&mut self, outgoing: Outgoing) {
        self.waiting.push(outgoing);
    }

    /// Hands everything over to the tasks of the partitions' leaders.
    pub(crate) fn flush(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let map = self.cluster.map();
        let mut by_leader: BTreeMap<i32, Vec<Outgoing>> = BTreeMap::new();
        for outgoing in std::mem::take(&mut self.waiting) {
            match map.leader(&outgoing.target) {
                Some(leader) => by_leader.entry(leader.broker).or_default().push(outgoing),
                None => self.look_for_leader(outgoing),
            }
        }
        for (broker, batches) in by_leader {
            let sink = self.by_broker.entry(broker).or_insert_with(|| {
                let (sink, batches) = mpsc::channel(SINK_HANDOVERS_MAX);
                let (cluster, lane, inputs) = (self.cluster.clone(), self.lane, self.inputs.clone());
                tokio::spawn(run(Route { cluster, lane, broker, inputs }, batches));
                sink
            });
            if let Err(mpsc::error::TrySendError::Full(back) | mpsc::error::TrySendError::Closed(back)) =
                sink.try_send(batches)
            {
                self.waiting.extend(back);
            }
        }
    }

    /// Nobody leads the partition, as far as is known: the batch is not sent, and the leader is asked for.
    fn look_for_leader(&self, outgoing: Outgoing) {
        let (cluster, inputs) = (self.cluster.clone(), self.inputs.clone());
        tokio::spawn(async move {
            if let Err(error) = cluster.leader(&outgoing.target).await {
                tracing::debug!(%error, target = %outgoing.target, "no leader");
            }
            let Outgoing { source: partition, batch, .. } = outgoing;
            // The link's task has ended where nobody listens.
            let _ = inputs
                .send(Input::Produced(vec![Produced { partition, batch, outcome: Outcome::Unanswered }]))
                .await;
        });
    }
}

/// To one broker of the target.
struct Route {
    cluster: Cluster,
    lane: Lane,
    broker: i32,
    inputs: mpsc::Sender<Input>,
}

async fn run(route: Route, mut handed_over: mpsc::Receiver<Vec<Outgoing>>) {
    let mut answers = FuturesOrdered::new();
    loop {
        tokio::select! {
            biased;
            Some((sent, answered)) = answers.next(), if !answers.is_empty() => {
                if !route.tell(sent, answered).await {
                    return;
                }
            }
            next = handed_over.recv() => {
                let Some(mut batches) = next else { return };
                while let Ok(more) = handed_over.try_recv() {
                    batches.extend(more);
                }
                for request in requests(batches) {
                    let pending = route.send(&request).await;
                    let sent: Vec<_> =
                        request.into_iter().map(|outgoing| (outgoing.source, outgoing.batch)).collect();
                    answers.push_back(async move { (sent, answer(pending).await) });
                }
            }
        }
    }
}

/// Puts batches together to requests: no partition twice in one, each partition's batches in their order.
fn requests(mut batches: Vec<Outgoing>) -> Vec<Vec<Outgoing>> {
    let mut requests = Vec::new();
    while !batches.is_empty() {
        let (mut request, mut later) = (Vec::new(), Vec::new());
        let mut met = HashSet::new();
        let mut bytes = 0;
        for outgoing in batches {
            let is_next = met.insert(outgoing.target.clone());
            let size = outgoing.records.size_bytes();
            if is_next && (request.is_empty() || bytes + size <= PRODUCE_REQUEST_BYTES_MAX) {
                bytes += size;
                request.push(outgoing);
            } else {
                later.push(outgoing);
            }
        }
        requests.push(request);
        batches = later;
    }
    requests
}

type Answered = Result<Vec<Result<ProduceAck, ClusterError>>, ClusterError>;

async fn answer(pending: Result<PendingBatches, ClusterError>) -> Answered {
    pending?.acks().await
}

impl Route {
    async fn send(&self, request: &[Outgoing]) -> Result<PendingBatches, ClusterError> {
        let batches: Vec<_> = request.iter().map(|outgoing| (&outgoing.target, &outgoing.records)).collect();
        self.cluster.submit_batches((self.broker, self.lane), &batches, Acks::All, PRODUCE_WAIT_MAX).await
    }

    async fn tell(&self, sent: Vec<(TopicPartition, BatchNumber)>, answered: Answered) -> bool {
        let outcomes = answered.unwrap_or_else(|error| sent.iter().map(|_| Err(error.clone())).collect());
        let wants_new_metadata =
            |outcome: &Result<_, ClusterError>| outcome.as_ref().is_err_and(ClusterError::wants_new_metadata);
        if outcomes.iter().any(wants_new_metadata)
            && let Err(error) = self.cluster.refresh().await
        {
            tracing::debug!(%error, broker = self.broker, "no new metadata");
        }
        let produced = sent.into_iter().zip(outcomes).map(|((partition, batch), outcome)| {
            let outcome = match outcome {
                Ok(ack) => Outcome::Acknowledged(TargetOffset::from_wire(ack.base_offset)),
                Err(error) => error.code().map_or(Outcome::Unanswered, Outcome::Refused),
            };
            Produced { partition, batch, outcome }
        });
        self.inputs.send(Input::Produced(produced.collect())).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use leeward_model::{PartitionIndex, TopicName};
    use leeward_wire::record::{BatchBuilder, Compression};

    use super::*;

    fn partition(index: i32) -> TopicPartition {
        let partition = PartitionIndex::from_wire(index).expect("an index");
        TopicPartition { topic: TopicName::new("t").expect("a name"), partition }
    }

    fn outgoing(index: i32, bytes: usize) -> Outgoing {
        let mut builder = BatchBuilder::new(Compression::None);
        builder.append(0, None, Some(&vec![7; bytes]), &[]).expect("a record");
        Outgoing {
            source: partition(index),
            target: partition(index),
            batch: BatchNumber::default(),
            records: builder.build().expect("a batch"),
        }
    }

    fn indexes(requests: &[Vec<Outgoing>]) -> Vec<Vec<i32>> {
        let of = |request: &Vec<Outgoing>| {
            request.iter().map(|outgoing| outgoing.target.partition.to_wire()).collect()
        };
        requests.iter().map(of).collect()
    }

    #[test]
    fn one_request_takes_many_partitions_and_each_of_them_once() {
        let batches = vec![outgoing(0, 1), outgoing(1, 1), outgoing(0, 1), outgoing(2, 1), outgoing(0, 1)];

        let requests = requests(batches);

        assert_eq!(indexes(&requests), [vec![0, 1, 2], vec![0], vec![0]]);
    }

    #[test]
    fn a_small_batch_does_not_overtake_a_large_one_of_its_partition() {
        let half = PRODUCE_REQUEST_BYTES_MAX / 2;
        let batches = vec![outgoing(0, half), outgoing(1, half + 1), outgoing(1, 1), outgoing(2, 1)];

        let requests = requests(batches);

        assert_eq!(indexes(&requests), [vec![0, 2], vec![1], vec![1]]);
    }
}
