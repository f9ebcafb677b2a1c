//! Assignments and signs of life.

use super::*;

/// Two members in generation 1 without assignment: the leader and another.
fn two(bench: &mut Bench) -> (String, String) {
    let (a, joined) = bench.join_with_id("a");
    let (b, _) = bench.join_with_id("b");
    bench.pass(DELAY * 2);
    assert_eq!(bench.joined(joined).leader, a);
    (a, b)
}

#[test]
fn a_follower_waits_for_the_leaders_assignment() {
    let mut bench = bench();
    let (a, b) = two(&mut bench);

    let synced_b = bench.sync(&b, 1, &[]);
    assert!(!bench.is_answered(synced_b));
    let synced_a = bench.sync(&a, 1, &[(&a, "left"), (&b, "right")]);

    assert_eq!(bench.synced(synced_a).assignment, "left");
    assert_eq!(bench.synced(synced_b).assignment, "right");
    assert_eq!(bench.state(), "Stable");
}

#[test]
fn nobody_has_an_assignment_before_it_is_durable() {
    let mut bench = bench();
    let (a, b) = two(&mut bench);
    bench.holds = true;

    let synced_a = bench.sync(&a, 1, &[(&a, "left"), (&b, "right")]);
    assert!(!bench.is_answered(synced_a));
    bench.settle();

    assert!(bench.is_answered(synced_a));
}

#[test]
fn a_log_that_refuses_the_assignment_starts_the_rebalance_again() {
    let mut bench = bench();
    let (a, b) = two(&mut bench);
    bench.refusal = Some(ErrorCode::NOT_ENOUGH_REPLICAS);

    let synced_a = bench.sync(&a, 1, &[(&a, "left"), (&b, "right")]);

    assert_eq!(bench.synced(synced_a).error, ErrorCode::COORDINATOR_NOT_AVAILABLE);
    assert_eq!(bench.state(), "PreparingRebalance");
}

#[test]
fn a_sync_of_another_generation_is_refused() {
    let mut bench = bench();
    let a = bench.stable();

    let ticket = bench.sync(&a, 7, &[]);

    assert_eq!(bench.synced(ticket).error, ErrorCode::ILLEGAL_GENERATION);
}

#[test]
fn a_sync_for_another_protocol_is_refused() {
    let mut bench = bench();
    let a = bench.stable();

    let ticket = bench.ask(&Request::Sync(Sync { protocol: Some("sticky".into()), ..sync(&a, 1, &[]) }));

    assert_eq!(bench.synced(ticket).error, ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
}

#[test]
fn a_newcomer_between_join_and_sync_sends_waiting_followers_back() {
    let mut bench = bench();
    let (_, b) = two(&mut bench);
    let synced_b = bench.sync(&b, 1, &[]);

    bench.join_with_id("c");

    assert_eq!(bench.synced(synced_b).error, ErrorCode::REBALANCE_IN_PROGRESS);
}

#[test]
fn a_member_that_never_syncs_is_out_after_the_rebalance_timeout() {
    let mut bench = bench();
    let (a, b) = two(&mut bench);
    bench.sync(&a, 1, &[(&a, "left"), (&b, "right")]);

    for _ in 0..4 {
        bench.pass(SESSION * 3 / 4);
        bench.heartbeat(&a, 1);
        bench.heartbeat(&b, 1);
    }

    assert_eq!(bench.heartbeat(&b, 1), ErrorCode::UNKNOWN_MEMBER_ID);
    assert_eq!(bench.heartbeat(&a, 1), ErrorCode::REBALANCE_IN_PROGRESS);
}

#[test]
fn heartbeats_keep_a_member_and_silence_ends_it() {
    let mut bench = bench();
    let a = bench.stable();

    for _ in 0..5 {
        bench.pass(SESSION * 3 / 4);
        assert_eq!(bench.heartbeat(&a, 1), ErrorCode::NONE);
    }
    bench.pass(SESSION);

    assert_eq!(bench.heartbeat(&a, 1), ErrorCode::UNKNOWN_MEMBER_ID);
    assert_eq!(bench.state(), "Empty");
}

#[test]
fn a_heartbeat_of_another_generation_is_refused() {
    let mut bench = bench();
    let a = bench.stable();

    assert_eq!(bench.heartbeat(&a, 0), ErrorCode::ILLEGAL_GENERATION);
}

#[test]
fn a_member_that_waits_for_others_is_not_silent() {
    let mut bench = bench();
    let a = bench.stable();
    let (_, joined_b) = bench.join_with_id("b");

    bench.join(again("a", &a));
    bench.pass(SESSION * 2);

    assert_eq!(bench.joined(joined_b).members.len() + 1, 1);
    assert_eq!(bench.coordinator.describe(&group()).map(|group| group.members.len()), Some(0));
}

#[test]
fn a_group_out_of_the_log_goes_on_where_it_was() {
    let mut bench = bench();
    let a = bench.stable();
    let mut next = bench_with(GroupSettings::default());
    for record in bench.log.iter().flat_map(|append| &append.records) {
        next.coordinator.load(None, record.clone(), next.now);
    }
    next.coordinator.loaded(next.now);

    assert_eq!(next.heartbeat(&a, 1), ErrorCode::NONE);
    let ticket = next.sync(&a, 1, &[]);
    assert_eq!(next.synced(ticket).assignment, "all");
}
