//! Files of logs as a crash, a bad disk or a stranger left them: opened, repaired, read, written to and opened again.

use std::path::Path;
use std::sync::Arc;

use leeward_log::{
    Disk, FlushPolicy, Journal, JournalConfig, PartitionConfig, PartitionLog, PartitionReadError, ReadError,
    SimulatedDisk, write_all_at,
};
use leeward_wire::record::{BatchBuilder, Compression, split_batches};

use super::parts;

/// Bytes that are read from a log at once.
const READ_BYTES: usize = 1 << 20;

/// A disk that holds these files.
fn disk(directory: &Path, files: &[(String, &[u8])]) -> Arc<dyn Disk> {
    let disk: Arc<dyn Disk> = Arc::new(SimulatedDisk::new(1));
    disk.create_dir(directory).expect("an empty disk");
    for (name, bytes) in files {
        let file = disk.create(&directory.join(name)).expect("each name stands once");
        write_all_at(&*file, 0, bytes).expect("there is room");
        file.sync_data().expect("nothing fails");
    }
    disk.sync_dir(directory).expect("nothing fails");
    disk
}

/// Up to two segments of a journal; the first byte says where the second one claims to begin.
pub(crate) fn journal(input: &[u8]) {
    let [second_at, rest @ ..] = input else { return };
    let directory = Path::new("j");
    let segments = parts(rest);
    let names = [0, u64::from(*second_at)].map(|first| format!("{first:020}.journal"));
    let mut files: Vec<_> = names.into_iter().zip(segments.iter().copied()).collect();
    if *second_at == 0 {
        files.truncate(1);
    }
    let disk = disk(directory, &files);
    let config = JournalConfig { segment_bytes: 1 << 20, preallocate_bytes: 0 };
    let Ok((mut journal, _)) = Journal::open(disk.clone(), directory, config) else { return };
    let mut at = journal.start();
    while at < journal.end() {
        match journal.reader().read(at, READ_BYTES) {
            Ok(frames) => match frames.last() {
                Some(last) => at = last.next,
                None => break,
            },
            Err(ReadError::Damaged { to, .. }) => {
                assert!(to > at, "reading goes on");
                at = to;
            }
            Err(error) => panic!("what was repaired is read: {error}"),
        }
    }
    let written = journal.append(7, &[b"behind what was found"]).expect("a small frame");
    journal.sync().expect("nothing fails");
    drop(journal);
    let (journal, found) = Journal::open(disk, directory, config).expect("what was repaired opens");
    assert_eq!(found.torn_tail, None, "a repaired journal is whole");
    let frames = journal.reader().read(written, READ_BYTES).expect("what was written is read");
    assert_eq!(
        frames.first().map(|frame| (frame.kind, &frame.payload[..])),
        Some((7, &b"behind what was found"[..]))
    );
}

/// The metadata and up to two segments of a partition; the first byte says where the second one claims to begin.
pub(crate) fn partition(input: &[u8]) {
    let [second_at, rest @ ..] = input else { return };
    let directory = Path::new("p");
    let stored = parts(rest);
    let segments = [0, u64::from(*second_at)].map(|first| format!("{first:020}.log"));
    let [first, second] = segments;
    let names = ["partition.meta".to_owned(), first, second];
    let mut files: Vec<_> = names.into_iter().zip(stored.iter().copied()).collect();
    if *second_at == 0 {
        files.truncate(2);
    }
    files.retain(|(name, bytes)| name != "partition.meta" || !bytes.is_empty());
    let disk = disk(directory, &files);
    let config = PartitionConfig { segment_bytes: 1 << 20, flush: FlushPolicy::EveryAppend };
    let opened = PartitionLog::open(disk.clone(), directory, config, &mut |batch| {
        assert!(batch.verify_crc().is_ok(), "only whole batches are told");
    });
    let Ok((mut log, _)) = opened else { return };
    let mut from = log.start_offset();
    while from < log.end_offset() {
        match log.read(from, READ_BYTES) {
            Ok(bytes) => {
                let last = split_batches(bytes).flatten().last().expect("below the end there is a batch");
                assert!(last.next_offset() > from, "reading goes on");
                from = last.next_offset();
            }
            Err(PartitionReadError::Damaged { to, .. }) => {
                assert!(to > from, "reading goes on");
                from = to;
            }
            Err(error) => panic!("what was repaired is read: {error}"),
        }
    }
    let _ = log.first_batch_since(1);
    let _ = (log.epoch_end(0), log.epoch_end(i32::MAX));
    let mut builder = BatchBuilder::new(Compression::None);
    builder.append(0, None, Some(b"behind"), &[]).expect("a small record");
    let batch = builder.build().expect("a record");
    let end = log.end_offset();
    let Ok(appended) = log.append(&batch, 0) else { return };
    assert_eq!(appended.base_offset(), end);
    let start = log.start_offset();
    drop(log);
    let (log, _) = PartitionLog::open(disk, directory, config, &mut |_| ()).expect("what was repaired opens");
    assert_eq!((log.start_offset(), log.end_offset()), (start, end + 1));
}
