//! Names and record sets as DNS compares them.

use hickory_proto::rr::{Name, RData};

/// A full name, with or without the dot at its end.
pub(crate) fn absolute(text: &str) -> Option<Name> {
    let mut name = Name::from_ascii(text).ok().filter(|name| !name.is_root())?;
    name.set_fqdn(true);
    Some(name)
}

/// Record sets are sets: neither order nor TTL matters.
pub(crate) fn same_set(one: &[RData], other: &[RData]) -> bool {
    one.iter().all(|data| other.contains(data)) && other.iter().all(|data| one.contains(data))
}
