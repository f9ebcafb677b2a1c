//! Fixed seeds of every world: the quick version of what `cargo run -p leeward-sim` does at length.

use leeward_sim::{WorldKind, run};

fn passes(world: WorldKind, seed: u64) {
    if let Err(failure) = run(world, seed) {
        panic!("{failure}");
    }
}

fn nothing_breaks(world: WorldKind, seeds: u64) {
    for seed in 1..=seeds {
        passes(world, seed);
    }
}

#[test]
fn mirrors_that_crash_and_rival_copy_exactly_once() {
    nothing_breaks(WorldKind::Mirror, 200);
}

#[test]
fn a_failover_at_any_moment_leaves_one_region_that_serves() {
    nothing_breaks(WorldKind::Failover, 20);
}

#[test]
fn a_buffer_delivers_once_and_in_order_whoever_acts() {
    nothing_breaks(WorldKind::Buffer, 500);
}

#[test]
fn a_record_comes_through_buffer_mirror_and_failover_once_and_in_order() {
    nothing_breaks(WorldKind::Joined, 20);
}

#[test]
fn a_log_keeps_what_was_synced_whatever_the_disk_does() {
    nothing_breaks(WorldKind::Log, 100);
}

#[test]
fn a_batch_that_arrives_behind_retention_and_a_crash_is_not_taken_for_another() {
    passes(WorldKind::Mirror, 1_414);
}

#[test]
fn a_checkpoint_that_the_target_fell_behind_vouches_for_nothing_written_later() {
    passes(WorldKind::Mirror, 33_082);
}

#[test]
fn a_lineage_that_reaches_the_disk_behind_a_newer_one_is_not_taken_up() {
    passes(WorldKind::Buffer, 111_257);
}

#[test]
fn a_seal_of_an_aborted_move_is_not_taken_for_the_end_of_the_next() {
    passes(WorldKind::Joined, 13_461);
}
