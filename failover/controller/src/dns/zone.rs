//! One zone in memory: what it answers, and how an update changes it. No sockets, no files.

mod update;

use std::collections::BTreeMap;

use hickory_proto::rr::{
    Name, RData, Record, RecordType,
    rdata::{NS, SOA},
};

use super::limits::{ABSENCE_TTL_SECONDS, ALIASES_MAX};

/// Seconds that a secondary would wait; there is none, but a SOA has the fields.
const SOA_REFRESH: i32 = 60;
const SOA_RETRY: i32 = 10;
const SOA_EXPIRE: i32 = 86_400;

/// The records of one name and type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RecordSet {
    pub(crate) ttl: u32,
    pub(crate) data: Vec<RData>,
}

/// A zone's records and its serial.
///
/// Invariant: names are lowercase and inside the zone; no set is empty; a name with a CNAME has nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Zone {
    origin: Name,
    serial: u32,
    sets: BTreeMap<(Name, RecordType), RecordSet>,
}

/// What a zone says about a question.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Records(Vec<Record>),
    /// The name exists, with other types.
    NoSuchType,
    NoSuchName,
    OutsideZone,
}

impl Zone {
    pub(crate) fn new(origin: &Name) -> Self {
        Self { origin: folded(origin), serial: 1, sets: BTreeMap::new() }
    }

    /// `None` where `records` break the zone's invariant.
    pub(crate) fn from_records(origin: &Name, serial: u32, records: Vec<Record>) -> Option<Self> {
        let mut zone = Self { serial, ..Self::new(origin) };
        for record in records {
            let inside = zone.origin.zone_of(&record.name);
            if !inside || !update::is_kept(record.record_type()) || !zone.add(record) {
                return None;
            }
        }
        Some(zone)
    }

    pub(crate) fn origin(&self) -> &Name {
        &self.origin
    }

    pub(crate) fn serial(&self) -> u32 {
        self.serial
    }

    /// Every record that updates made, in a fixed order.
    pub(crate) fn records(&self) -> impl Iterator<Item = Record> {
        self.sets.iter().flat_map(|((name, _), set)| set.records(name))
    }

    /// The zone's own record, which also tells how long an absence may be remembered.
    pub(crate) fn start_of_authority(&self) -> Record {
        let host = |label| self.origin.prepend_label(label).unwrap_or_else(|_| self.origin.clone());
        let data = SOA::new(
            host("ns"),
            host("hostmaster"),
            self.serial,
            SOA_REFRESH,
            SOA_RETRY,
            SOA_EXPIRE,
            ABSENCE_TTL_SECONDS,
        );
        Record::from_rdata(self.origin.clone(), ABSENCE_TTL_SECONDS, RData::SOA(data))
    }

    fn name_server(&self) -> Record {
        let host = self.origin.prepend_label("ns").unwrap_or_else(|_| self.origin.clone());
        Record::from_rdata(self.origin.clone(), ABSENCE_TTL_SECONDS, RData::NS(NS(host)))
    }

    pub(crate) fn answer(&self, name: &Name, kind: RecordType) -> Answer {
        let mut name = folded(name);
        if !self.origin.zone_of(&name) {
            return Answer::OutsideZone;
        }
        if name == self.origin && matches!(kind, RecordType::SOA | RecordType::NS) {
            let own = if kind == RecordType::SOA { self.start_of_authority() } else { self.name_server() };
            return Answer::Records(vec![own]);
        }
        let mut records = Vec::new();
        for _ in 0..ALIASES_MAX {
            if let Some(set) = self.set(&name, kind) {
                records.extend(set.records(&name));
                break;
            }
            let Some(alias) = self.set(&name, RecordType::CNAME) else { break };
            records.extend(alias.records(&name));
            let Some(RData::CNAME(target)) = alias.data.first() else { break };
            name = folded(&target.0);
        }
        if !records.is_empty() {
            return Answer::Records(records);
        }
        if self.exists(&name) { Answer::NoSuchType } else { Answer::NoSuchName }
    }

    pub(crate) fn set(&self, name: &Name, kind: RecordType) -> Option<&RecordSet> {
        self.sets.get(&(folded(name), kind))
    }

    /// Whether the name holds anything itself.
    fn in_use(&self, name: &Name) -> bool {
        *name == self.origin || self.sets.keys().any(|(used, _)| used == name)
    }

    /// Whether the name holds anything, or something below it does.
    fn exists(&self, name: &Name) -> bool {
        *name == self.origin || self.sets.keys().any(|(used, _)| name.zone_of(used))
    }

    /// Adds one record as RFC 2136 §3.4.2.2 says; `false` where a CNAME stands in the way.
    fn add(&mut self, record: Record) -> bool {
        let (name, kind) = (folded(&record.name), record.record_type());
        let conflicts = |used: &Name, other: RecordType| {
            *used == name && other != kind && (kind == RecordType::CNAME || other == RecordType::CNAME)
        };
        if self.sets.keys().any(|(used, other)| conflicts(used, *other)) {
            return false;
        }
        let set =
            self.sets.entry((name, kind)).or_insert_with(|| RecordSet { ttl: record.ttl, data: Vec::new() });
        set.ttl = record.ttl;
        if kind == RecordType::CNAME {
            set.data.clear();
        }
        if !set.data.contains(&record.data) {
            set.data.push(record.data);
        }
        true
    }
}

impl RecordSet {
    fn records(&self, name: &Name) -> impl Iterator<Item = Record> {
        let (name, ttl) = (name.clone(), self.ttl);
        self.data.clone().into_iter().map(move |data| Record::from_rdata(name.clone(), ttl, data))
    }

    /// Equal as sets: order and TTL do not matter (RFC 2136 §3.2.3).
    fn holds_exactly(&self, data: &[&RData]) -> bool {
        self.data.len() == data.len() && data.iter().all(|one| self.data.contains(one))
    }
}

/// Names compare without case; the zone keeps them in lower case.
pub(crate) fn folded(name: &Name) -> Name {
    let mut name = name.to_lowercase();
    name.set_fqdn(true);
    name
}
