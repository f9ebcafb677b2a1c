//! How a drill goes, for whoever watches it.

use std::time::Duration;

/// Who is told how a drill goes.
pub trait Progress: std::fmt::Debug + Send + Sync {
    /// Something happened, in one line.
    fn happened(&self, line: &str);

    /// How things stand, a few times a second.
    fn stands(&self, standing: &Standing);
}

/// A drill at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    pub elapsed: Duration,
    /// What the drill itself is at.
    pub doing: &'static str,
    /// What the controller says; `None` while it does not answer.
    pub estate: Option<EstateStanding>,
    pub routes: Vec<RouteStanding>,
}

/// The regions as the controller saw them last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EstateStanding {
    pub phase: String,
    pub acting: String,
    /// `None`: nobody measures it.
    pub rpo: Option<Duration>,
    pub buffered_bytes: u64,
    /// Names and healths.
    pub regions: Vec<(String, String)>,
}

/// One kind of client.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteStanding {
    pub name: String,
    pub sent: u64,
    pub acked: u64,
    /// Acknowledgements a second, lately.
    pub rate: f64,
    /// Attempts that failed.
    pub failed: u64,
    /// Time since its last acknowledgement, as far as it was looked at.
    pub silent: Duration,
    /// Acknowledged records that are missing or doubled in the logs; `None` until the logs are looked at.
    pub lost_and_duplicated: Option<(u64, u64)>,
}
