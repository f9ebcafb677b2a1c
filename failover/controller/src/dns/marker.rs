//! The epoch that stands beside a managed name: a TXT record that every update of ours is conditional on.

use std::fmt;

use hickory_proto::rr::{Name, RData, rdata::TXT};
use leeward_model::{FencingEpoch, RegionName};

/// First label of the names that hold markers.
const LABEL: &str = "_leeward-epoch";

/// Which promotion a managed name follows, as published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochMarker {
    pub epoch: FencingEpoch,
    pub region: RegionName,
}

/// A marker's name holds something that we did not write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is no epoch of ours")]
pub struct ForeignMarker {
    pub found: Vec<String>,
}

impl EpochMarker {
    /// The name of the marker beside `managed`.
    pub(crate) fn name_beside(managed: &Name) -> Option<Name> {
        managed.prepend_label(LABEL).ok()
    }

    /// Whether `name` is the name of a marker.
    pub(crate) fn is_beside_a_name(name: &Name) -> bool {
        name.iter().next().is_some_and(|label| label.eq_ignore_ascii_case(LABEL.as_bytes()))
    }

    /// What a record set holds: one TXT record of one string.
    pub(crate) fn read<'a>(data: impl Iterator<Item = &'a RData>) -> Result<Self, ForeignMarker> {
        let texts: Vec<String> = data.map(text).collect();
        match texts.as_slice() {
            [one] => parse(one).ok_or(ForeignMarker { found: texts }),
            _ => Err(ForeignMarker { found: texts }),
        }
    }

    pub(crate) fn record(&self) -> RData {
        RData::TXT(TXT::new(vec![self.to_string()]))
    }
}

impl fmt::Display for EpochMarker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "epoch={} region={}", self.epoch.to_wire(), self.region)
    }
}

fn text(data: &RData) -> String {
    match data {
        RData::TXT(txt) => txt.txt_data.iter().map(|part| String::from_utf8_lossy(part)).collect(),
        other => other.to_string(),
    }
}

fn parse(text: &str) -> Option<EpochMarker> {
    let (epoch, region) = text.strip_prefix("epoch=")?.split_once(" region=")?;
    let digits = !epoch.is_empty() && epoch.bytes().all(|byte| byte.is_ascii_digit());
    let epoch = if digits { epoch.parse().ok()? } else { return None };
    Some(EpochMarker { epoch: FencingEpoch::from_wire(epoch)?, region: RegionName::new(region).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn txt(strings: &[&str]) -> RData {
        RData::TXT(TXT::new(strings.iter().map(|&string| string.to_owned()).collect()))
    }

    #[test]
    fn a_marker_survives_its_text() {
        let marker = EpochMarker {
            epoch: FencingEpoch::from_wire(u64::MAX).unwrap(),
            region: RegionName::new("eu-west").unwrap(),
        };

        assert_eq!(EpochMarker::read([marker.record()].iter()), Ok(marker));
    }

    #[test]
    fn what_we_did_not_write_is_foreign() {
        for texts in
            ["", "epoch=0 region=a", "epoch=+7 region=a", "epoch=7", "epoch=7 region=", "v=spf1 -all"]
        {
            assert!(EpochMarker::read([txt(&[texts])].iter()).is_err(), "{texts}");
        }
        let two = [txt(&["epoch=7 region=a"]), txt(&["epoch=8 region=b"])];
        assert!(EpochMarker::read(two.iter()).is_err());
    }
}
