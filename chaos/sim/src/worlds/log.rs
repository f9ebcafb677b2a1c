//! A journal and a partition's log on a disk that loses what was not synced, tears writes, fails and runs full.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;

use leeward_log::{
    Disk, DiskFault, FlushPolicy, Journal, JournalConfig, PartitionConfig, PartitionLog, Position, ReadError,
    SimulatedDisk,
};
use leeward_wire::record::{BatchBuilder, Compression, RecordBatch};

use crate::mutation::{self, Wrapped};
use crate::random::Random;
use crate::run::{Progress, Violation, World};
use crate::trace;

const KEPT: &str = "what was synced is there after a crash";
const NOT_INVENTED: &str = "recovery invents nothing";
const UNDAMAGED: &str = "a crash damages nothing that was synced";
const OPENS: &str = "a log opens after a crash";
const GOES_ON: &str = "offsets go on where they ended";

const STEPS: u32 = 150;
const JOURNAL: JournalConfig = JournalConfig { segment_bytes: 300, preallocate_bytes: 200 };
const FAULTS: [DiskFault; 4] =
    [DiskFault::ShortWrite, DiskFault::NoSpace, DiskFault::WriteFails, DiskFault::SyncFails];

#[derive(Debug)]
pub(crate) struct LogWorld {
    random: Random,
    disk: SimulatedDisk,
    seen: Arc<dyn Disk>,
    left: u32,
    counter: u64,
    journal: Journal,
    /// Frames that were synced, and those that may be there or not.
    synced: Vec<(Position, Vec<u8>)>,
    staged: Vec<(Position, Vec<u8>)>,
    /// Every frame that was ever handed over.
    handed_over: Vec<(Position, Vec<u8>)>,
    log: PartitionLog,
    flush: FlushPolicy,
    /// Records of batches that were synced, by offset, and of those that were appended since.
    durable: BTreeMap<i64, u64>,
    appended: BTreeMap<i64, u64>,
    given_up_to: i64,
}

fn journal_folder() -> &'static Path {
    Path::new("/data/journal")
}

fn log_folder() -> &'static Path {
    Path::new("/data/orders-0")
}

fn broken(invariant: &'static str, error: &impl Debug) -> Violation {
    Violation { invariant, detail: format!("{error:?}") }
}

fn config(flush: FlushPolicy) -> PartitionConfig {
    PartitionConfig { segment_bytes: 500, flush }
}

fn values(batch: &RecordBatch) -> Vec<u64> {
    let content = batch.decompress(1 << 20).expect("small batches");
    let value = |bytes: &[u8]| u64::from_be_bytes(bytes.try_into().expect("values have eight bytes"));
    content.records().map(|record| value(record.expect("whole").value.expect("a value"))).collect()
}

impl LogWorld {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let disk = SimulatedDisk::new(random.next());
        let seen: Arc<dyn Disk> = match mutation::wrapped() {
            Some(lie) => Arc::new(Wrapped::around(disk.clone(), lie)),
            None => Arc::new(disk.clone()),
        };
        let flush = if random.one_in(2) { FlushPolicy::EveryAppend } else { FlushPolicy::OsDecides };
        let (journal, _) = Journal::open(seen.clone(), journal_folder(), JOURNAL).expect("an empty disk");
        let (log, _) = PartitionLog::open(seen.clone(), log_folder(), config(flush), &mut |_| {})
            .expect("an empty disk");
        Self {
            random,
            disk,
            seen,
            left: STEPS,
            counter: 0,
            journal,
            synced: Vec::new(),
            staged: Vec::new(),
            handed_over: Vec::new(),
            log,
            flush,
            durable: BTreeMap::new(),
            appended: BTreeMap::new(),
            given_up_to: 0,
        }
    }

    fn append_frame(&mut self) {
        self.counter += 1;
        let size = self.random.below(120);
        let mut payload = self.counter.to_be_bytes().to_vec();
        payload.resize(8 + size, self.counter as u8);
        if let Ok(position) = self.journal.append(1, &[&payload]) {
            self.staged.push((position, payload.clone()));
            self.handed_over.push((position, payload));
        }
    }

    fn sync_frames(&mut self) {
        match self.journal.sync() {
            Ok(_) => self.synced.append(&mut self.staged),
            Err(error) => {
                trace::note(|| format!("journal: {error}"));
                self.staged.clear();
            }
        }
    }

    fn trim(&mut self) {
        let at = self.random.below(self.synced.len() + 1);
        let before = self.synced.get(at).map_or(self.journal.end(), |(position, _)| *position);
        if let Err(error) = self.journal.trimmer().trim_before(before) {
            trace::note(|| format!("trim: {error}"));
        }
    }

    fn append_batch(&mut self) {
        let mut builder = BatchBuilder::new(Compression::None);
        let records = 1 + self.random.below(4) as u64;
        let values: Vec<u64> = (self.counter + 1..=self.counter + records).collect();
        self.counter += records;
        for value in &values {
            builder.append(5, None, Some(&value.to_be_bytes()), &[]).expect("a small record");
        }
        let batch = builder.build().expect("a batch with records");
        match self.log.append(&batch, 0) {
            Ok(placed) => {
                trace::note(|| format!("log: {values:?} at {}", placed.base_offset()));
                self.appended.extend((placed.base_offset()..).zip(values));
                if self.flush == FlushPolicy::EveryAppend {
                    self.durable.append(&mut self.appended);
                }
            }
            Err(error) => trace::note(|| format!("log: {error}")),
        }
    }

    fn flush(&mut self) {
        match self.log.flush() {
            Ok(()) => {
                trace::note(|| format!("log: {} records flushed", self.appended.len()));
                self.durable.append(&mut self.appended);
            }
            Err(error) => trace::note(|| format!("flush: {error}")),
        }
    }

    fn give_up(&mut self) {
        // What is given up is durable: a start behind the log's end would say more than was kept.
        let end = self.durable.last_key_value().map_or(0, |(offset, _)| offset + 1);
        let to = self.random.below(end as usize + 1) as i64;
        if self.log.delete_records_before(to).is_ok() {
            self.given_up_to = self.given_up_to.max(to);
        }
    }

    /// The power goes, and both logs are opened anew.
    fn crash(&mut self) -> Result<(), Violation> {
        trace::note(|| "crash".to_owned());
        self.disk.crash();
        self.staged.clear();
        self.reopen_journal()?;
        self.reopen_log()
    }

    fn reopen_journal(&mut self) -> Result<(), Violation> {
        let opened = Journal::open(self.seen.clone(), journal_folder(), JOURNAL);
        let (journal, recovery) = opened.map_err(|error| broken(OPENS, &error))?;
        Violation::unless(recovery.damage.is_empty(), UNDAMAGED, || format!("{:?}", recovery.damage))?;
        self.journal = journal;
        let start = self.journal.start();
        self.synced.retain(|(position, _)| *position >= start);
        let found = self.frames()?;
        for (position, payload) in &self.synced {
            let there = found.iter().any(|(at, found)| at == position && found == payload);
            Violation::unless(there, KEPT, || format!("the frame at {position} of the journal"))?;
        }
        for frame in &found {
            Violation::unless(self.handed_over.contains(frame), NOT_INVENTED, || format!("{frame:?}"))?;
        }
        self.handed_over.retain(|frame| found.contains(frame));
        self.synced = found;
        Ok(())
    }

    fn frames(&self) -> Result<Vec<(Position, Vec<u8>)>, Violation> {
        let reader = self.journal.reader();
        let mut position = reader.start();
        let mut frames = Vec::new();
        while position < reader.end() {
            match reader.read(position, 4096) {
                Ok(read) => {
                    for frame in read {
                        position = frame.next;
                        frames.push((frame.position, frame.payload.to_vec()));
                    }
                }
                Err(ReadError::Damaged { to, .. }) => position = to,
                Err(error) => return Err(broken(KEPT, &error)),
            }
        }
        Ok(frames)
    }

    fn reopen_log(&mut self) -> Result<(), Violation> {
        let mut found = BTreeMap::new();
        let opened = PartitionLog::open(self.seen.clone(), log_folder(), config(self.flush), &mut |batch| {
            found.extend((batch.base_offset()..).zip(values(batch)));
        });
        let (log, recovery) = opened.map_err(|error| broken(OPENS, &error))?;
        for kept in self.durable.iter().filter(|(offset, _)| **offset >= self.given_up_to) {
            Violation::unless(found.get(kept.0) == Some(kept.1), KEPT, || {
                format!("record {kept:?} of the log: {recovery:?}")
            })?;
        }
        self.durable.append(&mut self.appended);
        for there in &found {
            Violation::unless(self.durable.get(there.0) == Some(there.1), NOT_INVENTED, || {
                format!("{there:?}")
            })?;
        }
        let end = found.last_key_value().map_or(0, |(offset, _)| offset + 1);
        Violation::unless(recovery.end >= end, GOES_ON, || format!("{recovery:?}"))?;
        trace::note(|| format!("log opened: {recovery:?}"));
        self.durable = found;
        let start = log.start_offset();
        Violation::unless(start >= self.given_up_to.min(end), GOES_ON, || {
            format!("begins at {start}, given up to {}", self.given_up_to)
        })?;
        self.log = log;
        Ok(())
    }
}

impl World for LogWorld {
    fn step(&mut self) -> Result<Progress, Violation> {
        if self.left == 0 {
            return self.crash().map(|()| Progress::Over);
        }
        self.left -= 1;
        match self.random.below(40) {
            0..=9 => self.append_frame(),
            10..=16 => self.sync_frames(),
            17 => self.trim(),
            18..=28 => self.append_batch(),
            29..=32 => self.flush(),
            33 => self.give_up(),
            34..=36 => {
                let fault = *self.random.pick(&FAULTS);
                trace::note(|| format!("the disk is about to fail: {fault:?}"));
                self.disk.inject(fault);
            }
            _ => self.crash()?,
        }
        Ok(Progress::GoesOn)
    }
}
