//! What the disk gives to one thread that writes a group and syncs it, again and again.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use leeward_log::{Journal, JournalConfig, Position, RealDisk, framed_bytes};

use super::{Words, percentile};

/// Bytes of the file that the raw loop goes round in.
const FILE_BYTES: u64 = 256 << 20;
const KIND: u8 = 1;
/// Between two trimmings, as in the gateway.
const TRIM_EVERY: Duration = Duration::from_millis(500);

/// Groups into a file whose blocks were written and synced before: the disk's own rate.
pub(crate) fn raw(words: &Words) {
    let path = Path::new(words.text("dir")).join("raw");
    let file = File::create(&path).expect("the file can be made");
    let zeros = vec![0; 1 << 20];
    for at in (0..FILE_BYTES).step_by(zeros.len()) {
        file.write_all_at(&zeros, at).expect("there is room");
    }
    file.sync_all().expect("the disk is well");
    let group = vec![0x5a; words.number("group") as usize];
    let mut at = 0;
    measure(words, || {
        if at + group.len() as u64 > FILE_BYTES {
            at = 0;
        }
        file.write_all_at(&group, at).expect("the disk is well");
        file.sync_data().expect("the disk is well");
        at += group.len() as u64;
    });
    std::fs::remove_file(&path).expect("the file is ours");
}

/// Groups of `frames` frames through the journal on the caller's own thread, while another trims it.
pub(crate) fn journal(words: &Words) {
    let directory = Path::new(words.text("dir")).join("journal");
    std::fs::create_dir_all(&directory).expect("the folder can be made");
    let config = JournalConfig::default();
    let (mut journal, _) =
        Journal::open(Arc::new(RealDisk), &directory, config).expect("the folder is empty");
    let frames = words.number("frames");
    let frame_bytes = (words.number("group") / frames).saturating_sub(framed_bytes(0)) as usize;
    let frame = vec![0x5a; frame_bytes];
    let (behind, trimmer) = (Arc::new(AtomicU64::new(0)), journal.trimmer());
    let (trimming, over) = (behind.clone(), Arc::new(AtomicBool::new(false)));
    let ended = over.clone();
    let trims = std::thread::spawn(move || {
        while !ended.load(Ordering::Relaxed) {
            let before = Position::new(trimming.load(Ordering::Relaxed));
            trimmer.trim_before(before).expect("the disk is well");
            std::thread::sleep(TRIM_EVERY);
        }
    });
    measure(words, || {
        for _ in 0..frames {
            journal.append(KIND, &[&frame]).expect("the frame is small");
        }
        behind.store(journal.sync().expect("the disk is well").get(), Ordering::Relaxed);
    });
    over.store(true, Ordering::Relaxed);
    trims.join().expect("trimming ends");
    drop(journal);
    std::fs::remove_dir_all(&directory).expect("the folder is ours");
}

fn measure(words: &Words, mut sync_group: impl FnMut()) {
    let wanted = Duration::from_secs(words.number("seconds"));
    let mut micros = Vec::new();
    let began = Instant::now();
    while began.elapsed() < wanted {
        let at = Instant::now();
        sync_group();
        micros.push(u64::try_from(at.elapsed().as_micros()).unwrap_or(u64::MAX));
    }
    let seconds = began.elapsed().as_secs_f64();
    let groups_a_second = micros.len() as f64 / seconds;
    micros.sort_unstable();
    println!(
        r#"{{"group_bytes":{},"groups_a_second":{groups_a_second:.1},"bytes_a_second":{:.0},"p50_us":{},"p99_us":{}}}"#,
        words.number("group"),
        groups_a_second * words.number("group") as f64,
        percentile(&micros, 0.5),
        percentile(&micros, 0.99),
    );
}
