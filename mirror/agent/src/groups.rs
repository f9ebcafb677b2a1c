//! Carries consumer groups' positions over to the target, as soon as the target has what they have read.
//!
//! Where the source lets its `__consumer_offsets` be read, each commit is followed as it is written, and looks at all groups are
//! only a safety net; elsewhere the looks are all there is, and come often. The target forgets positions that stand still, so
//! these are carried again from time to time.

mod carry;
mod look;
mod renew;
mod tail;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use leeward_client::Cluster;
use leeward_mirror_core::groups::{Key, Positions, Renewals};
use leeward_model::{GroupName, SourceOffset, TargetOffset, TopicPartition};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    LinkConfig,
    clock::Clock,
    limits::{
        CARRY_AGAIN_EVERY, CARRY_PAUSE, GROUP_EVENTS_MAX, LOOK_PATIENCE, LOOK_WHILE_TAILING_EVERY,
        SEAL_COMPARE_MAX, TAIL_AGAIN_AFTER, TAIL_REFUSED_AGAIN_AFTER,
    },
    metrics::LinkMetrics,
    status::{Board, GroupsFollowed},
    task::Verb,
};
use carry::{CarriedPositions, Standby};
use look::Looked;
use tail::{Life, TailError};

/// A group's position as the link sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupStanding {
    pub group: GroupName,
    /// At the source.
    pub partition: TopicPartition,
    pub source: SourceOffset,
    /// `None` where it is not translated yet. While it waits for records: how far it was carried meanwhile.
    pub target: Option<TargetOffset>,
    /// `committed`, `waiting`, `skipped-active`, `skipped-ahead` or `unmapped`.
    pub state: &'static str,
}

/// What others may read of it.
pub(crate) type Standings = Arc<Mutex<BTreeMap<Key, GroupStanding>>>;

/// What the tasks around tell.
#[derive(Debug)]
enum Event {
    Looked { life: Option<Life>, looked: Option<Looked> },
    TailBegins { life: Life, starts: BTreeMap<i32, i64> },
    Committed { life: Life, partition: i32, records: Bytes },
    TailEnded { life: Life, error: TailError },
}

/// What the link knows of groups.
pub(crate) struct Groups {
    config: Arc<LinkConfig>,
    source: watch::Receiver<Option<Cluster>>,
    target: Cluster,
    verbs: mpsc::Sender<Verb>,
    metrics: LinkMetrics,
    board: Arc<Board>,
    positions: Positions,
    open: BTreeMap<Key, Standby>,
    carried: CarriedPositions,
    /// Positions that were carried, and are to be compared with what the target has.
    again: BTreeSet<Key>,
    renewals: Renewals,
    clock: Clock,
    /// When a position that the target does not have yet was last carried as far as it could be.
    so_far: BTreeMap<Key, Instant>,
    /// The link writes no more: what the target has is all that it gets.
    finishing: bool,
    standings: Standings,
    events: (mpsc::Sender<Event>, mpsc::Receiver<Event>),
    /// The attempt to follow the log that is under way.
    life: Life,
    /// Ends what reads for this side.
    stop: CancellationToken,
    /// Ends what reads the log, while it is followed.
    tail: Option<CancellationToken>,
    tail_due: Instant,
    looking: bool,
    /// All groups of the source were looked at.
    looked: bool,
    look_due: Instant,
}

/// What a link's groups are made of.
pub(crate) struct GroupParts {
    pub(crate) config: Arc<LinkConfig>,
    pub(crate) source: watch::Receiver<Option<Cluster>>,
    pub(crate) target: Cluster,
    pub(crate) verbs: mpsc::Sender<Verb>,
    pub(crate) metrics: LinkMetrics,
    pub(crate) board: Arc<Board>,
    pub(crate) standings: Standings,
}

impl Drop for Groups {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Groups {
    pub(crate) fn new(parts: GroupParts) -> Self {
        let GroupParts { config, source, target, verbs, metrics, board, standings } = parts;
        let now = Instant::now();
        board.status.lock().groups_known = config.groups.is_none();
        Self {
            config,
            source,
            target,
            verbs,
            metrics,
            board,
            positions: Positions::default(),
            open: BTreeMap::new(),
            carried: CarriedPositions::default(),
            again: BTreeSet::new(),
            renewals: Renewals::every(CARRY_AGAIN_EVERY),
            clock: Clock::start(),
            so_far: BTreeMap::new(),
            finishing: false,
            standings,
            events: mpsc::channel(GROUP_EVENTS_MAX),
            life: Life::default(),
            stop: CancellationToken::new(),
            tail: None,
            tail_due: now,
            looking: false,
            looked: false,
            look_due: now,
        }
    }

    /// Follows the groups for as long as it is polled.
    pub(crate) async fn run(&mut self) {
        let mut watermarks = self.board.watermarks.subscribe();
        let mut source = self.source.clone();
        let mut carry_due = Instant::now();
        let mut known = false;
        loop {
            self.begin_what_is_due();
            self.renew(self.clock.now());
            let wake = self.next_wake(carry_due);
            let wait_for_records = self.open.values().any(|standby| standby.waits_for_records());
            tokio::select! {
                biased;
                Some(event) = self.events.1.recv() => self.take(event),
                Ok(()) = watermarks.changed(), if wait_for_records => self.awake_waiting(),
                Ok(()) = source.changed() => {
                    self.look_due = Instant::now();
                    self.tail_due = Instant::now();
                }
                () = sleep_until(wake) => {}
            }
            let now = Instant::now();
            if carry_due <= now && self.next_due(now).is_some_and(|due| due <= now) {
                self.carry().await;
                carry_due = Instant::now() + CARRY_PAUSE;
            }
            if !known && self.looked && self.next_due(now).is_none_or(|due| due > now) {
                self.board.status.lock().groups_known = true;
                known = true;
            }
        }
    }

    /// Once more, at the end: for at most `within` reads what the source says last, then carries over what has moved. What stands
    /// still is compared with what the target has, which may have lost it.
    pub(crate) async fn finish(&mut self, within: Duration) {
        if !within.is_zero() {
            // In an emergency nobody may be there to say it.
            let _ = timeout(within, self.look_for_the_last_time()).await;
        }
        self.stop.cancel();
        while let Ok(event) = self.events.1.try_recv() {
            self.take(event);
        }
        self.finishing = true;
        let resting: Vec<_> =
            self.carried.keys().filter(|key| !self.open.contains_key(*key)).cloned().collect();
        self.again.extend(self.carried.keys().cloned());
        self.open.values_mut().for_each(|standby| *standby = Standby::Due);
        self.carry().await;
        // What is not compared in time stays as it was carried last.
        let _ = timeout(SEAL_COMPARE_MAX, self.compare(resting)).await;
    }

    async fn look_for_the_last_time(&mut self) {
        // A look that is under way began too early.
        while self.looking {
            self.take_next().await;
        }
        self.begin_look();
        while self.looking || self.positions.look_waits() {
            self.take_next().await;
        }
    }

    async fn take_next(&mut self) {
        let event = self.events.1.recv().await.expect("this side holds a sender too");
        self.take(event);
    }

    fn begin_what_is_due(&mut self) {
        let now = Instant::now();
        if self.tail.is_none() && self.tail_due <= now {
            self.begin_tail();
        }
        if !self.looking && self.look_due <= now {
            self.begin_look();
        }
    }

    fn begin_tail(&mut self) {
        let Some(source) = self.source.borrow().clone() else {
            self.tail_due = Instant::now() + TAIL_AGAIN_AFTER.min(self.config.groups_every);
            return;
        };
        self.life = self.life.next();
        let following = tail::follow(source, self.life, self.events.0.clone());
        let stop = self.stop.child_token();
        tokio::spawn(stop.clone().run_until_cancelled_owned(following));
        self.tail = Some(stop);
    }

    fn begin_look(&mut self) {
        self.look_due = Instant::now() + self.config.groups_every;
        let source = self.source.borrow().clone();
        let Some((source, selector)) = source.zip(self.config.groups.clone()) else { return };
        self.positions.look_begins();
        self.looking = true;
        let life = self.positions.follows_log().then_some(self.life);
        let events = self.events.0.clone();
        tokio::spawn(async move {
            let looked = look::look(source, selector, life.is_some()).await;
            // The link's end is no news.
            let _ = events.send(Event::Looked { life, looked }).await;
        });
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Looked { life, looked } => {
                self.looking = false;
                if let Some((look, ends)) = looked {
                    let current = life == Some(self.life);
                    self.positions.looked(look, ends.filter(|_| current));
                    self.looked |= !self.positions.follows_log();
                    self.count();
                }
                self.look_due = Instant::now() + self.look_every();
            }
            Event::TailBegins { life, starts } if life == self.life => {
                self.positions.follow_log(starts);
                self.look_due = Instant::now();
            }
            Event::Committed { life, partition, records } if life == self.life => {
                let selector = self.config.groups.as_ref();
                let wanted =
                    |group: &GroupName| selector.is_some_and(|selector| selector.matches_group(group));
                if let Err(error) = self.positions.read(partition, records, wanted) {
                    // What the old tail still sends belongs to a life that is over.
                    self.life = self.life.next();
                    self.lose_tail(
                        &format!("partition {partition} of the log: {error}"),
                        TAIL_REFUSED_AGAIN_AFTER,
                    );
                }
            }
            Event::TailEnded { life, error } if life == self.life => {
                let again = if error.lasts() { TAIL_REFUSED_AGAIN_AFTER } else { TAIL_AGAIN_AFTER };
                self.lose_tail(&error.to_string(), again);
            }
            Event::TailBegins { .. } | Event::Committed { .. } | Event::TailEnded { .. } => {}
        }
        if self.positions.is_settled() {
            self.looked = true;
            self.tell_how(GroupsFollowed::Tail);
        }
        for key in self.positions.take_changed() {
            self.open.insert(key, Standby::Due);
        }
    }

    fn lose_tail(&mut self, why: &str, again: Duration) {
        if let Some(stop) = self.tail.take() {
            stop.cancel();
        }
        self.tail_due = Instant::now() + again;
        self.look_due = self.look_due.min(Instant::now() + self.config.groups_every);
        self.positions.follow_looks();
        self.tell_how(GroupsFollowed::Poll { why: why.to_owned() });
    }

    fn look_every(&self) -> Duration {
        if self.positions.is_settled() {
            LOOK_WHILE_TAILING_EVERY.max(self.config.groups_every)
        } else if self.positions.look_waits() {
            LOOK_PATIENCE.max(self.config.groups_every)
        } else if self.positions.follows_log() {
            // The look that the log needs failed, or began too early to be joined with it.
            TAIL_AGAIN_AFTER.min(self.config.groups_every)
        } else {
            self.config.groups_every
        }
    }

    fn tell_how(&self, followed: GroupsFollowed) {
        let mut status = self.board.status.lock();
        if status.groups == followed {
            return;
        }
        match &followed {
            GroupsFollowed::Tail => {
                info!(link = %self.config.name, "group commits are followed as they are written");
            }
            GroupsFollowed::Poll { why } => {
                warn!(link = %self.config.name, %why, every = ?self.config.groups_every, "group positions are polled");
            }
            GroupsFollowed::Nothing => {}
        }
        self.metrics.groups_followed(followed.name());
        status.groups = followed;
    }

    /// The target has more: positions that wait for it may go on.
    fn awake_waiting(&mut self) {
        for standby in self.open.values_mut().filter(|standby| standby.waits_for_records()) {
            *standby = Standby::Due;
        }
    }

    /// When the next position is due.
    fn next_due(&self, now: Instant) -> Option<Instant> {
        let due = self.open.values().filter_map(|standby| match standby {
            Standby::Due => Some(now),
            Standby::Records => None,
            Standby::RecordsUntil(then) | Standby::Until(then) => Some(*then),
        });
        due.min()
    }

    fn next_wake(&self, carry_due: Instant) -> Instant {
        let look = if self.looking { None } else { Some(self.look_due) };
        let tail = if self.tail.is_some() { None } else { Some(self.tail_due) };
        let carry = self.next_due(Instant::now()).map(|due| due.max(carry_due));
        let renewal = self.renewals.next().map(|due| Instant::now() + due.since(self.clock.now()));
        let wakes = [look, tail, carry, renewal];
        wakes.into_iter().flatten().min().unwrap_or_else(|| Instant::now() + LOOK_WHILE_TAILING_EVERY)
    }
}
