//! The journal in a folder, on a disk that loses what was not synced, and with damage in its file.

use std::{
    io,
    sync::atomic::{AtomicBool, Ordering},
};

use leeward_log::{Disk, DiskFault, DiskFile, SimulatedDisk, write_all_at};
use leeward_model::WallTime;
use redb::StorageBackend;

use super::{medium::builder, *};

fn paused(at: i64) -> Entry {
    Entry::Paused { by: "ada".into(), at: WallTime::from_millis(at) }
}

#[tokio::test]
async fn entries_survive_the_process_in_their_order() {
    let folder = tempfile::tempdir().expect("a folder");
    {
        let log = RedbLog::open(folder.path()).expect("opened");
        log.append(&[paused(1), paused(2)]).await.expect("durable");
        log.append(&[paused(3)]).await.expect("durable");
    }

    let read = RedbLog::open(folder.path()).expect("opened").read().await.expect("read");

    assert_eq!(read, [paused(1), paused(2), paused(3)]);
}

#[test]
fn the_first_note_of_a_seal_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = RedbLog::open(folder.path()).expect("opened");
    let region = RegionName::new("a").expect("legal");
    let topic = TopicName::new("orders").expect("legal");

    log.note_sealed(&region, &[(topic.clone(), Some(7))]).expect("noted");
    log.note_sealed(&region, &[(topic.clone(), Some(0))]).expect("noted");

    assert_eq!(log.sealed(&region).expect("read"), [(topic, Some(7))]);
}

#[test]
fn a_regions_role_is_what_was_noted_last() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = RedbLog::open(folder.path()).expect("opened");
    let region = RegionName::new("a").expect("legal");
    let roles = [
        Role { serves: true, seal: false },
        Role { serves: false, seal: true },
        Role { serves: false, seal: false },
    ];

    for role in roles {
        log.note_role(&region, role).expect("noted");

        assert_eq!(log.role(&region).expect("read"), role);
    }
}

#[test]
fn one_journal_is_open_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let _first = RedbLog::open(folder.path()).expect("opened");

    assert!(RedbLog::open(folder.path()).is_err());
}

/// A journal's file on a simulated disk.
#[derive(Debug)]
struct Simulated {
    disk: SimulatedDisk,
    /// Nothing can be written before the file was begun: a real one is begun under another name.
    begun: AtomicBool,
}

#[derive(Debug)]
struct Backend(Arc<dyn DiskFile>);

impl StorageBackend for Backend {
    fn len(&self) -> Result<u64, io::Error> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let filled = leeward_log::read_up_to(&*self.0, offset, out)?;
        if filled == out.len() { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        self.0.truncate(len)
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        write_all_at(&*self.0, offset, data)
    }
}

fn journal_file() -> &'static Path {
    Path::new("/data/decisions.redb")
}

impl Medium for Simulated {
    fn open(&self) -> Result<Database, redb::Error> {
        let folder = journal_file().parent().expect("it is in a folder");
        if !self.begun.swap(true, Ordering::Relaxed) {
            self.disk.create_dir(folder)?;
            let backend = Backend(self.disk.create(journal_file())?);
            drop(builder().create_with_backend(backend)?);
            self.disk.sync_dir(folder)?;
        }
        Ok(builder().create_with_backend(Backend(self.disk.open(journal_file())?))?)
    }
}

fn simulated(seed: u64) -> (SimulatedDisk, Arc<Simulated>) {
    let disk = SimulatedDisk::new(seed);
    (disk.clone(), Arc::new(Simulated { disk, begun: AtomicBool::new(false) }))
}

fn opened(medium: &Arc<Simulated>) -> Result<RedbLog, LogError> {
    RedbLog::on(Arc::clone(medium) as Arc<dyn Medium>, "decisions.redb")
}

fn append(log: &RedbLog, entry: &Entry) -> Result<(), LogError> {
    log.append_now(&[format::encode(entry).expect("written")])
}

#[test]
fn what_was_appended_survives_the_loss_of_unsynced_writes_and_failing_writes() {
    let faults = [DiskFault::ShortWrite, DiskFault::NoSpace, DiskFault::WriteFails, DiskFault::SyncFails];
    for seed in 0..60 {
        let (disk, medium) = simulated(seed);
        let mut acknowledged = Vec::new();
        for life in 0..4_u64 {
            let log = opened(&medium).expect("opened");
            for step in 0..6_u64 {
                if (seed + life + step) % 5 == 2 {
                    disk.inject(faults[((seed + step) % 4) as usize]);
                }
                let entry = paused((life * 100 + step) as i64);
                match append(&log, &entry) {
                    Ok(()) => acknowledged.push(entry),
                    // Nobody was told; whether it counts is what the file says when it is opened again.
                    Err(_) => {
                        if let Ok(read) = log.read_now() {
                            acknowledged = read;
                        }
                    }
                }
            }
            disk.crash();
            drop(log);

            let read = opened(&medium).expect("opened").read_now().expect("read");
            assert!(
                read.len() <= acknowledged.len() + 1 && read.starts_with(&acknowledged),
                "seed {seed}, life {life}: {} of {}",
                read.len(),
                acknowledged.len()
            );
            acknowledged = read;
        }
    }
}

#[test]
fn a_log_goes_on_after_a_full_disk() {
    let (disk, medium) = simulated(1);
    let log = opened(&medium).expect("opened");
    append(&log, &paused(1)).expect("durable");
    for _ in 0..3 {
        disk.inject(DiskFault::NoSpace);
    }
    let refused = append(&log, &paused(2));
    while disk.faults_left() > 0 {
        assert!(append(&log, &paused(2)).is_err());
    }

    append(&log, &paused(3)).expect("there is room again");

    assert!(refused.is_err());
    assert_eq!(log.read_now().expect("read"), [paused(1), paused(3)]);
}

/// A file with entries and notes, closed in order or by a crash.
fn filled(closed: bool) -> (SimulatedDisk, Arc<Simulated>, Vec<Entry>) {
    let (disk, medium) = simulated(3);
    let entries: Vec<Entry> = (0..40).map(paused).collect();
    let log = opened(&medium).expect("opened");
    for entry in &entries {
        append(&log, entry).expect("durable");
    }
    log.note_role(&RegionName::new("a").expect("legal"), Role { serves: true, seal: false }).expect("noted");
    if closed {
        drop(log);
    } else {
        disk.crash();
    }
    (disk, medium, entries)
}

#[test]
fn a_flipped_bit_changes_no_decision_and_loses_none() {
    for closed in [true, false] {
        let (disk, medium, entries) = filled(closed);
        let bytes = disk.bytes(journal_file()).expect("there");
        let used: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
        for at in used.into_iter().step_by(23) {
            disk.flip_bit(journal_file(), at, (at % 8) as u8);

            let read = opened(&medium).and_then(|log| log.read_now());

            if let Ok(read) = read {
                assert_eq!(read, entries, "byte {at}, closed {closed}");
            }
            restore(&disk, &bytes);
        }
    }
}

#[test]
fn a_journal_that_was_cut_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = RedbLog::open(folder.path()).expect("opened");
    append(&log, &paused(1)).expect("durable");
    drop(log);
    let file = folder.path().join("decisions.redb");
    let whole = std::fs::read(&file).expect("there");
    for length in [0, 1, 64, 320, 4096, whole.len() / 2] {
        std::fs::write(&file, &whole[..length]).expect("cut");

        let refused = RedbLog::open(folder.path()).and_then(|log| log.read_now());

        let said = refused.expect_err("it lost a decision").to_string();
        assert!(said.contains("decisions.redb"), "{length}: {said}");
    }
}

fn restore(disk: &SimulatedDisk, bytes: &[u8]) {
    let file = disk.open(journal_file()).expect("there");
    file.truncate(bytes.len() as u64).expect("cut");
    write_all_at(&*file, 0, bytes).expect("written");
    file.sync_data().expect("synced");
}
