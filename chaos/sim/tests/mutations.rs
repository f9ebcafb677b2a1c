//! Wrong turns, planted in the cores one at a time: the simulation finds each within a fixed number of seeds, and the
//! same seeds find nothing without it. `docs/simulation.md` has the table.

use std::ops::RangeInclusive;

use leeward_model::mutation::plant;
use leeward_sim::{Lie, WorldKind, lie, run};

/// Runs seeds until one breaks; gives the seed and the invariant that broke.
fn first_failure(world: WorldKind, mut seeds: RangeInclusive<u64>) -> Option<(u64, &'static str)> {
    seeds.find_map(|seed| run(world, seed).err().map(|failure| (seed, failure.violation.invariant)))
}

fn caught(name: &'static str, world: WorldKind, seeds: u64, invariants: &[&str]) {
    caught_among(name, world, 1..=seeds, invariants);
}

fn caught_among(name: &'static str, world: WorldKind, seeds: RangeInclusive<u64>, invariants: &[&str]) {
    plant(Some(name));
    let found = first_failure(world, seeds);
    plant(None);

    check(found, world, invariants);
}

fn caught_lying(disk: Lie, seeds: u64, invariants: &[&str]) {
    lie(Some(disk));
    let found = first_failure(WorldKind::Log, 1..=seeds);
    lie(None);

    check(found, WorldKind::Log, invariants);
}

fn check(found: Option<(u64, &'static str)>, world: WorldKind, invariants: &[&str]) {
    let Some((seed, invariant)) = found else { panic!("nothing breaks within these seeds") };
    println!("caught at seed {seed} by: {invariant}");
    assert!(invariants.contains(&invariant), "caught at seed {seed} by: {invariant}");
    assert!(run(world, seed).is_ok(), "seed {seed} breaks without the mutation too");
}

const GETS_ON: &str = "once nothing goes wrong, the mirror gets to the end";
const ONCE_IN_ORDER: &str = "the target's log is the source's, once and in order";
const TRANSLATES: &str = "a position translates there and back";
const ACKNOWLEDGED: &str = "the target has everything below the replicated watermark";
const STORED_MAP: &str = "the stored map tells the truth below the checkpoint";
const LEFT_OUT: &str = "only what the source deleted is left out";

#[test]
fn a_mirror_that_sends_before_its_map_is_durable_is_caught() {
    caught(
        "mirror-sends-before-the-map-is-durable",
        WorldKind::Mirror,
        200,
        &[TRANSLATES, STORED_MAP, ONCE_IN_ORDER, GETS_ON],
    );
}

#[test]
fn a_mirror_that_checkpoints_what_was_only_sent_is_caught() {
    caught(
        "mirror-checkpoints-what-was-only-sent",
        WorldKind::Mirror,
        200,
        &["the checkpoint is not ahead of the target"],
    );
}

#[test]
fn a_mirror_that_takes_a_refusal_for_an_answer_is_caught() {
    caught("mirror-takes-a-refusal-for-an-answer", WorldKind::Mirror, 200, &[ACKNOWLEDGED, LEFT_OUT]);
}

#[test]
fn a_mirror_that_counts_foreign_records_as_its_own_is_caught() {
    caught(
        "mirror-counts-foreign-records-as-its-own",
        WorldKind::Mirror,
        200,
        &[TRANSLATES, LEFT_OUT, ACKNOWLEDGED],
    );
}

#[test]
fn a_mirror_that_starts_with_an_older_map_is_caught() {
    caught(
        "mirror-starts-with-an-older-map",
        WorldKind::Mirror,
        200,
        &[TRANSLATES, STORED_MAP, ONCE_IN_ORDER, GETS_ON],
    );
}

#[test]
fn a_failover_that_does_not_wait_for_the_gateways_is_caught() {
    caught(
        "failover-does-not-wait-for-the-gateways",
        WorldKind::Failover,
        60,
        &["no gateway forwards to a region that was replaced"],
    );
}

#[test]
fn a_planned_move_that_drains_as_far_as_it_came_is_caught() {
    caught(
        "failover-drains-a-planned-move-as-far-as-it-came",
        WorldKind::Failover,
        60,
        &["a planned switchover loses nothing"],
    );
}

#[test]
fn a_failback_that_keeps_no_tail_is_caught() {
    caught("failover-keeps-no-tail", WorldKind::Failover, 60, &[TAIL_KEPT]);
}

#[test]
fn a_statement_that_tells_less_than_was_lost_is_caught() {
    caught(
        "failover-tells-less-than-was-lost",
        WorldKind::Failover,
        60,
        &["the loss statement tells the truth"],
    );
}

const TAIL_KEPT: &str = "no topic is made anew before its tail is kept";
const LEASE_STOPS: &str = "a region whose lease is over takes no write";

#[test]
fn a_failover_that_takes_a_lease_for_over_at_once_is_caught() {
    caught("failover-takes-a-lease-for-over-at-once", WorldKind::Failover, 60, &[LEASE_STOPS]);
}

#[test]
fn an_agent_that_stays_open_when_its_lease_runs_out_is_caught() {
    caught("agent-stays-open-when-its-lease-runs-out", WorldKind::Failover, 60, &[LEASE_STOPS]);
}

#[test]
fn a_failover_that_opens_a_region_before_its_agent_knows_is_caught() {
    caught(
        "failover-opens-a-region-before-its-agent-knows",
        WorldKind::Failover,
        60,
        &["no region takes writes before its agent keeps to a lease"],
    );
}

#[test]
fn a_failover_that_believes_a_seal_that_may_be_lifted_is_caught() {
    caught(
        "failover-believes-a-seal-that-may-be-lifted",
        WorldKind::Failover,
        60,
        &[TAIL_KEPT, "a fenced region takes no write", "a planned switchover loses nothing"],
    );
}

const HOLDS_ONCE: &str = "each region's log holds the accepted records once and in order";

#[test]
fn a_buffer_that_forgets_what_one_region_has_is_caught() {
    caught(
        "buffer-forgets-what-one-region-has",
        WorldKind::Buffer,
        500,
        &["no record is forgotten before the other region has it"],
    );
}

#[test]
fn a_buffer_that_sends_many_after_a_doubt_is_caught() {
    caught("buffer-sends-many-after-a-doubt", WorldKind::Buffer, 500, &[HOLDS_ONCE]);
}

#[test]
fn a_buffer_that_replays_without_looking_is_caught() {
    caught("buffer-replays-without-looking", WorldKind::Buffer, 500, &[HOLDS_ONCE]);
}

#[test]
fn a_buffer_that_forgets_a_doubt_is_caught() {
    caught("buffer-forgets-a-doubt", WorldKind::Buffer, 500, &[HOLDS_ONCE]);
}

#[test]
fn a_buffer_that_forgets_what_it_found_behind_missed_moves_is_caught() {
    caught(
        "buffer-forgets-what-it-found",
        WorldKind::Buffer,
        500,
        &["every accepted record is in the acting region or in the buffer"],
    );
}

#[test]
fn a_buffer_that_begins_anew_in_its_own_log_is_caught() {
    caught("buffer-begins-anew-in-its-own-log", WorldKind::Buffer, 500, &[HOLDS_ONCE]);
}

const BOTH_HAVE_IT: &str = "no record is forgotten before both regions have it";
const BOTH_GET_IT: &str = "once nothing goes wrong, both regions get every record";

#[test]
fn on_the_whole_way_a_buffer_that_forgets_what_one_region_has_is_caught() {
    caught("buffer-forgets-what-one-region-has", WorldKind::Joined, 20, &[BOTH_HAVE_IT]);
}

#[test]
fn on_the_whole_way_a_buffer_that_replays_without_looking_is_caught() {
    caught("buffer-replays-without-looking", WorldKind::Joined, 20, &[HOLDS_ONCE]);
}

#[test]
fn on_the_whole_way_a_mirror_that_takes_a_refusal_for_an_answer_is_caught() {
    let replicated = "the other region has everything below the replicated watermark";
    caught(
        "mirror-takes-a-refusal-for-an-answer",
        WorldKind::Joined,
        20,
        &[replicated, HOLDS_ONCE, BOTH_HAVE_IT],
    );
}

#[test]
fn a_link_that_is_sealed_before_its_end_is_durable_is_caught() {
    caught_among(
        "mirror-is-sealed-before-its-end-is-durable",
        WorldKind::Joined,
        2_530..=2_532,
        &[HOLDS_ONCE],
    );
}

#[test]
fn a_link_that_stops_while_it_catches_up_is_caught() {
    caught_among(
        "failover-lets-a-link-stop-while-it-catches-up",
        WorldKind::Joined,
        195..=197,
        &[BOTH_GET_IT],
    );
}

const KEPT: &str = "what was synced is there after a crash";
const GOES_ON: &str = "offsets go on where they ended";
const UNDAMAGED: &str = "a crash damages nothing that was synced";

#[test]
fn a_log_that_syncs_no_data_is_caught() {
    caught_lying(Lie::SyncsNothing, 100, &[KEPT, UNDAMAGED]);
}

#[test]
fn a_log_that_syncs_no_names_is_caught() {
    caught_lying(Lie::SyncsNoNames, 100, &[KEPT, UNDAMAGED, GOES_ON]);
}
