//! A region that is sealed and opened, on a cluster that only pretends.

use leeward_model::PartitionIndex;

use super::*;
use crate::{cluster::BrokerId, pretend::PretendCluster};

fn orders() -> TopicName {
    TopicName::new("orders").expect("legal")
}

fn fencer(cluster: &Arc<PretendCluster>, folder: &tempfile::TempDir) -> Fencer {
    let region = RegionName::new("a").expect("legal");
    let notes = RedbLog::open(folder.path()).expect("opened");
    let cluster: Arc<dyn Cluster> = cluster.clone();
    Fencer::new(region, cluster, Protected::new(|_| true), true, notes)
}

#[tokio::test]
async fn a_seal_is_complete_when_every_broker_refuses_and_nothing_moves() {
    let cluster = Arc::new(PretendCluster::new("a", &["orders"]));
    let folder = tempfile::tempdir().expect("a folder");

    let seal = fencer(&cluster, &folder).seal().await.expect("sealed");

    assert!(seal.is_complete() && seal.log_ends.len() == 1);
}

#[tokio::test]
async fn a_broker_that_goes_on_taking_writes_leaves_the_seal_incomplete() {
    let cluster = Arc::new(PretendCluster::new("a", &["orders"]));
    cluster.ignore_seals(BrokerId(1));
    let folder = tempfile::tempdir().expect("a folder");

    let seal = fencer(&cluster, &folder).seal().await.expect("tried");

    assert!(!seal.is_complete());
}

#[tokio::test]
async fn opening_restores_what_a_topic_had_before() {
    let cluster = Arc::new(PretendCluster::new("a", &["orders"]));
    cluster.set_bytes(&orders(), Some(4_096));
    let folder = tempfile::tempdir().expect("a folder");
    let fencer = fencer(&cluster, &folder);
    fencer.seal().await.expect("sealed");
    fencer.seal().await.expect("sealed again");

    fencer.unseal(|| true).await.expect("opened");

    assert_eq!(cluster.bytes(&orders()), Some(4_096));
}

#[tokio::test]
async fn a_zero_that_nobody_noted_is_taken_away() {
    let cluster = Arc::new(PretendCluster::new("a", &["orders"]));
    cluster.set_bytes(&orders(), Some(0));
    let folder = tempfile::tempdir().expect("a folder");

    fencer(&cluster, &folder).unseal(|| true).await.expect("opened");

    assert_eq!(cluster.bytes(&orders()), None);
}

#[tokio::test]
async fn a_zero_that_the_brokers_alone_know_of_is_taken_away() {
    let cluster = Arc::new(PretendCluster::new("a", &["orders"]));
    cluster.set_bytes(&orders(), Some(0));
    cluster.keep_zero_of_a_deleted_topic(&orders());
    let folder = tempfile::tempdir().expect("a folder");

    fencer(&cluster, &folder).unseal(|| true).await.expect("opened");

    assert_eq!(cluster.bytes(&orders()), None);
}

#[tokio::test]
async fn a_topic_that_was_made_anew_while_sealed_keeps_the_limit_that_it_has() {
    let cluster = Arc::new(PretendCluster::new("a", &["orders"]));
    let folder = tempfile::tempdir().expect("a folder");
    let fencer = fencer(&cluster, &folder);
    fencer.seal().await.expect("sealed");
    fencer.made_anew(&[orders()]).expect("noted");
    cluster.set_bytes(&orders(), Some(4_096));

    fencer.unseal(|| true).await.expect("opened");

    assert_eq!(cluster.bytes(&orders()), Some(4_096));
}

#[tokio::test]
async fn a_log_that_moves_is_seen() {
    let cluster = Arc::new(PretendCluster::new("a", &["orders"]));
    cluster.keep_moving();
    let folder = tempfile::tempdir().expect("a folder");

    let seal = fencer(&cluster, &folder).seal().await.expect("tried");

    let partition = PartitionIndex::from_wire(0).expect("not negative");
    assert!(!seal.still && seal.log_ends[0].partition.partition == partition);
}

#[tokio::test]
async fn what_followers_lack_leaves_the_seal_incomplete_until_they_have_it() {
    let cluster = Arc::new(PretendCluster::new("a", &["orders"]));
    let folder = tempfile::tempdir().expect("a folder");
    let fencer = fencer(&cluster, &folder);

    cluster.lack(1);
    let before = fencer.seal().await.expect("tried");
    cluster.lack(0);
    let after = fencer.seal().await.expect("sealed");

    assert_eq!((before.is_complete(), after.is_complete()), (false, true));
}

#[tokio::test]
async fn opening_restores_the_default_that_somebody_had_set() {
    let cluster = Arc::new(PretendCluster::new("a", &["orders"]));
    cluster.set_default_bytes(Some(2_048));
    let folder = tempfile::tempdir().expect("a folder");
    let fencer = fencer(&cluster, &folder);

    fencer.seal().await.expect("sealed");
    let sealed = cluster.default_bytes();
    fencer.unseal(|| true).await.expect("opened");

    assert_eq!((sealed, cluster.default_bytes()), (Some(0), Some(2_048)));
}
