//! The cluster handle: bootstrap, the pin, moved leaders, moved names.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use leeward_client::{Acks, Cluster, ClusterError};
use leeward_model::ClusterId;
use leeward_wire::{
    ApiKey, ErrorCode,
    api::{
        ProduceRequest, ProduceResponse, ProduceResponseLeader, ProduceResponsePartition,
        ProduceResponseTopic, RequestBody, ResponseBody,
    },
    record::{BatchBuilder, Compression, RecordBatch},
};

use crate::fake::{Behaviour, Broker, Names, Reply, config, nobody, t_0, usual};

const WITHIN: Duration = Duration::from_secs(10);

fn batch() -> RecordBatch {
    let mut batch = BatchBuilder::new(Compression::None);
    batch.append(1, None, Some(b"x"), &[]).unwrap();
    batch.build().unwrap()
}

fn produced(request: &ProduceRequest, answer: ProduceResponsePartition) -> Reply {
    let topic = ProduceResponseTopic {
        name: request.topic_data[0].name.clone(),
        partition_responses: vec![answer],
        ..Default::default()
    };
    Reply::Answer(ResponseBody::Produce(ProduceResponse { responses: vec![topic], ..Default::default() }))
}

/// Takes batches where it leads; elsewhere it refuses, and names the leader if `hints`.
fn leading(hints: bool) -> Behaviour {
    Arc::new(move |broker, _, body| {
        let RequestBody::Produce(request) = body else {
            return Reply::Usual;
        };
        let (leader_id, leader_epoch) = *broker.leader.lock();
        if leader_id == broker.id {
            return produced(request, ProduceResponsePartition { base_offset: 7, ..Default::default() });
        }
        let mut answer = ProduceResponsePartition {
            error_code: ErrorCode::NOT_LEADER_OR_FOLLOWER.code(),
            ..Default::default()
        };
        if hints {
            answer.current_leader = ProduceResponseLeader { leader_id, leader_epoch };
        }
        produced(request, answer)
    })
}

/// Two brokers of one cluster that share peers and leader.
async fn pair(hints: bool) -> (Broker, Broker) {
    let one = Broker::start(1, "c", leading(hints)).await;
    let two = Broker::start(2, "c", leading(hints)).await;
    let peers = vec![(1, one.address), (2, two.address)];
    one.peers.lock().clone_from(&peers);
    *two.peers.lock() = peers;
    (one, two)
}

#[tokio::test]
async fn a_dead_bootstrap_entry_is_passed_over() {
    let broker = Broker::start(1, "c", usual()).await;
    let (_held, dead) = nobody();

    let cluster = Cluster::connect(config(vec![dead.to_string(), broker.address.to_string()])).await;

    assert_eq!(cluster.unwrap().cluster_id(), ClusterId::new("c"));
}

#[tokio::test]
async fn a_bootstrap_list_of_dead_entries_says_so() {
    let (_held, dead) = nobody();

    let refused = Cluster::connect(config(vec![dead.to_string()])).await.unwrap_err();

    assert_eq!(refused.to_string(), "no broker of the cluster can be reached (1 addresses tried)");
    assert!(refused.may_retry());
}

#[tokio::test]
async fn another_cluster_behind_the_address_is_an_error() {
    let broker = Broker::start(1, "theirs", usual()).await;
    let mut config = broker.config();
    config.expected_cluster_id = Some(ClusterId::new("ours"));

    let refused = Cluster::connect(config).await.unwrap_err();

    assert!(matches!(&refused, ClusterError::WrongCluster { .. }), "{refused:?}");
    assert!(!refused.may_retry());
    assert!(refused.to_string().contains("belongs to cluster theirs, expected is ours"), "{refused}");
}

#[tokio::test]
async fn a_batch_follows_its_leader_by_new_metadata() {
    let (one, two) = pair(false).await;
    let cluster = Cluster::connect(one.config()).await.unwrap();
    cluster.leader(&t_0()).await.unwrap();
    *one.leader.lock() = (2, 1);
    *two.leader.lock() = (2, 1);

    let ack = cluster.produce(&t_0(), &batch(), Acks::All, WITHIN).await.unwrap();

    assert_eq!(ack.base_offset, 7);
    assert_eq!(two.requests_of(ApiKey::Produce).len(), 1);
}

#[tokio::test]
async fn a_leader_that_the_refusal_names_is_remembered() {
    let (one, _two) = pair(true).await;
    let cluster = Cluster::connect(one.config()).await.unwrap();
    cluster.leader(&t_0()).await.unwrap();
    *one.leader.lock() = (2, 1);

    let pending = cluster.submit_produce(&t_0(), &batch(), Acks::All, WITHIN).await.unwrap();
    let refused = pending.ack().await.unwrap_err();

    assert_eq!(refused.code(), Some(ErrorCode::NOT_LEADER_OR_FOLLOWER));
    assert_eq!(cluster.leader(&t_0()).await.unwrap().broker, 2);
}

#[tokio::test]
async fn a_refusal_that_time_does_not_heal_comes_back_at_once() {
    let behaviour: Behaviour = Arc::new(|_, _, body| match body {
        RequestBody::Produce(request) => produced(
            request,
            ProduceResponsePartition {
                error_code: ErrorCode::MESSAGE_TOO_LARGE.code(),
                error_message: Some("sealed".to_owned()),
                ..Default::default()
            },
        ),
        _ => Reply::Usual,
    });
    let broker = Broker::start(1, "c", behaviour).await;
    let cluster = Cluster::connect(broker.config()).await.unwrap();

    let refused = cluster.produce(&t_0(), &batch(), Acks::All, WITHIN).await.unwrap_err();

    let said = format!("Produce for t-0 refused by {}: MESSAGE_TOO_LARGE (sealed)", broker.address);
    assert_eq!(refused.to_string(), said);
    assert_eq!(broker.requests_of(ApiKey::Produce).len(), 1);
}

#[tokio::test]
async fn without_a_pin_batches_follow_the_name_to_another_cluster() {
    let old = Broker::start(1, "old", leading(false)).await;
    let new = Broker::start(1, "new", leading(false)).await;
    let names = Arc::new(Names::default());
    let loopback = |last| Ipv4Addr::new(127, 0, 0, last).into();
    names.0.lock().extend([("a".to_owned(), loopback(1)), ("b".to_owned(), loopback(77))]);
    let bootstrap = vec![format!("a:{}", old.address.port()), format!("b:{}", new.address.port())];
    let mut config = config(bootstrap);
    config.resolver = names.clone();
    let cluster = Cluster::connect(config).await.unwrap();
    cluster.produce(&t_0(), &batch(), Acks::All, WITHIN).await.unwrap();
    assert_eq!(cluster.cluster_id(), ClusterId::new("old"));

    old.kill();
    names.0.lock().insert("b".to_owned(), loopback(1));
    let ack = cluster.produce(&t_0(), &batch(), Acks::All, WITHIN).await;

    assert_eq!(ack.unwrap().base_offset, 7);
    assert_eq!(cluster.cluster_id(), ClusterId::new("new"));
}

#[tokio::test]
async fn with_a_pin_batches_do_not_follow_the_name_to_another_cluster() {
    let old = Broker::start(1, "old", leading(false)).await;
    let new = Broker::start(1, "new", leading(false)).await;
    let mut config = config(vec![old.address.to_string(), new.address.to_string()]);
    config.expected_cluster_id = Some(ClusterId::new("old"));
    config.timeouts.operation = Duration::from_millis(300);
    let cluster = Cluster::connect(config).await.unwrap();
    cluster.leader(&t_0()).await.unwrap();

    old.kill();
    let refused = cluster.produce(&t_0(), &batch(), Acks::All, Duration::from_millis(300)).await;

    assert!(refused.is_err());
    assert!(new.requests_of(ApiKey::Produce).is_empty());
    assert_eq!(cluster.cluster_id(), ClusterId::new("old"));
}

#[tokio::test]
async fn a_handle_can_be_told_to_start_again_from_its_bootstrap_list() {
    let old = Broker::start(1, "old", usual()).await;
    let new = Broker::start(1, "new", usual()).await;
    let names = Arc::new(Names::default());
    names.0.lock().insert("a".to_owned(), Ipv4Addr::LOCALHOST.into());
    let mut config = config(vec![format!("a:{}", old.address.port()), new.address.to_string()]);
    config.resolver = names.clone();
    let cluster = Cluster::connect(config).await.unwrap();
    assert_eq!(cluster.cluster_id(), ClusterId::new("old"));

    names.0.lock().remove("a");
    let map = cluster.rebootstrap().await.unwrap();

    assert_eq!(map.cluster_id, ClusterId::new("new"));
}
