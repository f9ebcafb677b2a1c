//! Gives up old records in the background.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::clock::now_ms;
use crate::cluster::Cluster;

/// Looks after every partition's retention until stopped.
pub(crate) async fn run(cluster: Arc<Cluster>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(cluster.config.retention_interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let cluster = cluster.clone();
        if tokio::task::spawn_blocking(move || sweep(&cluster)).await.is_err() {
            warn!("retention ended early");
        }
    }
}

fn sweep(cluster: &Cluster) {
    let now_ms = now_ms();
    for topic in cluster.topics() {
        for partition in topic.partitions() {
            if let Err(error) = partition.retain(now_ms) {
                warn!(topic = topic.name, %error, "retention failed");
            }
        }
    }
}
