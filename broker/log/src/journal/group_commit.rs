//! One thread owns the journal; many callers share each of its syncs.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{AppendError, Journal, JournalReader, JournalTrimmer, Position};
use crate::limits::{GROUP_BYTES_MAX, SUBMISSIONS_WAITING_MAX};

type AppendDone = Box<dyn FnOnce(Result<Position, AppendError>) + Send>;

/// An append that was staged, or was refused, with whom to tell.
struct Member {
    staged: Result<Position, AppendError>,
    done: AppendDone,
}

enum Work {
    Append { kind: u8, parts: Vec<Bytes>, done: AppendDone },
    Stop,
}

/// How long a group waits for company before it is synced: the time or the bytes, whichever comes first. What waits
/// already always comes along. The default waits for nobody: a group is what came while the one before was synced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupWait {
    /// Counted from the group's first append.
    pub at_most: Duration,
    /// Payload bytes that are company enough.
    pub or_bytes: usize,
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
    trimmer: JournalTrimmer,
    groups: Arc<AtomicU64>,
    thread: Option<JoinHandle<Journal>>,
}

impl GroupCommit {
    /// Starts the thread; a group waits for nobody.
    ///
    /// # Errors
    ///
    /// The operating system's, where it has no thread left.
    pub fn start(journal: Journal) -> io::Result<Self> {
        Self::start_waiting(journal, GroupWait::default())
    }

    /// Starts the thread; each group waits for company.
    ///
    /// # Errors
    ///
    /// As [`GroupCommit::start`].
    pub fn start_waiting(journal: Journal, wait: GroupWait) -> io::Result<Self> {
        let (work, waiting) = sync_channel(SUBMISSIONS_WAITING_MAX);
        let (reader, trimmer) = (journal.reader(), journal.trimmer());
        let groups = Arc::new(AtomicU64::new(0));
        let counted = groups.clone();
        let thread = thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || run(journal, &waiting, wait, &counted))?;
        Ok(Self { work, reader, trimmer, groups, thread: Some(thread) })
    }

    /// Appends a frame. `done` is called on the journal's thread once the frame is durable, with where it stands, or
    /// once it is certain that it is not in the journal: one by one, in the order of the appends. It must not block.
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

    /// Groups that were made durable since the start, each by one sync.
    pub fn groups(&self) -> u64 {
        self.groups.load(Ordering::Relaxed)
    }

    /// A handle that reads what is durable.
    pub fn reader(&self) -> &JournalReader {
        &self.reader
    }

    /// A handle that deletes what is not needed any more.
    pub fn trimmer(&self) -> &JournalTrimmer {
        &self.trimmer
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
        // The last owner may be a completion: the thread then ends by itself, since nobody is left who could submit.
        let thread = self.thread.take().filter(|thread| thread.thread().id() != thread::current().id());
        if let Some(thread) = thread {
            let _ = self.work.send(Work::Stop);
            let _ = thread.join();
        }
    }
}

fn run(mut journal: Journal, waiting: &Receiver<Work>, wait: GroupWait, groups: &AtomicU64) -> Journal {
    let mut group = Vec::new();
    while let Ok(work) = waiting.recv() {
        let mut running = take(&mut journal, &mut group, work);
        let sync_at = Instant::now() + wait.at_most;
        while running && journal.staged_bytes() < GROUP_BYTES_MAX && group.len() < SUBMISSIONS_WAITING_MAX {
            let lonely = journal.staged_bytes() > 0 && journal.staged_bytes() < wait.or_bytes;
            match next(waiting, sync_at, lonely) {
                Ok(Some(work)) => running = take(&mut journal, &mut group, work),
                Ok(None) => break,
                Err(Gone) => running = false,
            }
        }
        commit(&mut journal, &mut group, groups);
        if !running {
            break;
        }
    }
    journal
}

/// Nobody is left who could submit.
struct Gone;

/// What waits already; a group that is `lonely` waits for more until `sync_at`.
fn next(waiting: &Receiver<Work>, sync_at: Instant, lonely: bool) -> Result<Option<Work>, Gone> {
    match waiting.try_recv() {
        Ok(work) => return Ok(Some(work)),
        Err(TryRecvError::Disconnected) => return Err(Gone),
        Err(TryRecvError::Empty) => {}
    }
    let left = sync_at.saturating_duration_since(Instant::now());
    if !lonely || left.is_zero() {
        return Ok(None);
    }
    match waiting.recv_timeout(left) {
        Ok(work) => Ok(Some(work)),
        Err(RecvTimeoutError::Timeout) => Ok(None),
        Err(RecvTimeoutError::Disconnected) => Err(Gone),
    }
}

/// Does one piece of work; false when it was the last.
fn take(journal: &mut Journal, group: &mut Vec<Member>, work: Work) -> bool {
    match work {
        Work::Append { kind, parts, done } => {
            let parts: Vec<&[u8]> = parts.iter().map(|part| &part[..]).collect();
            group.push(Member { staged: journal.append(kind, &parts), done });
            true
        }
        Work::Stop => false,
    }
}

/// Makes the group durable and tells each member; one that was refused hears why in its turn, not before its elders.
fn commit(journal: &mut Journal, group: &mut Vec<Member>, groups: &AtomicU64) {
    let result = journal.sync();
    if result.is_ok() && group.iter().any(|member| member.staged.is_ok()) {
        groups.fetch_add(1, Ordering::Relaxed);
    }
    for Member { staged, done } in group.drain(..) {
        done(match &result {
            Ok(_) => staged,
            Err(error) => staged.and(Err(error.clone())),
        });
    }
}
