//! One thread owns the journal; many callers share each of its syncs.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};

use bytes::Bytes;

use super::{AppendError, Journal, JournalReader, Position};
use crate::limits::{GROUP_BYTES_MAX, SUBMISSIONS_WAITING_MAX};

type AppendDone = Box<dyn FnOnce(Result<Position, AppendError>) + Send>;
type TrimDone = Box<dyn FnOnce(io::Result<()>) + Send>;

enum Work {
    Append { kind: u8, parts: Vec<Bytes>, done: AppendDone },
    Trim { before: Position, done: TrimDone },
    Stop,
}

/// Why the journal's thread did not take a submission. Its completion is dropped uncalled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    #[error("{SUBMISSIONS_WAITING_MAX} appends are waiting already")]
    Full,
    #[error("the journal's thread has stopped")]
    Stopped,
}

/// A journal with its own thread. Callable from anywhere; nothing here blocks but closing.
#[derive(Debug)]
pub struct GroupCommit {
    work: SyncSender<Work>,
    reader: JournalReader,
    thread: Option<JoinHandle<Journal>>,
}

impl GroupCommit {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// The operating system's, where it has no thread left.
    pub fn start(journal: Journal) -> io::Result<Self> {
        let (work, waiting) = sync_channel(SUBMISSIONS_WAITING_MAX);
        let reader = journal.reader();
        let thread =
            thread::Builder::new().name("journal".to_owned()).spawn(move || run(journal, &waiting))?;
        Ok(Self { work, reader, thread: Some(thread) })
    }

    /// Appends a frame. `done` is called on the journal's thread once the frame is durable, with where it stands, or
    /// once it is certain that it is not in the journal. It must not block.
    ///
    /// # Errors
    ///
    /// [`SubmitError`].
    pub fn submit(
        &self,
        kind: u8,
        parts: Vec<Bytes>,
        done: impl FnOnce(Result<Position, AppendError>) + Send + 'static,
    ) -> Result<(), SubmitError> {
        let done = Box::new(done);
        self.send(Work::Append { kind, parts, done })
    }

    /// Deletes the segments that lie wholly before `before`, which the caller has made durable elsewhere.
    ///
    /// # Errors
    ///
    /// [`SubmitError`].
    pub fn trim_before(
        &self,
        before: Position,
        done: impl FnOnce(io::Result<()>) + Send + 'static,
    ) -> Result<(), SubmitError> {
        let done = Box::new(done);
        self.send(Work::Trim { before, done })
    }

    /// A handle that reads what is durable.
    pub fn reader(&self) -> &JournalReader {
        &self.reader
    }

    /// Lets what was submitted finish, stops the thread, and gives the journal back.
    ///
    /// # Panics
    ///
    /// If a completion panicked.
    pub fn close(mut self) -> Journal {
        let thread = self.thread.take().expect("only close and drop take it");
        let _ = self.work.send(Work::Stop);
        thread.join().expect("completions do not panic")
    }

    fn send(&self, work: Work) -> Result<(), SubmitError> {
        self.work.try_send(work).map_err(|error| match error {
            TrySendError::Full(_) => SubmitError::Full,
            TrySendError::Disconnected(_) => SubmitError::Stopped,
        })
    }
}

impl Drop for GroupCommit {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = self.work.send(Work::Stop);
            let _ = thread.join();
        }
    }
}

fn run(mut journal: Journal, waiting: &Receiver<Work>) -> Journal {
    let mut group = Vec::new();
    while let Ok(work) = waiting.recv() {
        let mut running = take(&mut journal, &mut group, work);
        while running && journal.staged_bytes() < GROUP_BYTES_MAX {
            match waiting.try_recv() {
                Ok(work) => running = take(&mut journal, &mut group, work),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => running = false,
            }
        }
        commit(&mut journal, &mut group);
        if !running {
            break;
        }
    }
    journal
}

/// Does one piece of work; false when it was the last.
fn take(journal: &mut Journal, group: &mut Vec<(Position, AppendDone)>, work: Work) -> bool {
    match work {
        Work::Append { kind, parts, done } => {
            let parts: Vec<&[u8]> = parts.iter().map(|part| &part[..]).collect();
            match journal.append(kind, &parts) {
                Ok(position) => group.push((position, done)),
                Err(error) => done(Err(error)),
            }
            true
        }
        Work::Trim { before, done } => {
            done(journal.trim_before(before));
            true
        }
        Work::Stop => false,
    }
}

fn commit(journal: &mut Journal, group: &mut Vec<(Position, AppendDone)>) {
    let result = journal.sync();
    for (position, done) in group.drain(..) {
        done(match &result {
            Ok(_) => Ok(position),
            Err(error) => Err(error.clone()),
        });
    }
}
