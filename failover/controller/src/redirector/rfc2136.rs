//! Moves a name at any server that takes dynamic updates (RFC 2136), by compare-and-set on the epoch beside it.
//!
//! One update carries the prerequisite, the new epoch and the new targets, so all three happen or none does. What
//! the servers hold is read before and after; nothing is assumed from an answer that was lost.

use std::{fmt, net::SocketAddr, time::Duration};

use futures::future::BoxFuture;
use hickory_proto::{
    op::{Message, OpCode, Query, ResponseCode},
    rr::{DNSClass, Name, RData, Record, RecordType, rdata::tsig::TsigError},
};
use leeward_model::{FencingEpoch, RegionName, with_causes};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    DnsMetrics, ManagedName, Published, RedirectError, Redirected, Redirector, Sighting, resolvers::Vantages,
};
use crate::{
    dns::{EpochMarker, ExchangeError, ForeignMarker, Reply, Tsig, ask, same_set, tell},
    limits::NAME_LOOK_EVERY,
};

/// Tries of one compare-and-set. Each further one means that another actor's update came between.
const SETS_MAX: usize = 4;
/// Between two looks at a server that has yet to take over a change.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Where a name is served, changed and confirmed.
#[derive(Clone, Debug)]
pub struct NameServers {
    /// `rfc2136` or `embedded`, as in the policy.
    pub provider: &'static str,
    /// `host:port` of the primary, which takes updates. Resolved again for every exchange.
    pub primary: String,
    /// Other authoritative servers; a move counts only once they answer it too.
    pub secondaries: Vec<SocketAddr>,
    /// Recursive resolvers, asked as clients ask them.
    pub resolvers: Vec<SocketAddr>,
    pub key: Option<Tsig>,
    /// Longest wait for secondaries and resolvers.
    pub confirm_within: Duration,
}

/// A name at servers that take dynamic updates.
pub struct Rfc2136Redirector {
    name: ManagedName,
    servers: NameServers,
    vantages: Vantages,
    /// What this process moved the name to last.
    moved: Mutex<Option<EpochMarker>>,
}

/// How a move that succeeded went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    Moved,
    /// An earlier, equal move had done it.
    AlreadyThere,
}

/// Why a name was not moved.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    #[error("the name follows `{published}`, a decision that is not older than ours")]
    Stale { published: EpochMarker },
    #[error("no targets in region {region}")]
    NoTarget { region: RegionName },
    #[error("{server} refused: {refusal}")]
    Refused { server: SocketAddr, refusal: Refusal },
    #[error(transparent)]
    Foreign(#[from] ForeignMarker),
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    #[error("no address of name server `{server}`: {reason}")]
    NoAddress { server: String, reason: String },
    #[error("other updates came between {SETS_MAX} times")]
    Contended,
    #[error("{server} does not answer the new targets yet")]
    NotConfirmed { server: SocketAddr },
}

/// What a server said instead of doing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The key's name is known, its secret is another.
    BadSignature,
    /// No key of that name.
    BadKey,
    /// The clocks differ by more than the signature allows.
    BadTime,
    Code(ResponseCode),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadSignature => f.write_str("BADSIG, the key's secret is not the server's"),
            Self::BadKey => f.write_str("BADKEY, the server knows no key of that name and algorithm"),
            Self::BadTime => f.write_str("BADTIME, the clocks of both sides are too far apart"),
            Self::Code(code) => write!(f, "{code}"),
        }
    }
}

/// What one authoritative server holds for a name.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Held {
    marker: Option<EpochMarker>,
    /// The name's own records, of whichever target type.
    targets: Vec<RData>,
}

enum Step {
    Done,
    Set { expected: Option<EpochMarker> },
}

impl Rfc2136Redirector {
    pub fn new(name: ManagedName, servers: NameServers) -> Self {
        let vantages = Vantages::new(&servers.resolvers);
        Self { name, servers, vantages, moved: Mutex::new(None) }
    }

    pub fn managed(&self) -> &ManagedName {
        &self.name
    }

    /// Moves the name at the primary server; returns when it holds the new epoch and targets.
    pub async fn move_to(&self, to: &RegionName, epoch: FencingEpoch) -> Result<Move, MoveError> {
        let targets =
            self.name.targets(to).ok_or_else(|| MoveError::NoTarget { region: to.clone() })?.to_vec();
        let ours = EpochMarker { epoch, region: to.clone() };
        let server = self.primary().await?;
        let mut done = Move::AlreadyThere;
        for _ in 0..SETS_MAX {
            let held = self.held_by(server).await?;
            let Step::Set { expected } = step(&held, &ours, &targets)? else {
                *self.moved.lock() = Some(ours);
                return Ok(done);
            };
            let update = self.update(expected.as_ref(), &ours, &targets, &held);
            let reply = tell(server, update, self.servers.key.as_ref()).await?;
            match reply.code() {
                ResponseCode::NoError => done = Move::Moved,
                ResponseCode::NXRRSet
                | ResponseCode::YXRRSet
                | ResponseCode::NXDomain
                | ResponseCode::YXDomain => {
                    info!(name = self.name.text(), %epoch, "another update came first");
                }
                _ => return Err(MoveError::Refused { server, refusal: refusal(&reply) }),
            }
        }
        Err(MoveError::Contended)
    }

    async fn primary(&self) -> Result<SocketAddr, MoveError> {
        let server = &self.servers.primary;
        let none = |reason: String| MoveError::NoAddress { server: server.clone(), reason };
        let mut found = tokio::net::lookup_host(server).await.map_err(|error| none(error.to_string()))?;
        found.next().ok_or_else(|| none("it has none".into()))
    }

    /// The compare-and-set: all of it happens, or nothing.
    fn update(
        &self,
        expected: Option<&EpochMarker>,
        ours: &EpochMarker,
        targets: &[RData],
        held: &Held,
    ) -> Message {
        let (name, marker, ttl) = (self.name.name(), self.name.marker(), self.name.ttl());
        let mut message = Message::query();
        message.metadata.op_code = OpCode::Update;
        message.metadata.recursion_desired = false;
        message.add_query(Query::query(self.name.zone().clone(), RecordType::SOA));
        message.add_answer(match expected {
            Some(expected) => Record::from_rdata(marker.clone(), 0, expected.record()),
            None => nothing(marker, RecordType::TXT, DNSClass::NONE),
        });
        message.add_authority(nothing(marker, RecordType::TXT, DNSClass::ANY));
        message.add_authority(Record::from_rdata(marker.clone(), ttl, ours.record()));
        let other = held.targets.iter().map(RData::record_type).find(|kind| *kind != self.name.kind());
        for kind in other.into_iter().chain([self.name.kind()]) {
            message.add_authority(nothing(name, kind, DNSClass::ANY));
        }
        for target in targets {
            message.add_authority(Record::from_rdata(name.clone(), ttl, target.clone()));
        }
        message
    }

    async fn held_by(&self, server: SocketAddr) -> Result<Held, MoveError> {
        let marker = records_of(server, self.name.marker(), RecordType::TXT).await?;
        let marker = if marker.is_empty() { None } else { Some(EpochMarker::read(marker.iter())?) };
        Ok(Held { marker, targets: records_of(server, self.name.name(), RecordType::A).await? })
    }

    /// Waits until every authoritative server holds `ours`.
    async fn confirm(&self, ours: &EpochMarker, until: Instant) -> Result<(), MoveError> {
        let primary = self.primary().await?;
        for server in self.servers.secondaries.iter().copied().chain([primary]) {
            loop {
                let held = self.held_by(server).await;
                match held {
                    Ok(held) if self.agrees(&held, ours) => break,
                    Ok(Held { marker: Some(published), .. }) if published.epoch > ours.epoch => {
                        return Err(MoveError::Stale { published });
                    }
                    Ok(_) if Instant::now() >= until => return Err(MoveError::NotConfirmed { server }),
                    Err(error) if Instant::now() >= until => return Err(error),
                    Ok(_) | Err(_) => sleep(LOOK_EVERY).await,
                }
            }
        }
        Ok(())
    }

    fn agrees(&self, held: &Held, marker: &EpochMarker) -> bool {
        held.marker.as_ref() == Some(marker)
            && self.name.targets(&marker.region).is_some_and(|targets| same_set(targets, &held.targets))
    }

    async fn redirected(&self, to: &RegionName, epoch: FencingEpoch) -> Result<Redirected, MoveError> {
        let until = Instant::now() + self.servers.confirm_within;
        let done = self.move_to(to, epoch).await?;
        let ours = EpochMarker { epoch, region: to.clone() };
        self.confirm(&ours, until).await?;
        let views = self.vantages.wait_for(&self.name, to, until).await;
        let name = self.name.text();
        for view in views.iter().filter(|view| !view.agrees) {
            warn!(name, resolver = %view.resolver, answer = ?view.answer, "resolver does not answer the new targets");
        }
        info!(name, region = %to, %epoch, ?done, "name redirected");
        let agreeing = views.iter().filter(|view| view.agrees).count();
        Ok(Redirected { resolvers_agreeing: agreeing as u32, resolvers: views.len() as u32 })
    }

    /// What the primary server and every resolver answer at this moment.
    ///
    /// Epoch and targets are two questions, and an update may come between: what looks like drift is looked at again.
    pub async fn look(&self) -> Result<Sighting, RedirectError> {
        let first = self.seen(&self.held().await?);
        let mut sighting = if first.drifted() { self.seen(&self.held().await?) } else { first };
        if let Some(expected) = &sighting.expected {
            sighting.resolvers = self.vantages.look(&self.name, expected).await;
        }
        Ok(sighting)
    }

    fn seen(&self, held: &Held) -> Sighting {
        let ours = self.moved.lock().clone();
        let latest = ours.into_iter().chain(held.marker.clone()).max_by_key(|marker| marker.epoch);
        Sighting {
            published: self.published_by(held),
            expected: latest.map(|marker| marker.region),
            answer: held.targets.iter().map(ToString::to_string).collect(),
            resolvers: Vec::new(),
        }
    }

    fn published_by(&self, held: &Held) -> Published {
        let region = self.name.region_of(&held.targets).cloned();
        Published { region, epoch: held.marker.as_ref().map(|marker| marker.epoch) }
    }

    async fn held(&self) -> Result<Held, RedirectError> {
        let failed = |error: MoveError| self.told(error, None);
        let server = self.primary().await.map_err(failed)?;
        self.held_by(server).await.map_err(failed)
    }

    fn told(&self, error: MoveError, ours: Option<FencingEpoch>) -> RedirectError {
        let name = self.name.text().to_owned();
        match (error, ours) {
            (MoveError::Stale { published }, Some(ours)) => {
                RedirectError::Stale { name, published: published.epoch, ours }
            }
            (MoveError::NoTarget { region }, _) => RedirectError::NoTarget { name, region },
            (error, _) => RedirectError::Failed { name, reason: with_causes(&error) },
        }
    }
}

impl fmt::Debug for Rfc2136Redirector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rfc2136Redirector")
            .field("name", &self.name.text())
            .field("servers", &self.servers)
            .finish_non_exhaustive()
    }
}

impl Redirector for Rfc2136Redirector {
    fn name(&self) -> &str {
        self.name.text()
    }

    fn provider(&self) -> &str {
        self.servers.provider
    }

    fn confirm_within(&self) -> Duration {
        self.servers.confirm_within
    }

    fn redirect<'a>(
        &'a self,
        to: &'a RegionName,
        epoch: FencingEpoch,
    ) -> BoxFuture<'a, Result<Redirected, RedirectError>> {
        Box::pin(
            async move { self.redirected(to, epoch).await.map_err(|error| self.told(error, Some(epoch))) },
        )
    }

    fn published(&self) -> BoxFuture<'_, Result<Published, RedirectError>> {
        Box::pin(async move { Ok(self.published_by(&self.held().await?)) })
    }

    fn watch<'a>(
        &'a self,
        metrics: &'a DnsMetrics,
        stop: &'a CancellationToken,
        on: &'a mut (dyn FnMut(&Result<Sighting, RedirectError>) + Send),
    ) -> BoxFuture<'a, ()> {
        Box::pin(super::drift::watch(self, metrics, NAME_LOOK_EVERY, stop, on))
    }
}

/// What is left to do, given what the server holds.
fn step(held: &Held, ours: &EpochMarker, targets: &[RData]) -> Result<Step, MoveError> {
    match &held.marker {
        Some(published) if published.epoch > ours.epoch => {
            Err(MoveError::Stale { published: published.clone() })
        }
        Some(published) if published.epoch == ours.epoch && published.region != ours.region => {
            Err(MoveError::Stale { published: published.clone() })
        }
        Some(published) if published == ours && same_set(targets, &held.targets) => Ok(Step::Done),
        expected => Ok(Step::Set { expected: expected.clone() }),
    }
}

/// The records that `name` itself holds at an authoritative server; a question for A shows a CNAME as well.
async fn records_of(server: SocketAddr, name: &Name, kind: RecordType) -> Result<Vec<RData>, MoveError> {
    let reply = ask(server, name, kind).await?;
    own_records(reply, name, kind).map_err(|refusal| MoveError::Refused { server, refusal })
}

fn own_records(reply: Reply, name: &Name, kind: RecordType) -> Result<Vec<RData>, Refusal> {
    match reply.code() {
        ResponseCode::NoError | ResponseCode::NXDomain if reply.message.metadata.authoritative => {}
        _ => return Err(refusal(&reply)),
    }
    let own = reply.message.answers.into_iter().filter(|record| record.name == *name);
    let wanted =
        own.filter(|record| record.record_type() == kind || record.record_type() == RecordType::CNAME);
    Ok(wanted.map(|record| record.data).collect())
}

/// What an answer to one of this redirector's two questions says, as [`Rfc2136Redirector::look`] takes it.
pub(crate) fn read_answer(name: &ManagedName, answer: Message, kind: RecordType) {
    let asked = if kind == RecordType::TXT { name.marker() } else { name.name() };
    let Ok(records) = own_records(Reply { message: answer }, asked, kind) else { return };
    let _ = (EpochMarker::read(records.iter()), name.region_of(&records));
}

/// A record without data, as RFC 2136 writes "none" and "all".
fn nothing(name: &Name, kind: RecordType, class: DNSClass) -> Record {
    let mut record = Record::update0(name.clone(), 0, kind);
    record.dns_class = class;
    record
}

fn refusal(reply: &Reply) -> Refusal {
    match reply.signature_error() {
        Some(TsigError::BadSig) => Refusal::BadSignature,
        Some(TsigError::BadKey) => Refusal::BadKey,
        Some(TsigError::BadTime) => Refusal::BadTime,
        Some(_) | None => Refusal::Code(reply.code()),
    }
}

#[cfg(test)]
#[path = "rfc2136_tests.rs"]
mod tests;
