//! The two regions and the witness, by index and by name.

use leeward_model::RegionName;

const SITES: [&str; 3] = ["a", "b", "w"];

pub(crate) fn name(site: usize) -> RegionName {
    RegionName::new(SITES[site]).expect("a legal name")
}

pub(crate) fn site(region: &RegionName) -> usize {
    SITES.iter().position(|name| region.as_str() == *name).expect("only regions that there are")
}
