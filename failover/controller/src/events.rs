//! What happened, for people: a bounded ring in memory, a file of JSON lines, and a stream for followers.

use std::{
    borrow::Cow,
    collections::{BTreeMap, VecDeque},
    fs::{File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

use leeward_model::{FencingEpoch, WallTime};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;
use tracing::warn;

use crate::limits::{EVENTS_FILE_BYTES_MAX, EVENTS_FOLLOWED, EVENTS_KEPT};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Counted from 1, on across restarts as long as the events' file is there.
    pub number: u64,
    pub at: WallTime,
    pub source: String,
    /// Stable, in kebab-case.
    pub code: String,
    pub text: String,
    pub epoch: u64,
    pub fields: BTreeMap<String, String>,
}

/// An event before it has a number.
#[derive(Clone, Debug)]
pub struct NewEvent {
    pub source: String,
    pub code: Cow<'static, str>,
    pub text: String,
    pub fields: BTreeMap<String, String>,
}

impl NewEvent {
    pub(crate) fn new(code: &'static str, text: impl Into<String>) -> Self {
        Self { source: "controller".into(), code: code.into(), text: text.into(), fields: BTreeMap::new() }
    }

    #[must_use]
    pub(crate) fn with(mut self, field: &str, value: impl std::fmt::Display) -> Self {
        self.fields.insert(field.to_owned(), value.to_string());
        self
    }
}

#[derive(Debug)]
struct Kept {
    ring: VecDeque<Event>,
    next: u64,
    file: Option<File>,
    file_bytes: u64,
}

/// The controller's events.
#[derive(Debug)]
pub(crate) struct Events {
    kept: Mutex<Kept>,
    path: PathBuf,
    followers: broadcast::Sender<Event>,
}

impl Events {
    /// Opens the file of events. Without it events are still kept in memory: they never stop a failover.
    pub(crate) fn open(folder: &Path) -> Self {
        let path = folder.join("events.ndjson");
        let ring = read_back(&path);
        let next = ring.back().map_or(1, |last| last.number + 1);
        let (file, file_bytes) = open(&path);
        let kept = Kept { ring, next, file, file_bytes };
        Self { kept: Mutex::new(kept), path, followers: broadcast::channel(EVENTS_FOLLOWED).0 }
    }

    pub(crate) fn add(&self, new: NewEvent, epoch: FencingEpoch, at: WallTime) {
        let mut kept = self.kept.lock();
        let NewEvent { source, code, text, fields } = new;
        let number = kept.next;
        let event =
            Event { number, at, source, code: code.into_owned(), text, epoch: epoch.to_wire(), fields };
        kept.next += 1;
        if kept.ring.len() == EVENTS_KEPT {
            kept.ring.pop_front();
        }
        kept.ring.push_back(event.clone());
        self.write(&mut kept, &event);
        // Nobody may be listening.
        let _ = self.followers.send(event);
    }

    fn write(&self, kept: &mut Kept, event: &Event) {
        let Ok(mut line) = serde_json::to_vec(event) else { return };
        line.push(b'\n');
        if kept.file_bytes + line.len() as u64 > EVENTS_FILE_BYTES_MAX {
            let renamed = std::fs::rename(&self.path, self.path.with_extension("1.ndjson"));
            if let Err(error) = renamed {
                warn!(%error, "events' file was not moved away");
            }
            (kept.file, kept.file_bytes) = open(&self.path);
        }
        let Some(file) = &mut kept.file else { return };
        match file.write_all(&line) {
            Ok(()) => kept.file_bytes += line.len() as u64,
            Err(error) => warn!(%error, "event was not written to its file"),
        }
    }

    /// Events after this number, oldest first, and a stream that goes on from there.
    pub(crate) fn after(&self, number: u64) -> (Vec<Event>, broadcast::Receiver<Event>) {
        let kept = self.kept.lock();
        let events = kept.ring.iter().filter(|event| event.number > number).cloned().collect();
        (events, self.followers.subscribe())
    }
}

/// The newest events of the file. A line that a kill cut short is left out.
fn read_back(path: &Path) -> VecDeque<Event> {
    let Ok(text) = std::fs::read(path) else { return VecDeque::new() };
    let lines = text.split(|byte| *byte == b'\n').rev().filter_map(|line| serde_json::from_slice(line).ok());
    let mut newest: VecDeque<Event> = lines.take(EVENTS_KEPT).collect();
    newest.make_contiguous().reverse();
    newest
}

fn open(path: &Path) -> (Option<File>, u64) {
    match OpenOptions::new().create(true).append(true).open(path) {
        Ok(mut file) => {
            let bytes = file.metadata().map_or(0, |metadata| metadata.len());
            // A line that a kill cut short must not take the next one with it; an empty line says nothing.
            if bytes > 0
                && let Err(error) = file.write_all(b"\n")
            {
                warn!(%error, "events' file is not writable");
            }
            (Some(file), bytes + 1)
        }
        Err(error) => {
            warn!(%error, path = %path.display(), "events are kept in memory only");
            (None, 0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_from_the_number_after() {
        let folder = tempfile::tempdir().expect("a folder");
        let events = Events::open(folder.path());
        for text in ["one", "two", "three"] {
            events.add(NewEvent::new("test", text), FencingEpoch::FIRST, WallTime::from_millis(0));
        }

        let (after, _) = events.after(1);

        let texts: Vec<&str> = after.iter().map(|event| event.text.as_str()).collect();
        assert_eq!(texts, ["two", "three"]);
    }

    #[test]
    fn numbers_go_on_after_a_restart() {
        let folder = tempfile::tempdir().expect("a folder");
        let add = |text| {
            let events = Events::open(folder.path());
            events.add(NewEvent::new("test", text), FencingEpoch::FIRST, WallTime::from_millis(0));
            events.after(0).0
        };
        add("one");

        let events = add("two");

        let told: Vec<_> = events.iter().map(|event| (event.number, event.text.as_str())).collect();
        assert_eq!(told, [(1, "one"), (2, "two")]);
    }

    #[test]
    fn the_ring_forgets_the_oldest() {
        let folder = tempfile::tempdir().expect("a folder");
        let events = Events::open(folder.path());
        for _ in 0..=EVENTS_KEPT {
            events.add(NewEvent::new("test", ""), FencingEpoch::FIRST, WallTime::from_millis(0));
        }

        assert_eq!(events.after(0).0.first().expect("kept").number, 2);
    }
}
