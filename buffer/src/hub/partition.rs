//! One partition of the gateway: its door, its way out, and those who wait for an answer.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use leeward_model::{ProducerId, TopicPartition};
use leeward_wire::record::crc32c;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::held::Refusal;
use crate::intake::Intake;
use crate::partition::Forward;

/// A client that waits until the acting primary has its batch.
#[derive(Debug)]
struct Waiting {
    ordinal: u64,
    end: u64,
    answer: oneshot::Sender<Result<i64, SetAside>>,
}

/// The batch is in no log, and will be in none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SetAside;

/// One partition.
#[derive(Debug)]
pub(crate) struct Partition {
    pub(crate) name: TopicPartition,
    /// Of which gateway, for its producers' ids.
    identity: [u8; 16],
    /// Locked before `forward`, never after it.
    pub(crate) intake: Mutex<Intake>,
    pub(crate) forward: Mutex<Forward>,
    waiting: Mutex<VecDeque<Waiting>>,
    cached: Mutex<BTreeMap<u64, Bytes>>,
    pub(super) refusal: Mutex<Option<Refusal>>,
}

impl Partition {
    pub(crate) fn new(name: TopicPartition, identity: [u8; 16], intake: Intake, forward: Forward) -> Self {
        Self {
            name,
            identity,
            intake: Mutex::new(intake),
            forward: Mutex::new(forward),
            waiting: Mutex::default(),
            cached: Mutex::default(),
            refusal: Mutex::default(),
        }
    }

    /// The producer that a region sees for a lineage's writer.
    pub(super) fn producer(&self, writer: u32) -> ProducerId {
        // No topic's name has a `#`.
        let name = match writer {
            0 => self.name.to_string(),
            later => format!("{}#{later}", self.name),
        };
        let half = |salt: u8| u64::from(crc32c(&[&self.identity[..], name.as_bytes(), &[salt]].concat()));
        ProducerId::derived(half(0) << 32 | half(1))
    }

    /// Gives the offset of the batch at `ordinal` once the acting primary has it; -1 where nobody knows it.
    pub(crate) fn wait(&self, ordinal: u64, end: u64) -> oneshot::Receiver<Result<i64, SetAside>> {
        let (answer, answered) = oneshot::channel();
        let forward = self.forward.lock();
        if forward.is_acknowledged(end) {
            let _ = answer.send(Ok(forward.offset_of(ordinal).unwrap_or(-1)));
        } else {
            let mut waiting = self.waiting.lock();
            waiting.retain(|other| !other.answer.is_closed());
            waiting.push_back(Waiting { ordinal, end, answer });
        }
        answered
    }

    pub(super) fn answer_exact(&self, ordinal: u64, base_offset: i64) {
        self.answer_where(|waiting| (waiting.ordinal == ordinal).then_some(Ok(base_offset)));
    }

    pub(super) fn answer_all(&self, is_acknowledged: impl Fn(u64) -> bool) {
        self.answer_where(|waiting| is_acknowledged(waiting.end).then_some(Ok(-1)));
    }

    pub(super) fn answer_refused(&self, ordinal: u64) {
        self.answer_where(|waiting| (waiting.ordinal == ordinal).then_some(Err(SetAside)));
    }

    fn answer_where(&self, offset: impl Fn(&Waiting) -> Option<Result<i64, SetAside>>) {
        let mut waiting = self.waiting.lock();
        let mut left = VecDeque::with_capacity(waiting.len());
        for one in waiting.drain(..) {
            match offset(&one) {
                // A client that went away needs no answer.
                Some(offset) => drop(one.answer.send(offset)),
                None => left.push_back(one),
            }
        }
        *waiting = left;
    }

    pub(super) fn cache(&self, ordinal: u64, batch: Bytes) {
        self.cached.lock().insert(ordinal, batch);
    }

    pub(super) fn cached(&self, ordinal: u64) -> Option<Bytes> {
        self.cached.lock().get(&ordinal).cloned()
    }

    /// Returns how many bytes that freed.
    pub(super) fn uncache(&self, ordinal: u64) -> usize {
        self.cached.lock().remove(&ordinal).map_or(0, |batch| batch.len())
    }

    pub(super) fn forget_cached(&self, below: u64) -> usize {
        let mut cached = self.cached.lock();
        let kept = cached.split_off(&below);
        std::mem::replace(&mut *cached, kept).values().map(Bytes::len).sum()
    }
}
