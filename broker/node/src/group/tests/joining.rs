//! Who gets in, who leads, and how the protocol is chosen.

use super::*;

#[test]
fn a_new_member_is_given_an_id_to_come_back_with() {
    let mut bench = bench();

    let ticket = bench.join(Join { id_required: true, ..join("a") });

    let reply = bench.joined(ticket);
    assert_eq!((reply.error, reply.member_id.as_str()), (ErrorCode::MEMBER_ID_REQUIRED, "a-1"));
}

#[test]
fn the_first_rebalance_waits_for_members_that_start_a_little_later() {
    let mut bench = bench();

    let (_, first) = bench.join_with_id("a");
    bench.pass(DELAY / 2);
    let (_, second) = bench.join_with_id("b");
    bench.pass(DELAY / 2);
    assert!(!bench.is_answered(first), "a newcomer puts it off once more");
    bench.pass(DELAY);

    assert_eq!((bench.joined(first).generation, bench.joined(second).generation), (1, 1));
    assert_eq!(bench.joined(first).members.len(), 2);
    assert!(bench.joined(second).members.is_empty());
}

#[test]
fn a_group_of_old_clients_needs_no_second_join() {
    let mut bench = bench();

    let ticket = bench.join(join("a"));
    bench.pass(DELAY);

    assert_eq!((bench.joined(ticket).error, bench.joined(ticket).generation), (ErrorCode::NONE, 1));
}

#[test]
fn a_session_timeout_out_of_bounds_is_refused() {
    let mut bench = bench();

    let ticket = bench.join(Join { session_timeout: Duration::from_millis(1), ..join("a") });

    assert_eq!(bench.joined(ticket).error, ErrorCode::INVALID_SESSION_TIMEOUT);
}

#[test]
fn an_unknown_id_does_not_make_a_group() {
    let mut bench = bench();

    let ticket = bench.join(again("a", "a-9"));

    assert_eq!(bench.joined(ticket).error, ErrorCode::UNKNOWN_MEMBER_ID);
    assert_eq!(bench.state(), "none");
}

#[test]
fn a_member_without_a_common_protocol_is_refused() {
    let mut bench = bench();
    bench.stable();

    let ticket = bench.join(Join { protocols: vec![protocol("sticky")], ..join("b") });

    assert_eq!(bench.joined(ticket).error, ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
}

#[test]
fn the_protocol_that_most_like_best_among_the_common_ones_wins() {
    let mut bench = bench();
    let names = |names: &[&str]| names.iter().map(|name| protocol(name)).collect::<Vec<_>>();

    let first = bench.join(Join { protocols: names(&["only-a", "range", "sticky"]), ..join("a") });
    bench.join(Join { protocols: names(&["sticky", "range"]), ..join("b") });
    bench.join(Join { protocols: names(&["sticky", "range"]), ..join("c") });
    bench.pass(DELAY * 3);

    assert_eq!(bench.joined(first).protocol.as_deref(), Some("sticky"));
}

#[test]
fn a_newcomer_makes_the_others_join_again() {
    let mut bench = bench();
    let a = bench.stable();

    let (b, joined_b) = bench.join_with_id("b");
    assert_eq!(bench.heartbeat(&a, 1), ErrorCode::REBALANCE_IN_PROGRESS);
    assert!(!bench.is_answered(joined_b));
    let joined_a = bench.join(again("a", &a));

    assert_eq!((bench.joined(joined_a).generation, bench.joined(joined_b).generation), (2, 2));
    assert_eq!((bench.joined(joined_a).leader, bench.joined(joined_b).leader), (a.clone(), a));
    assert_eq!(bench.joined(joined_b).member_id, b);
}

#[test]
fn a_member_that_does_not_join_again_in_time_is_out() {
    let mut bench = bench();
    let a = bench.stable();

    let (b, joined_b) = bench.join_with_id("b");
    for _ in 0..4 {
        bench.pass(SESSION * 3 / 4);
        assert_ne!(bench.heartbeat(&a, 1), ErrorCode::NONE);
    }

    assert_eq!((bench.joined(joined_b).error, bench.joined(joined_b).leader), (ErrorCode::NONE, b));
    assert_eq!(bench.heartbeat(&a, 1), ErrorCode::UNKNOWN_MEMBER_ID);
}

#[test]
fn a_follower_that_lost_its_answer_is_told_the_generation_again() {
    let mut bench = bench();
    let (_, _) = bench.join_with_id("a");
    let (b, _) = bench.join_with_id("b");
    bench.pass(DELAY * 2);

    let ticket = bench.join(again("b", &b));

    assert_eq!((bench.joined(ticket).error, bench.joined(ticket).generation), (ErrorCode::NONE, 1));
}

#[test]
fn a_leader_that_joins_again_starts_a_rebalance() {
    let mut bench = bench();
    let a = bench.stable();

    let ticket = bench.join(again("a", &a));

    assert_eq!(bench.joined(ticket).generation, 2);
}

#[test]
fn a_group_that_is_full_takes_nobody_else() {
    let mut bench = bench_with(GroupSettings {
        members_max: 1,
        initial_rebalance_delay: DELAY,
        ..GroupSettings::default()
    });
    bench.stable();

    let ticket = bench.join(join("b"));

    assert_eq!(bench.joined(ticket).error, ErrorCode::GROUP_MAX_SIZE_REACHED);
}

#[test]
fn one_group_too_many_is_refused() {
    let mut bench = bench_with(GroupSettings { groups_max: 0, ..GroupSettings::default() });

    let ticket = bench.join(join("a"));

    assert_eq!(bench.joined(ticket).error, ErrorCode::POLICY_VIOLATION);
}

#[test]
fn a_static_member_comes_back_without_a_rebalance_and_fences_its_former_self() {
    let mut bench = bench();
    let first = bench.join(static_join("i", "", "1"));
    bench.pass(DELAY);
    let old = bench.joined(first).member_id;
    let ticket = bench
        .ask(&Request::Sync(Sync { member: identity(&old, Some("i")), ..sync(&old, 1, &[(&old, "all")]) }));
    assert_eq!(bench.synced(ticket).error, ErrorCode::NONE);

    let back = bench.join(static_join("i", "", "2"));

    let reply = bench.joined(back);
    assert_eq!((reply.error, reply.generation, reply.member_id.as_str()), (ErrorCode::NONE, 1, "i-2"));
    assert!(reply.skip_assignment && reply.leader == "i-2" && reply.members.len() == 1);
    assert_eq!(bench.heartbeat_of(identity(&old, Some("i")), 1), ErrorCode::FENCED_INSTANCE_ID);
    assert_eq!(bench.heartbeat_of(identity("i-2", Some("i")), 1), ErrorCode::NONE);
    let ticket =
        bench.ask(&Request::Sync(Sync { member: identity("i-2", Some("i")), ..sync("i-2", 1, &[]) }));
    assert_eq!(bench.synced(ticket).assignment, "all");
}

#[test]
fn an_old_client_that_comes_back_as_static_leader_is_not_told_that_it_leads() {
    let mut bench = bench();
    let first = bench.join(static_join("i", "", "1"));
    bench.pass(DELAY);
    let old = bench.joined(first).member_id;
    bench.ask(&Request::Sync(Sync { member: identity(&old, Some("i")), ..sync(&old, 1, &[(&old, "all")]) }));

    let back = bench.join(Join { may_skip_assignment: false, ..static_join("i", "", "2") });

    let reply = bench.joined(back);
    assert_eq!((reply.leader, reply.skip_assignment, reply.members.len()), (old, false, 0));
}

#[test]
fn a_former_static_self_that_waits_is_fenced() {
    let mut bench = bench();
    let first = bench.join(static_join("i", "", "1"));

    let second = bench.join(static_join("i", "", "2"));
    bench.pass(DELAY * 2);

    assert_eq!(bench.joined(first).error, ErrorCode::FENCED_INSTANCE_ID);
    assert_eq!((bench.joined(second).error, bench.joined(second).members.len()), (ErrorCode::NONE, 1));
}

#[test]
fn a_join_that_is_sent_twice_answers_both() {
    let mut bench = bench();
    let (id, first) = bench.join_with_id("a");

    let second = bench.join(again("a", &id));
    bench.pass(DELAY);

    assert_eq!(bench.joined(first).error, ErrorCode::REBALANCE_IN_PROGRESS);
    assert_eq!(bench.joined(second).error, ErrorCode::NONE);
}
