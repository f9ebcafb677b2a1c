//! Probes every level of every region from one place, each level in its own loop, and hands the samples on.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use leeward_failover_core::{Level, LevelRule, Probe};
use leeward_model::{ClusterId, RegionName, SourceOffset};
use leeward_policies::limits::PROBE_ROUNDS_MAX;
use parking_lot::Mutex;
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    clock::since_epoch,
    cluster::{Cluster, ClusterError},
    limits::SLIPPED_AFTER,
};

/// One probe's end.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) region: RegionName,
    pub(crate) level: Level,
    pub(crate) probe: Probe,
    pub(crate) cause: String,
    pub(crate) took: Duration,
    pub(crate) cluster_id: Option<ClusterId>,
}

/// The canary that was last written, to be read back.
type Canary = Arc<Mutex<Option<(SourceOffset, Bytes)>>>;

struct Prober {
    place: RegionName,
    region: RegionName,
    cluster: Arc<dyn Cluster>,
    level: Level,
    rule: LevelRule,
    canary: Canary,
}

/// Begins one loop for each region and level.
pub(crate) fn start(
    place: &RegionName,
    clusters: &[(RegionName, Arc<dyn Cluster>)],
    rules: &BTreeMap<Level, LevelRule>,
    samples: &mpsc::Sender<Sample>,
    tasks: &TaskTracker,
    shutdown: &CancellationToken,
) {
    for (region, cluster) in clusters {
        let canary = Canary::default();
        for (level, rule) in rules {
            let prober = Prober {
                place: place.clone(),
                region: region.clone(),
                cluster: Arc::clone(cluster),
                level: *level,
                rule: *rule,
                canary: Arc::clone(&canary),
            };
            let (samples, shutdown) = (samples.clone(), shutdown.clone());
            tasks.spawn(async move {
                tokio::select! {
                    biased;
                    () = shutdown.cancelled() => {}
                    () = prober.run(samples) => {}
                }
            });
        }
    }
}

impl Prober {
    async fn run(self, samples: mpsc::Sender<Sample>) {
        let mut rounds = interval(self.rule.every);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let bound = self.rule.every * PROBE_ROUNDS_MAX;
        loop {
            rounds.tick().await;
            let began = Instant::now();
            let ended = timeout(bound, self.probe()).await;
            let took = began.elapsed();
            // Much later than its own bound: this machine stood still, and says nothing about the region.
            if took > bound + SLIPPED_AFTER {
                continue;
            }
            let (probe, cause, cluster_id) = match ended {
                Ok(Ok(None)) => continue,
                Ok(Ok(Some(cluster_id))) => (Probe::Good, String::new(), cluster_id),
                Ok(Err(error)) => (Probe::Failed, error.to_string(), None),
                Err(_) => (Probe::Failed, format!("no answer within {bound:?}"), None),
            };
            let region = self.region.clone();
            let sample = Sample { region, level: self.level, probe, cause, took, cluster_id };
            if samples.send(sample).await.is_err() {
                return;
            }
        }
    }

    /// `None` where there is nothing to look at yet.
    async fn probe(&self) -> Result<Option<Option<ClusterId>>, ClusterError> {
        let cluster = &self.cluster;
        match self.level {
            Level::Tcp => cluster.reach().await.map(|()| Some(None)),
            Level::ApiVersions => cluster.api_versions().await.map(|()| Some(None)),
            Level::Metadata => cluster.identify().await.map(|id| Some(Some(id))),
            Level::ProduceCanary => {
                let payload = self.payload();
                let offset = cluster.produce_canary(payload.clone()).await?;
                *self.canary.lock() = Some((offset, payload));
                Ok(Some(None))
            }
            Level::FetchCanary => {
                let Some((offset, payload)) = self.canary.lock().clone() else { return Ok(None) };
                if cluster.fetch_canary(offset, payload).await? {
                    return Ok(Some(None));
                }
                let cluster = self.region.to_string();
                Err(ClusterError::Refused {
                    cluster,
                    reason: "the canary is not where it was written".into(),
                })
            }
        }
    }

    fn payload(&self) -> Bytes {
        Bytes::from(format!("{} {}", self.place, since_epoch().as_nanos()))
    }
}
