//! Agents that are started again, with and without a controller.

use leeward_failover_core::Role;
use leeward_proto::region::{AgentReport, SealReport, region_client::RegionClient};

use super::*;
use crate::clock::BootClock;

const SERVES: Role = Role { serves: true, seal: false };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_served_before_seals_when_no_controller_is_heard() {
    let world = World::new().await;
    let config = world.agent("a", core().lease.duration);
    RedbLog::open(&config.data).expect("opened").note_role(&name("a"), SERVES).expect("noted");
    let began = tokio::time::Instant::now();

    let _agent = Agent::start(&config).expect("started");
    world.sealed().await;

    assert!(began.elapsed() >= core().lease.duration);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_is_started_again_seals_what_its_predecessor_was_told_to_seal() {
    let world = World::new().await;
    let config = AgentConfig { seals_itself: false, ..world.agent("a", Duration::from_hours(1)) };
    let role = Role { serves: false, seal: true };
    RedbLog::open(&config.data).expect("opened").note_role(&name("a"), role).expect("noted");

    let _agent = Agent::start(&config).expect("started");

    world.sealed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_is_started_again_seals_when_its_predecessors_lease_ends() {
    let world = World::new().await;
    let config = world.agent("a", Duration::from_hours(1));
    {
        let notes = RedbLog::open(&config.data).expect("opened");
        notes.note_role(&name("a"), SERVES).expect("noted");
        let end = BootClock::of_this_boot().after(Duration::from_millis(100));
        notes.note_lease(&name("a"), &end).expect("noted");
    }

    let _agent = Agent::start(&config).expect("started");

    world.sealed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_lease_is_noted_for_the_agent_that_follows() {
    let mut world = World::new().await;
    let lease = LeaseRule { duration: Duration::from_hours(1), margin: Duration::from_secs(1) };
    let _controller = world.start(Config { lease, ..core() }).await;

    world.agents.remove(0).shutdown().await;

    let notes = RedbLog::open(&world.agent("a", lease.duration).data).expect("opened");
    let end = notes.lease(&name("a")).expect("read").expect("noted");
    let left = BootClock::of_this_boot().until(&end);
    assert!(left <= lease.duration && left > lease.duration / 2, "{left:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_is_started_again_has_a_lease_with_its_first_word() {
    let mut world = World::new().await;
    let controller = world.start(core()).await;
    let address = format!("http://{}", controller.grpc_address());
    let mut region = RegionClient::connect(address).await.expect("connected");
    let report = |number, needs_lease| {
        let agent = "a".to_owned();
        let seal = Some(SealReport { epoch: 1, ..SealReport::default() });
        AgentReport { agent, number, seal, needs_lease, ..AgentReport::default() }
    };

    let reports = tokio_stream::iter([report(1, true), report(2, false)]);
    let words = region.attend(reports).await.expect("answered").into_inner();
    let leases: Vec<u64> = words.take(2).map(|word| word.expect("a word").lease_millis).collect().await;

    assert_eq!(leases, [600, 0]);
}
