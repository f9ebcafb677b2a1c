//! All groups of one coordinator: routes requests to groups, keeps their timers, and applies appends once
//! they are durable.

use std::collections::{BTreeMap, BTreeSet};

use leeward_model::{GroupName, Instant, ProducerId, TopicName};
use leeward_wire::ErrorCode;

use super::{
    Command, Description, GroupRecord, GroupSettings, Listing, Now, OffsetStore, PersistId, Request, Ticket,
    classic::Group,
    effects::{Context, Effects, Pending, told},
};

mod durable;
mod requests;

/// All groups of one coordinator.
///
/// Invariant: every ticket is answered exactly once, at the latest by [`GroupCoordinator::shutdown`].
#[derive(Debug)]
pub struct GroupCoordinator {
    settings: GroupSettings,
    groups: BTreeMap<GroupName, Group>,
    offsets: OffsetStore,
    pending: BTreeMap<PersistId, Pending>,
    next_persist: u64,
    /// When each group has something to do; both ways round.
    timers: BTreeSet<(Instant, GroupName)>,
    timer_of: BTreeMap<GroupName, Instant>,
    next_sweep: Instant,
}

impl GroupCoordinator {
    pub fn new(settings: GroupSettings) -> Self {
        Self {
            groups: BTreeMap::new(),
            offsets: OffsetStore::default(),
            pending: BTreeMap::new(),
            next_persist: 0,
            timers: BTreeSet::new(),
            timer_of: BTreeMap::new(),
            next_sweep: Instant::ZERO.after(settings.offsets_check_every),
            settings,
        }
    }

    /// Takes one request; its answer is among the commands of this call or of a later one.
    pub fn request(&mut self, ticket: Ticket, request: &Request, now: Now) -> Vec<Command> {
        let mut effects = Effects::default();
        match request {
            Request::Join(join) => self.join(ticket, join, now, &mut effects),
            Request::Sync(sync) => self.sync(ticket, sync, now, &mut effects),
            Request::Heartbeat(heartbeat) => self.heartbeat(ticket, heartbeat, now, &mut effects),
            Request::Leave(leave) => self.leave(ticket, leave, now, &mut effects),
            Request::Commit(commit) => self.commit(ticket, commit, now, &mut effects),
            Request::DeleteGroup(group) => self.delete_group(ticket, group, &mut effects),
            Request::DeleteOffsets(delete) => self.delete_offsets(ticket, delete, &mut effects),
        }
        self.commands(effects)
    }

    /// An append is durable, or the log has refused it. Outcomes come in the order of the appends.
    pub fn persisted(&mut self, id: PersistId, outcome: Result<(), ErrorCode>, now: Now) -> Vec<Command> {
        let Some(Pending { group: name, after }) = self.pending.remove(&id) else { return Vec::new() };
        if let Some(group) = self.groups.get_mut(&name) {
            group.in_flight = group.in_flight.saturating_sub(1);
        }
        let mut effects = Effects::default();
        match outcome {
            Ok(()) => self.apply(&name, after, now, &mut effects),
            Err(error) => self.give_up(&name, after, told(error), now, &mut effects),
        }
        self.commands(effects)
    }

    /// A transaction that committed positions has ended, and its marker stands in the log.
    pub fn transaction_ended(&mut self, producer: ProducerId, committed: bool, now: Now) {
        for name in self.offsets.end_transaction(producer, committed) {
            self.groups.entry(name.clone()).or_insert_with(|| Group::new(name, now));
        }
    }

    /// A topic is gone: so are all positions in it.
    pub fn forget_topic(&mut self, topic: &TopicName) -> Vec<Command> {
        let mut effects = Effects::default();
        for name in self.groups.keys() {
            let partitions = self.offsets.of_group(name).map(|(partition, _)| partition);
            let gone = partitions.filter(|partition| partition.topic == *topic).cloned().collect();
            durable::forget(name, gone, false, &mut effects);
        }
        self.commands(effects)
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Now) -> Vec<Command> {
        let mut effects = Effects::default();
        let due = self.timers.iter().take_while(|(at, _)| *at <= now.instant);
        for name in due.map(|(_, name)| name.clone()).collect::<Vec<_>>() {
            self.on_group(&name, now, &mut effects, |_, _| ());
        }
        if self.next_sweep <= now.instant {
            self.next_sweep = now.instant.after(self.settings.offsets_check_every);
            self.sweep(now, &mut effects);
        }
        self.commands(effects)
    }

    /// When [`GroupCoordinator::tick`] has something to do.
    pub fn next_deadline(&self) -> Instant {
        self.timers.first().map_or(self.next_sweep, |(at, _)| self.next_sweep.min(*at))
    }

    /// Answers all that wait with `error`; nothing may be asked afterwards.
    pub fn shutdown(mut self, error: ErrorCode, now: Now) -> Vec<Command> {
        let mut effects = Effects::default();
        for pending in std::mem::take(&mut self.pending).into_values() {
            effects.replies.extend(pending.after.refused(error));
        }
        for group in self.groups.values_mut() {
            let mut cx = Context { now, settings: &self.settings, effects: &mut effects };
            for id in group.members.keys().cloned().collect::<Vec<_>>() {
                group.remove(&id, error, &mut cx);
            }
        }
        effects.appends.clear();
        self.commands(effects)
    }

    /// A group as it is; `None` where there is none.
    pub fn describe(&self, group: &GroupName) -> Option<Description> {
        self.groups.get(group).map(Group::describe)
    }

    pub fn list(&self) -> impl Iterator<Item = Listing> {
        self.groups.values().map(Group::list)
    }

    pub fn offsets(&self) -> &OffsetStore {
        &self.offsets
    }

    /// Takes over one record of the log, before the first request; `producer` is that of a transactional batch.
    pub fn load(&mut self, producer: Option<ProducerId>, record: GroupRecord, now: Now) {
        match record {
            GroupRecord::Offset { group, partition, value: Some(position) } => match producer {
                Some(producer) => self.offsets.put_open(producer, &group, partition, position),
                None => self.offsets.put(&group, partition, position),
            },
            GroupRecord::Offset { group, partition, value: None } => self.offsets.remove(&group, &partition),
            GroupRecord::Group { group, value: Some(metadata) } => {
                self.groups.insert(group.clone(), Group::loaded(group, metadata, now));
            }
            GroupRecord::Group { group, value: None } => {
                self.groups.remove(&group);
            }
        }
    }

    /// The log is read to its end: from `now` on members have their session timeout to show up.
    pub fn loaded(&mut self, now: Now) {
        for name in self.offsets.groups() {
            self.groups.entry(name.clone()).or_insert_with(|| Group::new(name.clone(), now));
        }
        for group in self.groups.values_mut() {
            for member in group.members.values_mut() {
                member.heard(now);
            }
        }
        for name in self.groups.keys().cloned().collect::<Vec<_>>() {
            self.index(&name);
        }
        self.next_sweep = now.instant.after(self.settings.offsets_check_every);
    }

    /// Lets a group take a step and then do what is due.
    fn on_group(
        &mut self,
        name: &GroupName,
        now: Now,
        effects: &mut Effects,
        step: impl FnOnce(&mut Group, &mut Context<'_>),
    ) {
        if let Some(group) = self.groups.get_mut(name) {
            let mut cx = Context { now, settings: &self.settings, effects };
            step(group, &mut cx);
            group.tick(&mut cx);
        }
        self.index(name);
    }

    /// Brings a group's timer up to date.
    fn index(&mut self, name: &GroupName) {
        let next = self.groups.get(name).and_then(Group::next_deadline);
        if self.timer_of.get(name).copied() == next {
            return;
        }
        if let Some(before) = self.timer_of.remove(name) {
            self.timers.remove(&(before, name.clone()));
        }
        if let Some(next) = next {
            self.timer_of.insert(name.clone(), next);
            self.timers.insert((next, name.clone()));
        }
    }

    /// Makes effects into commands, and remembers what follows the appends.
    fn commands(&mut self, effects: Effects) -> Vec<Command> {
        let replies = effects.replies.into_iter();
        let mut commands: Vec<Command> =
            replies.map(|(ticket, response)| Command::Reply { ticket, response }).collect();
        for (append, pending) in effects.appends {
            if let Some(group) = self.groups.get_mut(&pending.group) {
                group.in_flight += 1;
            }
            let id = PersistId(self.next_persist);
            self.next_persist += 1;
            self.pending.insert(id, pending);
            commands.push(Command::Persist { id, append });
        }
        commands
    }
}
