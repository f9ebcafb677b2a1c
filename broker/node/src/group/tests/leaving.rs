//! How members and groups go.

use super::*;

fn delete(bench: &mut Bench) -> ErrorCode {
    let ticket = bench.ask(&Request::DeleteGroup(group()));
    match bench.answers.get(&ticket) {
        Some(Response::DeleteGroup(error)) => *error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_last_that_leaves_makes_the_group_empty() {
    let mut bench = bench();
    let a = bench.stable();

    let reply = bench.leave(&[(&a, None)]);

    assert_eq!(reply.members, [(identity(&a, None), ErrorCode::NONE)]);
    assert_eq!(bench.state(), "Empty");
    let Some(GroupRecord::Group { value: Some(stored), .. }) =
        bench.log.last().and_then(|append| append.records.first())
    else {
        panic!("the empty group is stored");
    };
    assert_eq!((stored.generation, stored.members.len()), (2, 0));
}

#[test]
fn each_member_of_a_batch_has_its_own_outcome() {
    let mut bench = bench();
    let a = bench.stable();

    let reply = bench.leave(&[("x", None), (&a, None), ("", Some("i"))]);

    let outcomes: Vec<_> = reply.members.into_iter().map(|(_, error)| error).collect();
    assert_eq!(outcomes, [ErrorCode::UNKNOWN_MEMBER_ID, ErrorCode::NONE, ErrorCode::UNKNOWN_MEMBER_ID]);
}

#[test]
fn an_operator_removes_a_static_member_by_its_name() {
    let mut bench = bench();
    bench.join(static_join("i", "", "1"));
    bench.pass(DELAY);

    let reply = bench.leave(&[("", Some("i"))]);

    assert_eq!(reply.members[0].1, ErrorCode::NONE);
    assert_eq!(bench.state(), "Empty");
}

#[test]
fn leaving_a_group_that_is_not_there_names_each_member() {
    let mut bench = bench();

    let reply = bench.leave(&[("x", None)]);

    assert_eq!((reply.error, reply.members[0].1), (ErrorCode::NONE, ErrorCode::UNKNOWN_MEMBER_ID));
}

#[test]
fn an_id_that_was_never_used_holds_no_rebalance_up_for_long() {
    let mut bench = bench();
    let a = bench.stable();
    bench.join(Join { id_required: true, ..join("b") });

    let joined_a = bench.join(again("a", &a));
    assert!(!bench.is_answered(joined_a));
    bench.pass(SESSION);

    assert_eq!(bench.joined(joined_a).generation, 2);
}

#[test]
fn a_group_with_members_is_not_deleted() {
    let mut bench = bench();
    bench.stable();

    assert_eq!(delete(&mut bench), ErrorCode::NON_EMPTY_GROUP);
}

#[test]
fn an_empty_group_is_deleted_with_its_positions() {
    let mut bench = bench();
    let id = bench.stable();
    let request = commit(&bench, &id, 1, 5);
    bench.commit(request);
    bench.leave(&[(&id, None)]);

    let outcome = delete(&mut bench);

    assert_eq!(outcome, ErrorCode::NONE);
    assert_eq!((bench.state(), bench.coordinator.offsets().len()), ("none", 0));
    assert_eq!(bench.log.last().map(|append| append.records.len()), Some(2));
    assert_eq!(delete(&mut bench), ErrorCode::GROUP_ID_NOT_FOUND);
}

#[test]
fn a_group_whose_deletion_the_log_refuses_is_still_there() {
    let mut bench = bench();
    let id = bench.stable();
    bench.leave(&[(&id, None)]);
    bench.refusal = Some(ErrorCode::NOT_LEADER_OR_FOLLOWER);

    assert_eq!(delete(&mut bench), ErrorCode::NOT_COORDINATOR);
    assert_eq!(bench.state(), "Empty");
}

#[test]
fn shutdown_answers_everybody() {
    let mut bench = bench();
    let (_, joined) = bench.join_with_id("a");
    bench.holds = true;
    let request = Commit { group: GroupName::new("other"), ..commit(&bench, "", -1, 5) };
    let committed = bench.ask(&Request::Commit(request));

    let commands = bench.coordinator.shutdown(ErrorCode::NOT_COORDINATOR, bench.now);

    let answered: Vec<Ticket> = commands
        .iter()
        .filter_map(|command| match command {
            Command::Reply { ticket, .. } => Some(*ticket),
            Command::Persist { .. } => None,
        })
        .collect();
    assert!(answered.contains(&joined) && answered.contains(&committed) && answered.len() == 2);
}
