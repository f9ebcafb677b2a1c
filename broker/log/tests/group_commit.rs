//! One thread that owns a journal, and many who share its syncs.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use bytes::Bytes;
use leeward_log::limits::FRAME_BYTES_MAX;
use leeward_log::{
    AppendError, GroupCommit, GroupWait, Journal, JournalConfig, Position, RealDisk, SimulatedDisk,
};

/// A frame's header on disk.
const OVERHEAD: u64 = 28;

/// A journal on a disk of its own.
fn journal() -> Journal {
    let disk = Arc::new(SimulatedDisk::new(1));
    Journal::open(disk, Path::new("/data/journal"), JournalConfig::default()).unwrap().0
}

#[test]
fn many_callers_share_one_journal_and_each_learns_its_position() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(Arc::new(RealDisk), folder.path(), JournalConfig::default()).unwrap();
    let shared = GroupCommit::start(journal).unwrap();
    let (done, committed) = channel();

    for n in 0..500u32 {
        let done = done.clone();
        let payload = Bytes::copy_from_slice(&n.to_be_bytes());
        shared.submit(1, vec![payload], move |result| done.send((n, result.unwrap())).unwrap()).unwrap();
    }
    let positions: Vec<_> = committed.iter().take(500).collect();

    for (n, position) in positions {
        assert_eq!(position.get(), u64::from(n) * (OVERHEAD + 4));
        let frame = &shared.reader().read(position, 1).unwrap()[0];
        assert_eq!(frame.payload[..], n.to_be_bytes());
    }
    assert_eq!(shared.close().end().get(), 500 * (OVERHEAD + 4));
}

/// What became durable with each of three frames: the journal's end when its caller was told.
fn ends_told(wait: GroupWait) -> Vec<u64> {
    let journal = journal();
    let reader = journal.reader();
    let shared = GroupCommit::start_waiting(journal, wait).unwrap();
    let (done, told) = channel();
    for _ in 0..3 {
        let (done, reader) = (done.clone(), reader.clone());
        let tell = move |stored: Result<Position, AppendError>| {
            stored.unwrap();
            done.send(reader.end().get()).unwrap();
        };
        shared.submit(1, vec![Bytes::from_static(b"four")], tell).unwrap();
    }
    told.iter().take(3).collect()
}

#[test]
fn a_group_waits_until_its_bytes_are_there() {
    let frame = OVERHEAD + 4;
    let or_bytes = usize::try_from(3 * frame).unwrap();

    let ends = ends_told(GroupWait { at_most: Duration::from_secs(3600), or_bytes });

    assert_eq!(ends, [3 * frame; 3]);
}

#[test]
fn a_group_waits_no_longer_than_its_time() {
    let at_most = Duration::from_millis(50);
    let began = Instant::now();

    let ends = ends_told(GroupWait { at_most, or_bytes: usize::MAX });

    assert!(began.elapsed() >= at_most);
    assert_eq!(ends.last(), Some(&(3 * (OVERHEAD + 4))));
}

#[test]
fn completions_come_in_the_order_of_the_appends_also_where_one_was_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(Arc::new(RealDisk), folder.path(), JournalConfig::default()).unwrap();
    let wait = GroupWait { at_most: Duration::from_secs(5), or_bytes: 90 * (OVERHEAD as usize + 5) };
    let shared = GroupCommit::start_waiting(journal, wait).unwrap();
    let (done, committed) = channel();
    let too_large = Bytes::from(vec![0; FRAME_BYTES_MAX + 1]);

    for n in 0..100 {
        let done = done.clone();
        let payload = if n % 10 == 5 { too_large.clone() } else { Bytes::from_static(b"small") };
        shared.submit(1, vec![payload], move |result| done.send((n, result.is_ok())).unwrap()).unwrap();
    }

    let told: Vec<_> = committed.iter().take(100).collect();
    assert_eq!(told, (0..100).map(|n| (n, n % 10 != 5)).collect::<Vec<_>>());
}

#[test]
fn a_completion_may_be_the_last_owner() {
    let journal = journal();
    let shared = Arc::new(GroupCommit::start(journal).unwrap());
    let (let_go, alone) = channel::<()>();
    let (done, told) = channel();
    let owner = shared.clone();
    let complete = move |_| {
        let _ = alone.recv();
        drop(owner);
        done.send(()).unwrap();
    };
    shared.submit(1, vec![Bytes::from_static(b"last")], complete).unwrap();

    drop(shared);
    drop(let_go);

    told.recv().unwrap();
}
