//! What was seen that proves a fault bit.

use serde::{Deserialize, Serialize};

/// What a fault did, as somebody who doubts it would want to read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The fault, as the drill file names it.
    pub fault: String,
    /// What it was aimed at.
    pub target: String,
    /// Whether anything was hit.
    pub bit: bool,
    /// What was observed: `pid 4711 ended by SIGKILL`, `connections cut: 6`.
    pub seen: Vec<String>,
}
