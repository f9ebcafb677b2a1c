//! A topic that is deleted and made again at the region while a mirror goes on saying what it had of the old one.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use leeward_buffer::{Gateway, GatewayConfig};
use leeward_client::{Cluster, NewTopic};

use super::harness::*;

async fn make_anew(at: &Cluster) {
    let name = orders().topic;
    let _ = at.delete_topics(std::slice::from_ref(&name), PATIENCE).await.unwrap();
    let topic = NewTopic { name, partitions: 2, replication_factor: None, configs: BTreeMap::new() };
    while at.create_topic(&topic, PATIENCE).await.is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(super) async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect(what);
}

fn mirrored(dir: &Path, regions: &[(&str, std::net::SocketAddr)], agent: &Agent) -> GatewayConfig {
    let mut config = config(dir, regions);
    config.agents = [(region("b"), agent.address.clone())].into();
    config
}

/// Ten records were produced through the gateway, mirrored, and forgotten.
async fn ten_forgotten(gateway: &Gateway, through: &Cluster, at_a: &Cluster, agent: &Agent) {
    produce(&producer(through), 0, 10).await;
    agent.tell(topic_id(at_a).await, 10);
    until("ten are forgotten", || gateway.status().buffered_records == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_new_topic_has_stays_until_the_mirror_says_that_it_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let (a, agent) = (node(&dir.path().join("a")).await, Agent::start().await);
    let at_a = connect(a.addr()).await;
    let mut config = mirrored(&dir.path().join("buffer"), &[("a", a.addr()), ("b", a.addr())], &agent);
    config.acting = Some(region("a"));
    let (gateway, through) = start(config).await;
    ten_forgotten(&gateway, &through, &at_a, &agent).await;
    let old = topic_id(&at_a).await;

    make_anew(&at_a).await;
    produce(&producer(&through), 100, 105).await;
    assert_eq!(await_values(&connect(a.addr()).await, &orders(), 5).await, numbered(100, 105));
    until("five are acknowledged", || gateway.status().unforwarded_records == 0).await;
    for said in 11..40 {
        agent.tell(old, said);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    assert_eq!(gateway.status().buffered_records, 5);
    agent.tell(topic_id(&at_a).await, 5);
    until("five are forgotten", || gateway.status().buffered_records == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_restarts_behind_a_new_topic_keeps_what_that_has() {
    let dir = tempfile::tempdir().unwrap();
    let (a, agent) = (node(&dir.path().join("a")).await, Agent::start().await);
    let at_a = connect(a.addr()).await;
    let config = || {
        let mut config = mirrored(&dir.path().join("buffer"), &[("a", a.addr()), ("b", a.addr())], &agent);
        config.acting = Some(region("a"));
        config
    };
    let (gateway, through) = start(config()).await;
    ten_forgotten(&gateway, &through, &at_a, &agent).await;
    gateway.shutdown().await;

    make_anew(&at_a).await;
    let (gateway, through) = start(config()).await;
    produce(&producer(&through), 100, 105).await;

    assert_eq!(await_values(&connect(a.addr()).await, &orders(), 5).await, numbered(100, 105));
    until("five are acknowledged", || gateway.status().unforwarded_records == 0).await;
    assert_eq!(gateway.status().buffered_records, 5);
    agent.tell(topic_id(&at_a).await, 5);
    until("five are forgotten", || gateway.status().buffered_records == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_survivor_gets_what_the_new_topic_had_whatever_is_said_of_the_old_one() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (node(&dir.path().join("a")).await, node(&dir.path().join("b")).await);
    let (mut controller, agent) = (Controller::start().await, Agent::start().await);
    let (at_a, at_b) = (connect(a.addr()).await, connect(b.addr()).await);
    let mut config = mirrored(&dir.path().join("buffer"), &[("a", a.addr()), ("b", b.addr())], &agent);
    config.controllers = vec![controller.address.clone()];
    controller.grant(granted(1, "a"));
    let (gateway, through) = start(config).await;
    controller.await_report(|report| report.forwarding_to == "a").await;
    ten_forgotten(&gateway, &through, &at_a, &agent).await;
    mirror(&at_a, &at_b, 10).await;
    make_anew(&at_a).await;
    produce(&producer(&through), 100, 105).await;
    until("five are acknowledged", || gateway.status().unforwarded_records == 0).await;
    a.shutdown().await;

    controller.grant(promoted(2, "a", "b", 10));

    let wanted = [numbered(0, 10), numbered(100, 105)].concat();
    assert_eq!(await_values(&at_b, &orders(), 15).await, wanted);
}
