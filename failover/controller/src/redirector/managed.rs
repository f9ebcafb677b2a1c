//! A managed name: what it answers while each region is primary. Checked once, so that nothing later can leave it empty.

use std::{collections::BTreeMap, time::Duration};

use hickory_proto::rr::{
    Name, RData, RecordType,
    rdata::{A, CNAME},
};
use leeward_model::RegionName;
use leeward_policies::{DnsRecord, DnsRecordType};

use crate::dns::{EpochMarker, absolute, same_set};

/// A name, and its targets by region.
///
/// Invariant: the name lies in the zone; every region has at least one target, all of one type, and no two regions
/// have the same targets.
#[derive(Clone, Debug)]
pub struct ManagedName {
    text: String,
    name: Name,
    marker: Name,
    zone: Name,
    kind: RecordType,
    ttl: u32,
    targets: BTreeMap<RegionName, Vec<RData>>,
}

/// Why a name cannot be managed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidManagedName {
    #[error("`{0}` is not a name")]
    Name(String),
    #[error("`{name}` does not lie in zone `{zone}`")]
    OutsideZone { name: String, zone: String },
    #[error("`{name}` has no region at all")]
    NoRegion { name: String },
    #[error("`{name}` would be left empty while {region} is primary")]
    Empty { name: String, region: RegionName },
    #[error("`{target}` is not {expected}")]
    Target { target: String, expected: &'static str },
    #[error("`{name}` answers the same for {first} and {second}, so a move would not be seen")]
    SameTargets { name: String, first: RegionName, second: RegionName },
}

impl ManagedName {
    pub fn new(
        name: &str,
        zone: &str,
        kind: DnsRecordType,
        ttl: Duration,
        targets: BTreeMap<RegionName, Vec<String>>,
    ) -> Result<Self, InvalidManagedName> {
        let illegal = |text: &str| InvalidManagedName::Name(text.to_owned());
        let text = name.trim_end_matches('.').to_owned();
        let (name, zone) =
            (absolute(name).ok_or_else(|| illegal(name))?, absolute(zone).ok_or_else(|| illegal(zone))?);
        if !zone.zone_of(&name) || zone == name {
            return Err(InvalidManagedName::OutsideZone { name: text, zone: zone.to_ascii() });
        }
        let marker = EpochMarker::name_beside(&name).ok_or_else(|| illegal(&text))?;
        let mut read = BTreeMap::new();
        for (region, targets) in targets {
            let data =
                targets.iter().map(|target| target_record(kind, target)).collect::<Result<Vec<_>, _>>()?;
            if data.is_empty() {
                return Err(InvalidManagedName::Empty { name: text, region });
            }
            read.insert(region, data);
        }
        let kind = match kind {
            DnsRecordType::A => RecordType::A,
            DnsRecordType::Cname => RecordType::CNAME,
        };
        let ttl = u32::try_from(ttl.as_secs()).unwrap_or(u32::MAX >> 1);
        let managed = Self { text, name, marker, zone, kind, ttl, targets: read };
        managed.tells_regions_apart()?;
        Ok(managed)
    }

    /// A name as the policy has it, in the zone that its provider serves.
    pub fn of_policy(record: &DnsRecord, zone: &str) -> Result<Self, InvalidManagedName> {
        let targets = record.targets.iter();
        let targets =
            targets.map(|(region, targets)| (region.clone(), targets.as_slice().to_vec())).collect();
        Self::new(&record.name, zone, record.record_type, record.ttl, targets)
    }

    fn tells_regions_apart(&self) -> Result<(), InvalidManagedName> {
        if self.targets.is_empty() {
            return Err(InvalidManagedName::NoRegion { name: self.text.clone() });
        }
        for (first, targets) in &self.targets {
            let twin =
                self.targets.iter().find(|(second, other)| *second > first && same_set(targets, other));
            if let Some((second, _)) = twin {
                let (name, first, second) = (self.text.clone(), first.clone(), second.clone());
                return Err(InvalidManagedName::SameTargets { name, first, second });
            }
        }
        Ok(())
    }

    /// As clients write it, without the dot at its end.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn regions(&self) -> impl Iterator<Item = &RegionName> {
        self.targets.keys()
    }

    pub(crate) fn name(&self) -> &Name {
        &self.name
    }

    pub(crate) fn marker(&self) -> &Name {
        &self.marker
    }

    pub(crate) fn zone(&self) -> &Name {
        &self.zone
    }

    pub(crate) fn kind(&self) -> RecordType {
        self.kind
    }

    pub(crate) fn ttl(&self) -> u32 {
        self.ttl
    }

    pub(crate) fn targets(&self, region: &RegionName) -> Option<&[RData]> {
        self.targets.get(region).map(Vec::as_slice)
    }

    /// The region whose targets these are; `None` where somebody else chose them.
    pub(crate) fn region_of(&self, answer: &[RData]) -> Option<&RegionName> {
        self.targets.iter().find(|(_, targets)| same_set(targets, answer)).map(|(region, _)| region)
    }
}

fn target_record(kind: DnsRecordType, target: &str) -> Result<RData, InvalidManagedName> {
    let wrong = |expected| InvalidManagedName::Target { target: target.to_owned(), expected };
    match kind {
        DnsRecordType::A => {
            target.parse().map(|address| RData::A(A(address))).map_err(|_| wrong("an IPv4 address"))
        }
        DnsRecordType::Cname => {
            absolute(target).map(|name| RData::CNAME(CNAME(name))).ok_or_else(|| wrong("a name"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn managed(
        zone: &str,
        kind: DnsRecordType,
        targets: &[(&str, &[&str])],
    ) -> Result<ManagedName, InvalidManagedName> {
        let targets = targets.iter().map(|(region, targets)| {
            let targets = targets.iter().map(|&target| target.to_owned()).collect();
            (RegionName::new(region).unwrap(), targets)
        });
        ManagedName::new("kafka.example.test", zone, kind, Duration::from_secs(15), targets.collect())
    }

    #[test]
    fn a_region_without_targets_is_refused() {
        let refused = managed("example.test", DnsRecordType::A, &[("ams", &["127.0.0.1"]), ("fra", &[])]);

        assert!(matches!(refused, Err(InvalidManagedName::Empty { .. })));
    }

    #[test]
    fn a_name_outside_the_zone_is_refused() {
        let refused = managed("example.org", DnsRecordType::A, &[("ams", &["127.0.0.1"])]);

        assert!(matches!(refused, Err(InvalidManagedName::OutsideZone { .. })));
    }

    #[test]
    fn regions_that_answer_the_same_are_refused() {
        let same = [("ams", &["127.0.0.1", "127.0.0.2"][..]), ("fra", &["127.0.0.2", "127.0.0.1"][..])];

        let refused = managed("example.test", DnsRecordType::A, &same);

        assert!(matches!(refused, Err(InvalidManagedName::SameTargets { .. })));
    }

    #[test]
    fn answers_are_compared_without_order_and_case() {
        let managed =
            managed("example.test", DnsRecordType::Cname, &[("ams", &["Ams.example.test"])]).unwrap();
        let answer = [RData::CNAME(CNAME(absolute("ams.EXAMPLE.test.").unwrap()))];

        assert_eq!(managed.region_of(&answer).map(ToString::to_string).as_deref(), Some("ams"));
    }
}
