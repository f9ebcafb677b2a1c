//! A small file that is replaced as a whole: the state of a gateway, the catalogue of a node, a partition's start.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use leeward_log::{Disk, DiskFault, SimulatedDisk, read_file, replace_file};

fn directory() -> &'static Path {
    Path::new("/data")
}

#[test]
fn it_holds_what_was_said_to_be_durable_or_what_was_on_its_way() {
    let faults = [DiskFault::ShortWrite, DiskFault::NoSpace, DiskFault::WriteFails, DiskFault::SyncFails];
    for seed in 0..200_u64 {
        let disk = SimulatedDisk::new(seed);
        disk.create_dir(directory()).unwrap();
        let mut durable = Vec::new();
        for turn in 0..12_u64 {
            if (seed + turn).is_multiple_of(3) {
                disk.inject(faults[((seed / 3 + turn) % 4) as usize]);
            }
            let next = format!("{seed} {turn} {}", ".".repeat((turn * 7) as usize)).into_bytes();
            let replaced = replace_file(&disk, directory(), "state", &next);
            if (seed + turn) % 4 == 1 {
                disk.crash();
            }

            let found = read_file(&disk, &directory().join("state")).unwrap().unwrap_or_default();
            match replaced {
                Ok(()) => assert_eq!(found, next, "seed {seed}, turn {turn}"),
                Err(_) => assert!(found == durable || found == next, "seed {seed}, turn {turn}"),
            }
            durable = found;
        }
    }
}
