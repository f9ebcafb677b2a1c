//! A gateway that starts on a journal without its end: what is missing is counted, and what it takes then arrives.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use leeward_node::{NodeConfig, RunningNode};

use super::harness::*;

async fn node_at(dir: &Path, listen: SocketAddr) -> RunningNode {
    let mut config = NodeConfig::new(dir);
    config.listen = listen;
    node_with(config).await
}

/// Five records are in the region and thirty in the gateway alone, which has stopped.
async fn with_records_of_its_own(dir: &Path, listen: SocketAddr) {
    let node = node_at(&dir.join("a"), listen).await;
    let mut config = config(&dir.join("buffer"), &[("a", listen)]);
    config.acting = Some(region("a"));
    let (gateway, through) = start(config).await;
    let producer = producer(&through);
    produce(&producer, 0, 5).await;
    await_values(&connect(listen).await, &orders(), 5).await;
    node.shutdown().await;
    produce(&producer, 5, 35).await;
    gateway.shutdown().await;
}

fn journal(dir: &Path) -> PathBuf {
    dir.join("buffer/journal/00000000000000000000.journal")
}

fn cut_to_half(journal: &Path) {
    let used = std::fs::read(journal).unwrap().iter().rposition(|byte| *byte != 0).unwrap();
    let file = std::fs::File::options().write(true).open(journal).unwrap();
    file.set_len(used as u64 / 2).unwrap();
}

/// What is produced behind it arrives, again after a restart, and what is missing is counted.
async fn goes_on(dir: &Path, listen: SocketAddr, hurt: impl Fn(&Path)) {
    with_records_of_its_own(dir, listen).await;
    hurt(&journal(dir));
    let _node = node_at(&dir.join("a"), listen).await;
    let at_a = connect(listen).await;
    let mut lost = None;
    for life in 1..3 {
        let mut config = config(&dir.join("buffer"), &[("a", listen)]);
        config.acting = Some(region("a"));
        let registry = config.registry.clone();
        let (gateway, through) = start(config).await;
        let counted = counted(&registry, "leeward_buffer_damaged_records_total");

        produce(&producer(&through), 100 * life, 100 * life + 10).await;
        while gateway.status().unforwarded_records > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }

        let lost = *lost.get_or_insert(counted);
        assert!(lost > 0, "nothing is counted");
        let there = values(&at_a, &orders()).await;
        assert_eq!(there.len(), 35 - lost + 10 * life);
        assert_eq!(there[there.len() - 10..], numbered(100 * life, 100 * life + 10));
        gateway.shutdown().await;
    }
}

fn counted(registry: &prometheus::Registry, name: &str) -> usize {
    let family = registry.gather().into_iter().find(|family| family.name() == name).unwrap();
    family.get_metric()[0].get_counter().get_value() as usize
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_taken_behind_a_journal_that_was_cut_arrives() {
    let dir = tempfile::tempdir().unwrap();

    let all = goes_on(dir.path(), free_address(), cut_to_half);

    tokio::time::timeout(3 * PATIENCE, all).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_taken_behind_a_journal_that_was_removed_arrives() {
    let dir = tempfile::tempdir().unwrap();

    let all = goes_on(dir.path(), free_address(), |journal| std::fs::remove_file(journal).unwrap());

    tokio::time::timeout(3 * PATIENCE, all).await.unwrap();
}
