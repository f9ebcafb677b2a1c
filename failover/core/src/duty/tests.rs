//! What an agent does with what it is told, and with what the one before it was told.

use super::*;

const LEASE: Duration = Duration::from_secs(10);
const MOMENT: Duration = Duration::from_millis(1);
const KEEPING: Keeping = Keeping { lease: LEASE, seals_itself: true };
const START: Instant = Instant::ZERO;
const SERVES: Role = Role { serves: true, seal: false };
const STANDS_BY: Role = Role { serves: false, seal: false };
const SEAL: Role = Role { serves: false, seal: true };

fn after(role: Role, left: Duration, sealing: Sealing) -> Duty {
    Duty::new(KEEPING, Before { role, left, sealing }, START)
}

fn new() -> Duty {
    after(Role::default(), Duration::ZERO, Sealing::Open)
}

fn told(role: Role, lease: Option<Duration>) -> Instruction {
    Instruction { epoch: FencingEpoch::FIRST, role, lease }
}

fn of_next_epoch(role: Role) -> Instruction {
    Instruction { epoch: FencingEpoch::FIRST.next(), ..told(role, None) }
}

fn at(after: Duration) -> Instant {
    START.after(after)
}

/// An agent that sealed its region when its lease ran out.
fn ran_out() -> (Duty, Instant) {
    let mut duty = new();
    duty.take(&told(SERVES, Some(LEASE)), START);
    assert_eq!(duty.next(at(LEASE)), Some(Act::Seal));
    duty.sealed(true);
    (duty, at(LEASE))
}

#[test]
fn a_new_agent_that_hears_nobody_never_seals() {
    assert_eq!(new().next(at(LEASE * 100)), None);
}

#[test]
fn a_new_agent_told_that_it_serves_has_the_lease_that_it_is_told() {
    let mut duty = new();
    let told_at = at(LEASE * 3);

    duty.take(&told(SERVES, Some(LEASE)), told_at);

    assert_eq!(duty.next(told_at.after(LEASE.saturating_sub(MOMENT))), None);
    assert_eq!(duty.next(told_at.after(LEASE)), Some(Act::Seal));
}

#[test]
fn an_agent_takes_no_lease_that_the_controller_does_not_count() {
    let mut duty = new();

    duty.take(&told(SERVES, None), START);

    assert_eq!(duty.next(START), Some(Act::Seal));
}

#[test]
fn an_agent_that_served_before_keeps_to_what_is_left_of_the_lease() {
    let left = LEASE / 10;
    let mut duty = after(SERVES, left, Sealing::Open);

    assert_eq!(duty.next(at(left.saturating_sub(MOMENT))), None);
    assert_eq!(duty.next(at(left)), Some(Act::Seal));
}

#[test]
fn an_agent_whose_lease_was_over_when_it_started_asks_first() {
    let mut duty = after(SERVES, Duration::ZERO, Sealing::Open);

    assert_eq!(duty.next(at(FIRST_WORD_WAIT.saturating_sub(MOMENT))), None);
    assert_eq!(duty.next(at(FIRST_WORD_WAIT)), Some(Act::Seal));
}

#[test]
fn an_agent_that_is_started_again_seals_what_was_to_be_sealed() {
    let mut duty = after(SEAL, Duration::ZERO, Sealing::Open);

    assert_eq!(duty.next(at(FIRST_WORD_WAIT)), Some(Act::Seal));
}

#[test]
fn an_order_to_seal_binds_an_agent_that_does_not_seal_by_itself() {
    let keeping = Keeping { seals_itself: false, ..KEEPING };
    let before = Before { role: SEAL, left: Duration::ZERO, sealing: Sealing::Open };
    let mut duty = Duty::new(keeping, before, START);

    assert_eq!(duty.next(at(FIRST_WORD_WAIT)), Some(Act::Seal));
}

#[test]
fn a_note_never_gives_more_than_one_lease() {
    let mut duty = after(SERVES, LEASE * 9, Sealing::Open);

    assert_eq!(duty.next(at(LEASE)), Some(Act::Seal));
}

#[test]
fn a_word_without_a_lease_does_not_prolong_the_one_that_runs() {
    let mut duty = after(SERVES, LEASE, Sealing::Open);

    duty.take(&told(SERVES, None), at(LEASE / 2));

    assert_eq!(duty.next(at(LEASE)), Some(Act::Seal));
}

#[test]
fn a_returning_old_primary_is_sealed_by_the_first_word() {
    let mut duty = after(SERVES, LEASE, Sealing::Open);

    duty.take(&told(SEAL, None), START);

    assert_eq!(duty.next(START), Some(Act::Seal));
}

#[test]
fn a_lease_that_ran_out_seals_and_a_new_one_opens_while_it_lives() {
    let (mut duty, now) = ran_out();

    duty.take(&told(SERVES, Some(LEASE)), now);

    assert_eq!(duty.next(now), Some(Act::Open { until: now.after(LEASE) }));
}

#[test]
fn a_word_of_an_older_epoch_opens_nothing() {
    let (mut duty, now) = ran_out();
    duty.take(&of_next_epoch(SEAL), now);

    duty.take(&told(SERVES, Some(LEASE)), now);

    assert_eq!(duty.next(now), None);
}

#[test]
fn an_agent_that_is_opening_its_region_does_not_say_that_it_keeps_a_seal() {
    let (mut duty, now) = ran_out();
    duty.take(&told(SERVES, Some(LEASE)), now);
    duty.next(now);
    duty.take(&of_next_epoch(SEAL), now);
    let kept = |duty: &Duty| duty.taken().map(|taken| (taken.epoch, taken.role.seal));
    let while_opening = kept(&duty);

    duty.opened(true);

    let epoch = FencingEpoch::FIRST.next();
    assert_eq!((while_opening, kept(&duty)), (Some((epoch, false)), Some((epoch, true))));
}

#[test]
fn a_region_that_was_being_opened_when_it_was_to_be_sealed_is_sealed_anew() {
    let (mut duty, now) = ran_out();
    duty.take(&told(SERVES, Some(LEASE)), now);
    duty.next(now);
    duty.take(&of_next_epoch(SEAL), now);

    duty.opened(false);

    assert_eq!(duty.next(now), Some(Act::Seal));
}

#[test]
fn a_standby_is_opened_only_within_one_lease_of_having_asked() {
    let standby = || {
        let mut duty = after(SEAL, Duration::ZERO, Sealing::Complete);
        duty.take(&told(STANDS_BY, None), START);
        duty
    };

    assert_eq!(standby().next(START), Some(Act::Open { until: at(LEASE) }));
    assert_eq!(standby().next(at(LEASE)), None);
}

#[test]
fn an_agent_that_hears_nobody_looks_whether_its_seal_is_there() {
    let (mut duty, now) = ran_out();

    assert_eq!(duty.next(now), Some(Act::Look));
}

#[test]
fn a_region_that_takes_over_again_is_not_measured_by_its_old_lease() {
    let mut duty = new();
    duty.take(&told(SERVES, Some(LEASE)), START);
    duty.take(&told(STANDS_BY, None), START);
    let later = at(LEASE * 2);

    duty.take(&told(SERVES, Some(LEASE)), later);

    assert_eq!(duty.next(later), None);
}

#[test]
fn nothing_is_opened_before_the_first_word() {
    assert_eq!(after(SERVES, LEASE, Sealing::Begun).next(START), None);
}
