//! One file for each verb.

pub(crate) mod check;
pub(crate) mod drill;
pub(crate) mod events;
pub(crate) mod link;
pub(crate) mod policy;
pub(crate) mod serve;
pub(crate) mod status;
pub(crate) mod up;
pub(crate) mod verb;
