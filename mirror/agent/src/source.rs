//! Reads from the source's brokers what the partitions want, one task for each broker.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use leeward_client::{Cluster, FetchFrom, FetchPlan, Fetched, Fetcher, Isolation};
use leeward_model::{TopicId, TopicPartition};
use leeward_wire::ErrorCode;
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::{
    appetite::Appetite,
    input::Input,
    limits::{FETCH_RETRY, FETCH_WAIT_MAX, FETCH_WAIT_MIN, SMALL_ANSWER_BYTES},
    pace::Pace,
    target::range,
};

/// What a partition wants to read next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Want {
    pub(crate) offset: i64,
    /// Leader epoch of the last batch that was read; -1 for none.
    pub(crate) last_epoch: i32,
    pub(crate) topic: TopicId,
    /// Enough of it waits for the target: it is not read until less does.
    pub(crate) withheld: bool,
}

/// What all partitions want, kept by the link's task.
#[derive(Debug, Default)]
pub(crate) struct Wants {
    pub(crate) partitions: Mutex<BTreeMap<TopicPartition, Want>>,
    pub(crate) changed: Notify,
}

/// Keeps one reader for each broker until stopped.
pub(crate) async fn read_all(
    cluster: Cluster,
    wants: Arc<Wants>,
    inputs: mpsc::Sender<Input>,
    stop: CancellationToken,
) {
    let mut running = HashSet::new();
    while !stop.is_cancelled() {
        for broker in cluster.map().brokers.keys().copied() {
            if running.insert(broker) {
                let reader =
                    Reader { cluster: cluster.clone(), wants: wants.clone(), inputs: inputs.clone() };
                tokio::spawn(stop.clone().run_until_cancelled_owned(reader.run(broker)));
            }
        }
        let wanted = wants.partitions.lock().keys().next().cloned();
        if let Some(unled) = wanted.filter(|partition| cluster.map().leader(partition).is_none())
            && let Err(error) = cluster.leader(&unled).await
        {
            debug!(%error, "no leader");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(FETCH_RETRY) => {}
        }
    }
}

struct Reader {
    cluster: Cluster,
    wants: Arc<Wants>,
    inputs: mpsc::Sender<Input>,
}

impl Reader {
    async fn run(self, broker: i32) {
        let mut fetcher = Fetcher::new(&self.cluster, broker);
        let mut appetite = Appetite::LEAST;
        let mut patience = FETCH_WAIT_MIN;
        let mut pace = Pace::new(Instant::now());
        loop {
            let changed = self.wants.changed.notified();
            let (asked, some_withheld) = self.set_positions(&mut fetcher, broker, appetite.partition_bytes());
            if asked.is_empty() {
                let _ = tokio::time::timeout(FETCH_WAIT_MAX, changed).await;
                continue;
            }
            let plan = FetchPlan {
                isolation: Isolation::ReadCommitted,
                max_wait: if some_withheld { patience } else { FETCH_WAIT_MAX },
                max_bytes: appetite.answer_bytes(),
                ..FetchPlan::default()
            };
            let asked_at = Instant::now();
            pace.asked(asked_at);
            match fetcher.fetch(&plan).await {
                Ok(answers) => {
                    let answered = answers.iter().map(|answer| answer.records.len()).sum();
                    appetite = appetite.after(answered, asked_at.elapsed());
                    patience = if answered > 0 { FETCH_WAIT_MIN } else { FETCH_WAIT_MAX.min(2 * patience) };
                    if !self.tell(asked, answers).await {
                        return;
                    }
                    if answered < SMALL_ANSWER_BYTES && pace.next_at() > Instant::now() {
                        tokio::time::sleep_until(pace.next_at()).await;
                    }
                }
                Err(error) => {
                    debug!(broker, %error, "fetch failed");
                    tokio::time::sleep(FETCH_RETRY).await;
                    if let Err(error) = self.cluster.refresh().await {
                        debug!(%error, "source does not answer");
                    }
                }
            }
        }
    }

    /// Tells what to read from the broker; and whether partitions are left out that may soon be read again.
    fn set_positions(
        &self,
        fetcher: &mut Fetcher,
        broker: i32,
        max_bytes: i32,
    ) -> (Vec<TopicPartition>, bool) {
        let map = self.cluster.map();
        let wants = self.wants.partitions.lock();
        let led =
            |partition: &TopicPartition| map.leader(partition).is_some_and(|leader| leader.broker == broker);
        let gone: Vec<_> = fetcher
            .partitions()
            .filter(|partition| wants.get(*partition).is_none_or(|want| want.withheld) || !led(partition))
            .cloned()
            .collect();
        for partition in &gone {
            fetcher.remove(partition);
        }
        let mut asked = Vec::new();
        let mut some_withheld = false;
        for (partition, want) in wants.iter().filter(|(partition, _)| led(partition)) {
            if want.withheld {
                some_withheld = true;
                continue;
            }
            let from = FetchFrom {
                last_fetched_epoch: want.last_epoch,
                max_bytes,
                ..FetchFrom::offset(want.offset)
            };
            fetcher.set(partition.clone(), from);
            asked.push(partition.clone());
        }
        (asked, some_withheld)
    }

    /// Hands the answers on and waits until they are taken, so that the next fetch asks for what comes behind.
    async fn tell(&self, asked: Vec<TopicPartition>, mut answers: Vec<Fetched>) -> bool {
        let mut stale = false;
        for answer in &answers {
            stale |= self.look_at(answer).await;
        }
        answers.retain(|answer| !self.is_another_life(&answer.partition));
        let (done, taken) = oneshot::channel();
        if self.inputs.send(Input::Fetched { asked, answers, done }).await.is_err() {
            return false;
        }
        if stale {
            tokio::time::sleep(FETCH_RETRY).await;
            if let Err(error) = self.cluster.refresh().await {
                debug!(%error, "source does not answer");
            }
        }
        // Where the sender is dropped, the link's task is ending.
        taken.await.is_ok()
    }

    /// Whether the topic that is read is not the one that is wanted, but another of its name.
    fn is_another_life(&self, partition: &TopicPartition) -> bool {
        let id = self.cluster.map().topics.get(&partition.topic).and_then(|topic| topic.id);
        let wants = self.wants.partitions.lock();
        let wanted = wants.get(partition).map(|want| want.topic);
        id.zip(wanted).is_some_and(|(id, wanted)| id != wanted)
    }

    /// Sees to what an answer says beside records; true where leaders have to be asked for again.
    async fn look_at(&self, answer: &Fetched) -> bool {
        let partition = answer.partition.clone();
        if self.is_another_life(&partition) {
            let _ = self.inputs.send(Input::TopicRecreated { partition }).await;
            return false;
        }
        match answer.error {
            ErrorCode::NONE => false,
            ErrorCode::OFFSET_OUT_OF_RANGE => {
                if let Ok((log_start, log_end)) = range(&self.cluster, &partition).await {
                    let _ = self.inputs.send(Input::SourceRange { partition, log_start, log_end }).await;
                }
                false
            }
            ErrorCode::INCONSISTENT_TOPIC_ID => {
                let _ = self.inputs.send(Input::TopicRecreated { partition }).await;
                true
            }
            code => {
                debug!(%partition, %code, "source refuses");
                true
            }
        }
    }
}
