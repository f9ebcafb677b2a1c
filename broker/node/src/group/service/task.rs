//! The loop of the task: requests, finished appends and timers go into the coordinator; its commands come out.

use std::{
    collections::{HashMap, VecDeque},
    pin::Pin,
    sync::Arc,
};

use bytes::Bytes;
use leeward_model::{Instant, ProducerId, ProducerIdentity, TopicName};
use leeward_wire::{EncodeError, ErrorCode};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{OffsetsBatch, OffsetsLog};
use crate::clock::wall_time;
use crate::group::{
    Append, Command, GroupCoordinator, GroupRecord, Now, PersistId, Request, Response, Ticket, limits,
};

/// What the handle asks of the task.
pub(super) enum Ask {
    Request { request: Request, reply: oneshot::Sender<Response> },
    Look(Box<dyn FnOnce(&GroupCoordinator) + Send>),
    TransactionEnded { producer: ProducerId, committed: bool },
    TopicDeleted(TopicName),
}

impl std::fmt::Debug for Ask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Request { .. } => "Request",
            Self::Look(_) => "Look",
            Self::TransactionEnded { .. } => "TransactionEnded",
            Self::TopicDeleted(_) => "TopicDeleted",
        })
    }
}

/// An append that waits for the log.
struct Waiting {
    id: PersistId,
    producer: Option<ProducerIdentity>,
    records: Vec<(Bytes, Option<Bytes>)>,
    bytes: usize,
}

type Appending = Pin<Box<dyn Future<Output = Result<(), ErrorCode>> + Send>>;

pub(super) struct Task<L> {
    coordinator: GroupCoordinator,
    log: Arc<L>,
    asked: mpsc::Receiver<Ask>,
    stop: CancellationToken,
    started: tokio::time::Instant,
    next_ticket: u64,
    tickets: HashMap<Ticket, oneshot::Sender<Response>>,
    waiting: VecDeque<Waiting>,
    /// The appends that share the batch on its way.
    sent: Vec<PersistId>,
    appending: Option<Appending>,
}

impl<L: OffsetsLog> Task<L> {
    pub(super) fn new(
        coordinator: GroupCoordinator,
        log: L,
        asked: mpsc::Receiver<Ask>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            coordinator,
            log: Arc::new(log),
            asked,
            stop,
            started: tokio::time::Instant::now(),
            next_ticket: 0,
            tickets: HashMap::new(),
            waiting: VecDeque::new(),
            sent: Vec::new(),
            appending: None,
        }
    }

    pub(super) async fn run(mut self) {
        self.coordinator.loaded(self.now());
        let stop = self.stop.clone();
        loop {
            self.tick();
            let due = self.started + self.coordinator.next_deadline().since(Instant::ZERO);
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                outcome = appended(&mut self.appending) => self.persisted(outcome),
                asked = self.asked.recv() => match asked {
                    Some(ask) => self.take(ask),
                    None => break,
                },
                () = tokio::time::sleep_until(due) => {}
            }
        }
        self.shutdown();
    }

    fn now(&self) -> Now {
        Now { instant: Instant::from_start(self.started.elapsed()), wall: wall_time() }
    }

    fn tick(&mut self) {
        let now = self.now();
        if self.coordinator.next_deadline() <= now.instant {
            let commands = self.coordinator.tick(now);
            self.obey(commands);
        }
    }

    fn take(&mut self, ask: Ask) {
        let now = self.now();
        match ask {
            Ask::Request { request, reply } => self.request(&request, reply, now),
            Ask::Look(look) => look(&self.coordinator),
            Ask::TransactionEnded { producer, committed } => {
                self.coordinator.transaction_ended(producer, committed, now);
            }
            Ask::TopicDeleted(topic) => {
                let commands = self.coordinator.forget_topic(&topic);
                self.obey(commands);
            }
        }
    }

    fn request(&mut self, request: &Request, reply: oneshot::Sender<Response>, now: Now) {
        if self.tickets.len() >= limits::TICKETS_MAX {
            // Who asked may have hung up.
            let _ = reply.send(request.refused(ErrorCode::COORDINATOR_NOT_AVAILABLE));
            return;
        }
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.tickets.insert(ticket, reply);
        let commands = self.coordinator.request(ticket, request, now);
        self.obey(commands);
    }

    fn persisted(&mut self, outcome: Result<(), ErrorCode>) {
        self.appending = None;
        if let Err(error) = outcome {
            warn!(%error, appends = self.sent.len(), "the log of positions refused a batch");
        }
        let now = self.now();
        for id in std::mem::take(&mut self.sent) {
            let commands = self.coordinator.persisted(id, outcome, now);
            self.obey(commands);
        }
        self.append();
    }

    /// Carries commands out; an append that cannot wait or be written fails at once, which may lead to others.
    fn obey(&mut self, commands: Vec<Command>) {
        let mut left = VecDeque::from(commands);
        while let Some(command) = left.pop_front() {
            match command {
                Command::Reply { ticket, response } => self.reply(ticket, response),
                Command::Persist { id, append } => {
                    if let Err(error) = self.enqueue(id, &append) {
                        let now = self.now();
                        left.extend(self.coordinator.persisted(id, Err(error), now));
                    }
                }
            }
        }
        self.append();
    }

    fn reply(&mut self, ticket: Ticket, response: Response) {
        if let Some(reply) = self.tickets.remove(&ticket) {
            // Who asked may have hung up.
            let _ = reply.send(response);
        }
    }

    fn enqueue(&mut self, id: PersistId, append: &Append) -> Result<(), ErrorCode> {
        if self.waiting.len() >= limits::APPENDS_MAX {
            return Err(ErrorCode::COORDINATOR_NOT_AVAILABLE);
        }
        let records: Result<Vec<_>, EncodeError> = append.records.iter().map(GroupRecord::to_bytes).collect();
        let records = records.map_err(|error| {
            warn!(%error, "a record of the log of positions cannot be written");
            ErrorCode::INVALID_REQUEST
        })?;
        let size = |(key, value): &(Bytes, Option<Bytes>)| key.len() + value.as_ref().map_or(0, Bytes::len);
        let bytes = records.iter().map(size).sum();
        self.waiting.push_back(Waiting { id, producer: append.producer, records, bytes });
        Ok(())
    }

    /// Sends the next batch unless one is on its way.
    fn append(&mut self) {
        if self.appending.is_some() {
            return;
        }
        let Some(first) = self.waiting.pop_front() else { return };
        let mut batch = OffsetsBatch { producer: first.producer, records: first.records };
        let mut bytes = first.bytes;
        self.sent.push(first.id);
        while let Some(next) = self.waiting.pop_front_if(|next| {
            next.producer == batch.producer && bytes + next.bytes <= limits::APPEND_BYTES_SHARED_MAX
        }) {
            bytes += next.bytes;
            batch.records.extend(next.records);
            self.sent.push(next.id);
        }
        let log = Arc::clone(&self.log);
        self.appending = Some(Box::pin(async move { log.append(batch).await }));
    }

    fn shutdown(mut self) {
        let now = self.now();
        for command in self.coordinator.shutdown(ErrorCode::NOT_COORDINATOR, now) {
            if let Command::Reply { ticket, response } = command
                && let Some(reply) = self.tickets.remove(&ticket)
            {
                // Who asked may have hung up.
                let _ = reply.send(response);
            }
        }
    }
}

async fn appended(appending: &mut Option<Appending>) -> Result<(), ErrorCode> {
    match appending {
        Some(append) => append.await,
        None => std::future::pending().await,
    }
}
