//! What the process's exit says. Stable: scripts depend on it.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Done,
    /// The command could not do what it was asked.
    Failed,
    /// The arguments do not fit together.
    Usage,
    /// The controller does not answer.
    Unreachable,
    /// Another operation is under way.
    Busy,
    /// A cluster refuses who we are, or what we have to do there.
    NotPermitted,
    /// The policy file is wrong.
    InvalidPolicy,
    /// A drill's fault did not bite, or the drill could not be judged.
    Inconclusive,
    /// A drill broke a budget.
    BudgetBroken,
    /// Ctrl-C.
    Interrupted,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 64,
            Exit::Unreachable => 69,
            Exit::Busy => 75,
            Exit::NotPermitted => 77,
            Exit::InvalidPolicy => 78,
            Exit::Inconclusive => 98,
            Exit::BudgetBroken => 99,
            Exit::Interrupted => 130,
        })
    }
}
