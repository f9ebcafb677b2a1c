//! Two regions, a controller, a mirror that is behind: what is acknowledged is in the survivor, once and in order.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use leeward_buffer::Gateway;
use leeward_client::{Cluster, FetchFrom, FetchPlan, Fetcher};
use leeward_faults::{Cut, Proxy, Shape};
use leeward_node::{Endpoint, NodeConfig};
use leeward_proto::control::Grant;
use leeward_wire::ErrorCode;

use super::harness::*;

/// A gateway over these regions that forwards where its controller granted it to.
async fn forwarding(
    folder: &Path,
    regions: &[(&str, SocketAddr)],
    grant: Grant,
) -> (Controller, Gateway, Cluster) {
    let mut controller = Controller::start().await;
    let mut config = config(&folder.join("buffer"), regions);
    config.controllers = vec![controller.address.clone()];
    let acting = grant.acting_primary.clone();
    controller.grant(grant);
    let (gateway, through) = start(config).await;
    controller.await_report(|report| report.forwarding_to == acting).await;
    (controller, gateway, through)
}

async fn settled(cluster: &Cluster, count: usize) -> Vec<String> {
    await_values(cluster, &orders(), count).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_that_answers_no_report_of_this_process_ends_the_forwarding() {
    let dir = tempfile::tempdir().unwrap();
    let a = node(&dir.path().join("a")).await;
    let mut controller = Controller::start().await;
    let mut config = config(&dir.path().join("buffer"), &[("a", a.addr())]);
    config.controllers = vec![controller.address.clone()];
    controller.grant(granted(1, "a"));
    let (gateway, through) = start(config).await;
    let forwarding = controller.await_report(|report| report.forwarding_to == "a").await;
    produce(&producer(&through), 0, 1).await;
    let at_a = connect(a.addr()).await;
    settled(&at_a, 1).await;

    controller.grant(Grant { answers: forwarding.number.wrapping_sub(1 << 32), ..granted(1, "a") });
    controller.await_report(|report| report.epoch == 1 && report.forwarding_to.is_empty()).await;
    produce(&producer(&through), 1, 2).await;

    assert_eq!(gateway.status().unforwarded_records, 1);
    controller.grant(granted(1, "a"));
    assert_eq!(settled(&at_a, 2).await, numbered(0, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_survivor_gets_what_the_mirror_did_not_bring() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (node(&dir.path().join("a")).await, node(&dir.path().join("b")).await);
    let mut controller = Controller::start().await;
    let mut config = config(&dir.path().join("buffer"), &[("a", a.addr()), ("b", b.addr())]);
    config.controllers = vec![controller.address.clone()];
    config.agents = [(region("b"), "http://127.0.0.1:1".to_owned())].into();
    controller.grant(granted(1, "a"));
    let (_gateway, through) = start(config).await;
    controller.await_report(|report| report.forwarding_to == "a").await;
    let producer = producer(&through);
    produce(&producer, 0, 100).await;
    let (at_a, at_b) = (connect(a.addr()).await, connect(b.addr()).await);
    settled(&at_a, 100).await;
    let replicated_to = mirror(&at_a, &at_b, 60).await;
    a.shutdown().await;
    produce(&producer, 100, 120).await;

    controller.grant(promoted(2, "a", "b", replicated_to));
    produce(&producer, 120, 140).await;

    assert_eq!(settled(&at_b, 140).await, numbered(0, 140));
    let report = controller.await_report(|report| report.epoch == 2).await;
    assert_eq!(report.forwarding_to, "b");
}

/// Reads from who leads the topic, once the gateway knows who that is.
async fn fetcher_of_leader(through: &Cluster) -> Fetcher {
    let leads = async {
        loop {
            match through.leader(&orders()).await {
                Ok(leader) => return leader.broker,
                Err(error) if error.wants_new_metadata() => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
    };
    let broker = tokio::time::timeout(Duration::from_secs(20), leads).await.expect("somebody leads");
    Fetcher::new(through, broker)
}

/// What fetching from far beyond the end is answered with, on the fetcher's own connection.
async fn beyond_the_end(fetcher: &mut Fetcher) -> ErrorCode {
    fetcher.set(orders(), FetchFrom::offset(5000));
    let plan = FetchPlan { max_wait: Duration::from_millis(50), ..FetchPlan::default() };
    fetcher.fetch(&plan).await.unwrap()[0].error
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_position_that_the_survivor_lacks_is_not_out_of_range_before_members_could_rejoin() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (node(&dir.path().join("a")).await, node(&dir.path().join("b")).await);
    let regions = [("a", a.addr()), ("b", b.addr())];
    let (mut controller, _gateway, through) = forwarding(dir.path(), &regions, granted(1, "a")).await;
    let mut fetcher = fetcher_of_leader(&through).await;
    let before = beyond_the_end(&mut fetcher).await;

    controller.grant(promoted(2, "a", "b", 0));
    controller.await_report(|report| report.epoch == 2 && report.forwarding_to == "b").await;

    assert_eq!(before, ErrorCode::OFFSET_OUT_OF_RANGE);
    assert_eq!(beyond_the_end(&mut fetcher).await, ErrorCode::NOT_LEADER_OR_FOLLOWER);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_position_that_the_survivor_lacks_is_not_out_of_range_on_a_new_connection_either() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (node(&dir.path().join("a")).await, node(&dir.path().join("b")).await);
    let regions = [("a", a.addr()), ("b", b.addr())];
    let (mut controller, _gateway, through) = forwarding(dir.path(), &regions, granted(1, "a")).await;

    controller.grant(promoted(2, "a", "b", 0));
    controller.await_report(|report| report.epoch == 2 && report.forwarding_to == "b").await;
    let mut fetcher = fetcher_of_leader(&through).await;

    assert_eq!(beyond_the_end(&mut fetcher).await, ErrorCode::NOT_LEADER_OR_FOLLOWER);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_starts_behind_a_failover_calls_no_position_out_of_range_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let b = node(&dir.path().join("b")).await;

    let (_controller, _gateway, through) = forwarding(dir.path(), &[("b", b.addr())], granted(2, "b")).await;
    let mut fetcher = fetcher_of_leader(&through).await;

    assert_eq!(beyond_the_end(&mut fetcher).await, ErrorCode::NOT_LEADER_OR_FOLLOWER);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_living_grant_nothing_is_forwarded_and_everything_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let a = node(&dir.path().join("a")).await;
    let (mut controller, _gateway, through) =
        forwarding(dir.path(), &[("a", a.addr())], granted(1, "a")).await;
    let producer = producer(&through);
    produce(&producer, 0, 10).await;
    let at_a = connect(a.addr()).await;
    settled(&at_a, 10).await;

    controller.grant(granted(2, ""));
    controller.await_report(|report| report.epoch == 2 && report.forwarding_to.is_empty()).await;
    produce(&producer, 10, 20).await;

    assert_eq!(values(&at_a, &orders()).await, numbered(0, 10));
    controller.grant(granted(3, "a"));
    assert_eq!(settled(&at_a, 20).await, numbered(0, 20));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_that_crossed_without_anybody_knowing_are_not_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let listen = free_address();
    let proxy = Proxy::start(SocketAddr::from(([127, 0, 0, 1], 0)), listen.to_string()).await.unwrap();
    let mut behind_proxy = NodeConfig::new(dir.path().join("a"));
    behind_proxy.listen = listen;
    behind_proxy.advertised = Some(Endpoint { host: "127.0.0.1".to_owned(), port: proxy.address().port() });
    let (_a, b) = (node_with(behind_proxy).await, node(&dir.path().join("b")).await);
    let mut controller = Controller::start().await;
    let mut config = config(&dir.path().join("buffer"), &[("a", proxy.address()), ("b", b.addr())]);
    config.controllers = vec![controller.address.clone()];
    let agent = Agent::start().await;
    config.agents = [(region("b"), agent.address.clone())].into();
    let registry = config.registry.clone();
    controller.grant(granted(1, "a"));
    let (gateway, through) = start(config).await;
    controller.await_report(|report| report.forwarding_to == "a").await;
    let producer = producer(&through);
    produce(&producer, 0, 50).await;
    while gateway.status().unforwarded_records > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Of what was acknowledged before it is certain then which topic has it.
    agent.tell(topic_id(&connect(proxy.address()).await).await, 1);
    while gateway.status().buffered_records > 49 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    proxy.reshape(Shape { cut: Cut::Back, ..Shape::default() });
    produce(&producer, 50, 70).await;
    controller.grant(granted(2, ""));
    controller.await_report(|report| report.epoch == 2).await;
    proxy.reshape(Shape::default());
    let (at_a, at_b) = (connect(proxy.address()).await, connect(b.addr()).await);
    let replicated_to = mirror(&at_a, &at_b, usize::MAX).await;
    assert!(replicated_to > 50, "nothing crossed");
    controller.grant(promoted(3, "a", "b", replicated_to));

    assert_eq!(settled(&at_b, 70).await, numbered(0, 70));
    let matched =
        registry.gather().into_iter().find(|family| family.name() == "leeward_buffer_matched_records_total");
    let matched = matched.unwrap().get_metric()[0].get_counter().get_value();
    assert_eq!(matched as i64, replicated_to - 50);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_is_forgotten_once_the_other_region_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let (a, agent) = (node(&dir.path().join("a")).await, Agent::start().await);
    let mut config = config(&dir.path().join("buffer"), &[("a", a.addr()), ("b", a.addr())]);
    config.acting = Some(region("a"));
    config.agents = [(region("b"), agent.address.clone())].into();
    let (gateway, through) = start(config).await;
    produce(&producer(&through), 0, 10).await;
    while gateway.status().unforwarded_records > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(gateway.status().buffered_records, 10);

    agent.tell(topic_id(&connect(a.addr()).await).await, 7);

    let deadline = tokio::time::Instant::now() + PATIENCE;
    while gateway.status().buffered_records > 3 && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(gateway.status().buffered_records, 3);
}
