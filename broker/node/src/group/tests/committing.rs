//! Who may move positions, and how positions end.

use leeward_model::{ProducerEpoch, ProducerId, ProducerIdentity};

use super::*;
use crate::group::{DeleteOffsets, FetchedOffset};

const RETENTION: Duration = Duration::from_hours(7 * 24);

fn outcome(bench: &mut Bench, request: Commit) -> ErrorCode {
    bench.commit(request)[0].1
}

fn committed(bench: &Bench) -> Option<i64> {
    match bench.coordinator.offsets().fetch(&group(), &partition("t", 0), true) {
        FetchedOffset::Committed(position) => Some(position.offset),
        FetchedOffset::Absent | FetchedOffset::Unstable => None,
    }
}

#[test]
fn a_member_of_the_generation_commits() {
    let mut bench = bench();
    let id = bench.stable();

    let request = commit(&bench, &id, 1, 5);

    assert_eq!(outcome(&mut bench, request), ErrorCode::NONE);
    assert_eq!(committed(&bench), Some(5));
}

#[test]
fn a_position_is_not_seen_before_it_is_durable() {
    let mut bench = bench();
    bench.holds = true;
    let request = commit(&bench, "", -1, 5);

    let ticket = bench.ask(&Request::Commit(request));
    assert!(!bench.is_answered(ticket) && committed(&bench).is_none());
    bench.settle();

    assert_eq!(committed(&bench), Some(5));
}

#[test]
fn a_simple_consumer_commits_only_while_the_group_has_no_members() {
    let mut bench = bench();
    let before = commit(&bench, "", -1, 5);
    assert_eq!(outcome(&mut bench, before), ErrorCode::NONE);

    bench.stable();
    let during = commit(&bench, "", -1, 6);

    assert_eq!(outcome(&mut bench, during), ErrorCode::UNKNOWN_MEMBER_ID);
    assert_eq!(committed(&bench), Some(5));
}

#[test]
fn a_commit_of_a_former_generation_is_refused() {
    let mut bench = bench();
    let id = bench.stable();

    let request = commit(&bench, &id, 0, 5);

    assert_eq!(outcome(&mut bench, request), ErrorCode::ILLEGAL_GENERATION);
}

#[test]
fn a_commit_with_a_generation_needs_its_group() {
    let mut bench = bench();
    let request = commit(&bench, "a-1", 3, 5);

    assert_eq!(outcome(&mut bench, request), ErrorCode::ILLEGAL_GENERATION);
}

#[test]
fn members_may_commit_while_the_next_generation_is_prepared_but_not_while_it_is_assigned() {
    let mut bench = bench();
    let a = bench.stable();
    bench.join_with_id("b");

    let preparing = commit(&bench, &a, 1, 5);
    assert_eq!(outcome(&mut bench, preparing), ErrorCode::NONE);
    bench.join(again("a", &a));
    let completing = commit(&bench, &a, 2, 6);

    assert_eq!(outcome(&mut bench, completing), ErrorCode::REBALANCE_IN_PROGRESS);
}

#[test]
fn metadata_that_is_too_long_is_refused() {
    let mut bench = bench();
    let mut request = commit(&bench, "", -1, 5);
    request.offsets[0].1.metadata = "x".repeat(4097);

    assert_eq!(outcome(&mut bench, request), ErrorCode::OFFSET_METADATA_TOO_LARGE);
}

#[test]
fn a_transactional_position_counts_from_the_end_of_its_transaction() {
    let mut bench = bench();
    let id = ProducerId::from_wire(7).expect("not negative");
    let producer = Some(ProducerIdentity { id, epoch: ProducerEpoch::FIRST });
    let request = Commit { producer, ..commit(&bench, "", -1, 5) };

    assert_eq!(outcome(&mut bench, request), ErrorCode::NONE);
    let open = bench.coordinator.offsets().fetch(&group(), &partition("t", 0), true);
    assert_eq!(open, FetchedOffset::Unstable);
    bench.coordinator.transaction_ended(id, true, bench.now);

    assert_eq!(committed(&bench), Some(5));
}

#[test]
fn an_aborted_transaction_moves_nothing() {
    let mut bench = bench();
    let id = ProducerId::from_wire(7).expect("not negative");
    let producer = Some(ProducerIdentity { id, epoch: ProducerEpoch::FIRST });
    let request = Commit { producer, ..commit(&bench, "", -1, 5) };
    bench.commit(request);

    bench.coordinator.transaction_ended(id, false, bench.now);

    let found = bench.coordinator.offsets().fetch(&group(), &partition("t", 0), true);
    assert_eq!(found, FetchedOffset::Absent);
}

#[test]
fn a_position_of_a_simple_consumer_expires_by_its_age_and_its_group_with_it() {
    let mut bench = bench();
    let request = commit(&bench, "", -1, 5);
    bench.commit(request);

    bench.pass(RETENTION / 2);
    assert_eq!(committed(&bench), Some(5));
    bench.pass(RETENTION);
    bench.pass(RETENTION);

    assert_eq!((committed(&bench), bench.state()), (None, "none"));
    let last = bench.log.last().and_then(|append| append.records.first()).cloned();
    assert_eq!(last, Some(GroupRecord::Offset { group: group(), partition: partition("t", 0), value: None }));
}

#[test]
fn positions_of_a_group_with_members_do_not_expire() {
    let mut bench = bench();
    let id = bench.stable();
    let request = commit(&bench, &id, 1, 5);
    bench.commit(request);
    bench.now.instant = bench.now.instant.after(SESSION / 2);
    bench.now.wall = WallTime::from_millis(bench.now.wall.as_millis() + 100 * 24 * 3_600_000);

    let commands = bench.coordinator.tick(bench.now);
    bench.obey(commands);

    assert_eq!(committed(&bench), Some(5));
}

#[test]
fn positions_of_a_deleted_topic_are_forgotten() {
    let mut bench = bench();
    let request = commit(&bench, "", -1, 5);
    bench.commit(request);

    let commands = bench.coordinator.forget_topic(&partition("t", 0).topic);
    bench.obey(commands);

    assert_eq!(committed(&bench), None);
}

#[test]
fn positions_of_an_empty_group_are_deleted_one_by_one() {
    let mut bench = bench();
    let request = commit(&bench, "", -1, 5);
    bench.commit(request);

    let delete = DeleteOffsets { group: group(), partitions: vec![partition("t", 0)] };
    let ticket = bench.ask(&Request::DeleteOffsets(delete));

    assert!(bench.is_answered(ticket));
    assert_eq!(committed(&bench), None);
}

#[test]
fn positions_that_the_group_may_still_need_are_not_deleted() {
    let mut bench = bench();
    let id = bench.stable();
    let request = commit(&bench, &id, 1, 5);
    bench.commit(request);

    let delete = DeleteOffsets { group: group(), partitions: vec![partition("t", 0)] };
    let ticket = bench.ask(&Request::DeleteOffsets(delete));

    let Some(Response::DeleteOffsets(reply)) = bench.answers.get(&ticket) else { panic!("answered") };
    assert_eq!(reply.partitions[0].1, ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC);
    assert_eq!(committed(&bench), Some(5));
}
