//! One group: its state, members and generation. The steps that change them stand beside this file.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bytes::Bytes;
use leeward_model::{GroupName, Instant, WallTime};
use leeward_wire::ErrorCode;

use super::{
    Description, GroupMetadata, GroupRecord, Identity, JoinReply, JoinedMember, Listing, Now, Protocol,
    Response, SyncReply,
    effects::Context,
    member::{Member, Waiting},
    subscription::Subscription,
};

/// One group.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: GroupName,
    pub(super) state: State,
    /// When it came into its state.
    pub(super) since: WallTime,
    /// `None` for a group that only stores positions.
    pub(super) protocol_type: Option<String>,
    /// Chosen with each generation.
    pub(super) protocol: Option<String>,
    pub(super) generation: i32,
    pub(super) leader: Option<String>,
    /// By member id. None in `Empty` and `Dead`.
    pub(super) members: BTreeMap<String, Member>,
    /// Member ids of static members, by instance id.
    pub(super) statics: BTreeMap<String, String>,
    /// Ids that were handed out and not used yet, with the end of their life.
    pub(super) pending: BTreeMap<String, Instant>,
    pub(super) subscription: Subscription,
    /// Appends about this group that are on their way.
    pub(super) in_flight: usize,
}

/// Where a group is between two generations.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It has no members.
    Empty,
    /// Members are awaited for the next generation until `deadline`.
    PreparingRebalance { deadline: Instant, initial: Option<InitialDelay> },
    /// The generation stands; its leader's assignment is awaited.
    CompletingRebalance { unsynced: Option<Unsynced> },
    /// Everybody can have its assignment.
    Stable { unsynced: Option<Unsynced> },
    /// It is being deleted.
    Dead,
}

impl State {
    /// Kafka's name of the state.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance { .. } => "PreparingRebalance",
            Self::CompletingRebalance { .. } => "CompletingRebalance",
            Self::Stable { .. } => "Stable",
            Self::Dead => "Dead",
        }
    }
}

/// The first rebalance of an empty group waits for members that start a little later.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct InitialDelay {
    /// How much longer it may be put off.
    pub(super) remaining: Duration,
    /// Members came since it was last put off.
    pub(super) newcomers: bool,
}

/// Members that have not asked for their assignment, never none, and when they are removed for it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unsynced {
    pub(super) members: BTreeSet<String>,
    pub(super) deadline: Instant,
}

impl Group {
    pub(super) fn new(name: GroupName, now: Now) -> Self {
        Self {
            name,
            state: State::Empty,
            since: now.wall,
            protocol_type: None,
            protocol: None,
            generation: 0,
            leader: None,
            members: BTreeMap::new(),
            statics: BTreeMap::new(),
            pending: BTreeMap::new(),
            subscription: Subscription::Topics(BTreeSet::new()),
            in_flight: 0,
        }
    }

    /// A group out of the log.
    pub(super) fn loaded(name: GroupName, metadata: GroupMetadata, now: Now) -> Self {
        let mut group = Self::new(name, now);
        group.since = metadata.since;
        group.protocol_type = Some(metadata.protocol_type).filter(|name| !name.is_empty());
        group.generation = metadata.generation;
        if metadata.members.is_empty() {
            return group;
        }
        group.state = State::Stable { unsynced: None };
        group.protocol = metadata.protocol;
        for stored in metadata.members {
            let id = stored.member.id.clone();
            if let Some(instance) = &stored.member.instance_id {
                group.statics.insert(instance.clone(), id.clone());
            }
            group.members.insert(id, Member::loaded(stored, group.protocol.as_deref(), now));
        }
        let first = group.members.keys().next().cloned();
        group.leader = metadata.leader.filter(|leader| group.members.contains_key(leader)).or(first);
        group.read_subscription();
        group
    }

    /// Notes which topics its members read, as far as they told.
    pub(super) fn read_subscription(&mut self) {
        let (kind, protocol) = (self.protocol_type.as_deref(), self.protocol.as_deref());
        self.subscription = Subscription::of(kind, protocol, self.members.values());
    }

    pub(super) fn enter(&mut self, state: State, now: Now) {
        self.state = state;
        self.since = now.wall;
    }

    pub(super) fn is_leader(&self, id: &str) -> bool {
        self.leader.as_deref() == Some(id)
    }

    /// True where the client is who it says it is.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_MEMBER_ID`, or `FENCED_INSTANCE_ID` where another has taken its place.
    pub(super) fn validate_member(&self, member: &Identity) -> Result<(), ErrorCode> {
        match &member.instance_id {
            Some(instance) => match self.statics.get(instance) {
                Some(current) if *current == member.id => Ok(()),
                Some(_) => Err(ErrorCode::FENCED_INSTANCE_ID),
                None => Err(ErrorCode::UNKNOWN_MEMBER_ID),
            },
            None if self.members.contains_key(&member.id) => Ok(()),
            None => Err(ErrorCode::UNKNOWN_MEMBER_ID),
        }
    }

    /// True where a member with these protocols can live with the others.
    pub(super) fn supports(&self, protocol_type: &str, protocols: &[Protocol]) -> bool {
        if self.members.is_empty() && matches!(self.state, State::Empty) {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols
                .iter()
                .any(|protocol| self.members.values().all(|member| member.knows(&protocol.name)))
    }

    /// The protocol that most members like best among those that all know; on a draw, what the leader likes best.
    pub(super) fn elect_protocol(&self) -> Option<String> {
        let candidates: BTreeSet<&str> = self.candidates();
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.members.values() {
            let vote =
                member.protocols.iter().find(|protocol| candidates.contains(protocol.name.as_str()))?;
            *votes.entry(vote.name.as_str()).or_default() += 1;
        }
        let most = votes.values().max()?;
        let leader = self.leader.as_ref().and_then(|leader| self.members.get(leader))?;
        let ranked = leader.protocols.iter().map(|protocol| protocol.name.as_str());
        ranked.into_iter().find(|name| votes.get(name) == Some(most)).map(str::to_owned)
    }

    fn candidates(&self) -> BTreeSet<&str> {
        let mut members = self.members.values();
        let Some(first) = members.next() else { return BTreeSet::new() };
        let names = first.protocols.iter().map(|protocol| protocol.name.as_str());
        let mut common: BTreeSet<&str> = names.collect();
        for member in members {
            common.retain(|name| member.knows(name));
        }
        common
    }

    pub(super) fn rebalance_timeout(&self) -> Duration {
        self.members.values().map(|member| member.rebalance_timeout).max().unwrap_or_default()
    }

    /// What a member is told about the generation that stands.
    pub(super) fn joined(&self, id: &str) -> JoinReply {
        JoinReply {
            error: ErrorCode::NONE,
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            skip_assignment: false,
            member_id: id.to_owned(),
            members: if self.is_leader(id) { self.seen_by_leader() } else { Vec::new() },
        }
    }

    pub(super) fn seen_by_leader(&self) -> Vec<JoinedMember> {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let members = self.members.iter();
        members
            .map(|(id, member)| JoinedMember {
                member: member.identity(id),
                metadata: member.metadata(protocol),
            })
            .collect()
    }

    /// Answers a member that waits for its generation.
    pub(super) fn answer_join(&mut self, id: &str, reply: JoinReply, cx: &mut Context<'_>) {
        let Some(member) = self.members.get_mut(id) else { return };
        if let Some(Waiting::Join(ticket)) = member.waiting {
            member.waiting = None;
            cx.reply(ticket, Response::Join(reply));
        }
    }

    /// Lets a member wait for `waiting`; a request of its own that waited before is told to come again.
    pub(super) fn wait(&mut self, id: &str, waiting: Waiting, cx: &mut Context<'_>) {
        let Some(member) = self.members.get_mut(id) else { return };
        if let Some(before) = member.waiting.replace(waiting) {
            refuse(before, id, ErrorCode::REBALANCE_IN_PROGRESS, cx);
        }
    }

    /// Takes a member out; what it waits for is refused with `error`.
    pub(super) fn remove(&mut self, id: &str, error: ErrorCode, cx: &mut Context<'_>) {
        let Some(member) = self.members.remove(id) else { return };
        if let Some(waiting) = member.waiting {
            let told = if error == ErrorCode::UNKNOWN_MEMBER_ID { "" } else { id };
            refuse(waiting, told, error, cx);
        }
        if let Some(instance) = &member.instance_id
            && self.statics.get(instance).is_some_and(|current| current == id)
        {
            self.statics.remove(instance);
        }
        if self.is_leader(id) {
            self.leader = self.members.keys().next().cloned();
        }
        self.has_synced(id);
    }

    /// Strikes a member off those that have not asked for their assignment.
    pub(super) fn has_synced(&mut self, id: &str) {
        if let State::CompletingRebalance { unsynced } | State::Stable { unsynced } = &mut self.state
            && let Some(left) = unsynced
        {
            left.members.remove(id);
            if left.members.is_empty() {
                *unsynced = None;
            }
        }
    }

    /// The record that brings the group back, with `assignments` in place of what the members have.
    pub(super) fn record(&self, assignments: Option<&BTreeMap<String, Bytes>>) -> GroupRecord {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let members = self.members.iter().map(|(id, member)| {
            let assignment = match assignments {
                Some(assignments) => assignments.get(id).cloned().unwrap_or_default(),
                None => member.assignment.clone(),
            };
            member.stored(id, protocol, assignment)
        });
        let metadata = GroupMetadata {
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            since: self.since,
            members: members.collect(),
        };
        GroupRecord::Group { group: self.name.clone(), value: Some(metadata) }
    }

    pub(super) fn describe(&self) -> Description {
        let chosen = match self.state {
            State::Stable { .. } => self.protocol.as_deref(),
            State::Empty
            | State::PreparingRebalance { .. }
            | State::CompletingRebalance { .. }
            | State::Dead => None,
        };
        Description {
            state: self.state.name(),
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            protocol: chosen.unwrap_or_default().to_owned(),
            members: self.members.iter().map(|(id, member)| member.describe(id, chosen)).collect(),
        }
    }

    pub(super) fn list(&self) -> Listing {
        Listing {
            group: self.name.clone(),
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            state: self.state.name(),
        }
    }
}

/// Refuses what a member waits for.
pub(super) fn refuse(waiting: Waiting, id: &str, error: ErrorCode, cx: &mut Context<'_>) {
    match waiting {
        Waiting::Join(ticket) => cx.reply(ticket, Response::Join(JoinReply::refused(id, error))),
        Waiting::Sync(ticket) => cx.reply(ticket, Response::Sync(SyncReply::refused(error))),
    }
}
