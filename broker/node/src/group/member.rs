//! One member of a group.

use std::time::Duration;

use bytes::Bytes;
use leeward_model::Instant;

use super::{Caller, Identity, Join, MemberDescription, MemberMetadata, Now, Protocol, Ticket, limits};

/// One member of a group.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) instance_id: Option<String>,
    pub(super) caller: Caller,
    pub(super) rebalance_timeout: Duration,
    pub(super) session_timeout: Duration,
    pub(super) protocols: Vec<Protocol>,
    pub(super) assignment: Bytes,
    pub(super) waiting: Option<Waiting>,
    /// True until its first generation.
    pub(super) is_new: bool,
    /// When its silence ends its membership; does not count while it waits, unless it is new.
    pub(super) expires: Instant,
}

/// The answer that a member waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    Join(Ticket),
    Sync(Ticket),
}

impl Member {
    pub(super) fn new(ticket: Ticket, join: &Join, now: Now) -> Self {
        Self {
            instance_id: join.member.instance_id.clone(),
            caller: join.caller.clone(),
            rebalance_timeout: join.rebalance_timeout,
            session_timeout: join.session_timeout,
            protocols: join.protocols.clone(),
            assignment: Bytes::new(),
            waiting: Some(Waiting::Join(ticket)),
            is_new: true,
            expires: now.instant.after(limits::NEW_MEMBER_JOIN_TIMEOUT),
        }
    }

    /// A member out of the log: it has its session timeout to show that it is still there.
    pub(super) fn loaded(metadata: MemberMetadata, protocol: Option<&str>, now: Now) -> Self {
        let protocols = protocol
            .map(|name| Protocol { name: name.to_owned(), metadata: metadata.subscription })
            .into_iter()
            .collect();
        Self {
            instance_id: metadata.member.instance_id,
            caller: metadata.caller,
            rebalance_timeout: metadata.rebalance_timeout,
            session_timeout: metadata.session_timeout,
            protocols,
            assignment: metadata.assignment,
            waiting: None,
            is_new: false,
            expires: now.instant.after(metadata.session_timeout),
        }
    }

    pub(super) fn is_static(&self) -> bool {
        self.instance_id.is_some()
    }

    pub(super) fn waits_for_join(&self) -> bool {
        matches!(self.waiting, Some(Waiting::Join(_)))
    }

    pub(super) fn identity(&self, id: &str) -> Identity {
        Identity { id: id.to_owned(), instance_id: self.instance_id.clone() }
    }

    /// Takes over what a member says anew.
    pub(super) fn update(&mut self, join: &Join) {
        self.rebalance_timeout = join.rebalance_timeout;
        self.session_timeout = join.session_timeout;
        self.protocols.clone_from(&join.protocols);
    }

    /// Counts the session timeout from `now`.
    pub(super) fn heard(&mut self, now: Now) {
        self.expires = now.instant.after(self.session_timeout);
    }

    /// When its silence ends its membership; `None` while it cannot be silent because it waits for us.
    pub(super) fn deadline(&self) -> Option<Instant> {
        (self.is_new || self.waiting.is_none()).then_some(self.expires)
    }

    /// What it says for a protocol; empty for one that it does not know.
    pub(super) fn metadata(&self, protocol: &str) -> Bytes {
        let known = self.protocols.iter().find(|known| known.name == protocol);
        known.map(|known| known.metadata.clone()).unwrap_or_default()
    }

    pub(super) fn knows(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|known| known.name == protocol)
    }

    pub(super) fn describe(&self, id: &str, protocol: Option<&str>) -> MemberDescription {
        MemberDescription {
            member: self.identity(id),
            caller: self.caller.clone(),
            metadata: protocol.map(|protocol| self.metadata(protocol)).unwrap_or_default(),
            assignment: protocol.map(|_| self.assignment.clone()).unwrap_or_default(),
        }
    }

    pub(super) fn stored(&self, id: &str, protocol: &str, assignment: Bytes) -> MemberMetadata {
        MemberMetadata {
            member: self.identity(id),
            caller: self.caller.clone(),
            rebalance_timeout: self.rebalance_timeout,
            session_timeout: self.session_timeout,
            subscription: self.metadata(protocol),
            assignment,
        }
    }
}
