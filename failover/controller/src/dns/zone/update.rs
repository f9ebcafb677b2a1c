//! RFC 2136: whether an update's prerequisites hold, and the zone that it leads to.
//!
//! Stricter than the RFC where a mistake would cost an outage: a name that clients resolve is never left empty,
//! and the epoch beside it never goes back, whoever asks.

use std::collections::{BTreeMap, BTreeSet};

use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{DNSClass, Name, RData, Record, RecordData as _, RecordType},
};

use super::{Zone, folded};
use crate::dns::{
    EpochMarker,
    limits::{RECORD_SETS_MAX, RECORDS_PER_SET_MAX},
};

/// Types that an update may hold.
pub(super) fn is_kept(kind: RecordType) -> bool {
    matches!(kind, RecordType::A | RecordType::CNAME | RecordType::TXT)
}

/// Types that clients resolve to a place.
fn is_target(kind: RecordType) -> bool {
    matches!(kind, RecordType::A | RecordType::CNAME)
}

impl Zone {
    /// The zone after `update`; its serial is higher where anything changed.
    ///
    /// # Errors
    ///
    /// The code to answer with; nothing changed then.
    pub(crate) fn updated(&self, update: &Message) -> Result<Self, ResponseCode> {
        self.is_addressed(update)?;
        self.prerequisites(&update.answers)?;
        for change in &update.authorities {
            self.is_legal(change)?;
        }
        let mut next = self.clone();
        for change in &update.authorities {
            next.apply(change);
        }
        self.keeps_what_must_stay(&next)?;
        if next != *self {
            next.serial = self.serial.wrapping_add(1).max(1);
        }
        Ok(next)
    }

    fn is_addressed(&self, update: &Message) -> Result<(), ResponseCode> {
        let [zone] = update.queries.as_slice() else { return Err(ResponseCode::FormErr) };
        if zone.query_type() != RecordType::SOA {
            return Err(ResponseCode::FormErr);
        }
        if folded(zone.name()) != self.origin || zone.query_class() != DNSClass::IN {
            return Err(ResponseCode::NotAuth);
        }
        Ok(())
    }

    /// RFC 2136 §3.2.
    fn prerequisites(&self, records: &[Record]) -> Result<(), ResponseCode> {
        let mut wanted: BTreeMap<(Name, RecordType), Vec<&RData>> = BTreeMap::new();
        for record in records {
            if record.ttl != 0 {
                return Err(ResponseCode::FormErr);
            }
            let (name, kind) = (folded(&record.name), record.record_type());
            if !self.origin.zone_of(&name) {
                return Err(ResponseCode::NotZone);
            }
            let any = kind == RecordType::ANY;
            let holds = if any { self.in_use(&name) } else { self.set(&name, kind).is_some() };
            match (record.dns_class, record.data.is_update()) {
                (DNSClass::IN, _) if !any => wanted.entry((name, kind)).or_default().push(&record.data),
                (DNSClass::ANY, true) if !holds => {
                    return Err(if any { ResponseCode::NXDomain } else { ResponseCode::NXRRSet });
                }
                (DNSClass::NONE, true) if holds => {
                    return Err(if any { ResponseCode::YXDomain } else { ResponseCode::YXRRSet });
                }
                (DNSClass::ANY | DNSClass::NONE, true) => {}
                _ => return Err(ResponseCode::FormErr),
            }
        }
        let equal = |((name, kind), data): (&(Name, RecordType), &Vec<&RData>)| {
            self.set(name, *kind).is_some_and(|set| set.holds_exactly(data))
        };
        if wanted.iter().all(equal) { Ok(()) } else { Err(ResponseCode::NXRRSet) }
    }

    /// RFC 2136 §3.4.1, and what this zone keeps.
    fn is_legal(&self, change: &Record) -> Result<(), ResponseCode> {
        if !self.origin.zone_of(&change.name) {
            return Err(ResponseCode::NotZone);
        }
        let kind = change.record_type();
        let whole = change.data.is_update();
        let well_formed = match change.dns_class {
            DNSClass::IN => !whole,
            DNSClass::NONE => !whole && change.ttl == 0,
            DNSClass::ANY => whole && change.ttl == 0,
            _ => false,
        };
        let of_any_type = whole && kind == RecordType::ANY;
        match (well_formed, of_any_type || is_kept(kind)) {
            (true, true) => Ok(()),
            (true, false) => Err(ResponseCode::Refused),
            (false, _) => Err(ResponseCode::FormErr),
        }
    }

    /// RFC 2136 §3.4.2. An addition that a CNAME forbids is ignored, as the RFC says.
    fn apply(&mut self, change: &Record) {
        let (name, kind) = (folded(&change.name), change.record_type());
        match change.dns_class {
            DNSClass::ANY if kind == RecordType::ANY => self.sets.retain(|(used, _), _| *used != name),
            DNSClass::ANY => drop(self.sets.remove(&(name, kind))),
            DNSClass::NONE => {
                let key = (name, kind);
                if let Some(set) = self.sets.get_mut(&key) {
                    set.data.retain(|data| *data != change.data);
                    if set.data.is_empty() {
                        self.sets.remove(&key);
                    }
                }
            }
            _ => drop(self.add(change.clone())),
        }
    }

    fn keeps_what_must_stay(&self, next: &Self) -> Result<(), ResponseCode> {
        let has_target =
            |zone: &Self, name: &Name| zone.sets.keys().any(|(used, kind)| used == name && is_target(*kind));
        let names: BTreeSet<&Name> = self.sets.keys().map(|(name, _)| name).collect();
        for name in names {
            if !next.in_use(name) || (has_target(self, name) && !has_target(next, name)) {
                return Err(ResponseCode::Refused);
            }
            let epoch = |zone: &Self| zone.marker(name).map(|marker| marker.epoch);
            if epoch(self).is_some() && epoch(next) < epoch(self) {
                return Err(ResponseCode::Refused);
            }
        }
        let too_long = |data: usize| data > RECORDS_PER_SET_MAX;
        if next.sets.len() > RECORD_SETS_MAX || next.sets.values().any(|set| too_long(set.data.len())) {
            return Err(ResponseCode::Refused);
        }
        Ok(())
    }

    /// The epoch beside a managed name, where `name` is the name of such a record.
    fn marker(&self, name: &Name) -> Option<EpochMarker> {
        if !EpochMarker::is_beside_a_name(name) {
            return None;
        }
        let set = self.set(name, RecordType::TXT)?;
        EpochMarker::read(set.data.iter()).ok()
    }
}

#[cfg(test)]
#[path = "update_tests.rs"]
mod tests;
