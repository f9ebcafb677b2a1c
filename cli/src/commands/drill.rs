//! `leeward drill`: rehearses, and reads reports.

use crate::{args::DrillCommand, exit::Exit};

/// Carries out the verb.
///
/// # Errors
///
/// Where the drill cannot be read or run.
pub(crate) async fn run(command: &DrillCommand) -> anyhow::Result<Exit> {
    match command {
        DrillCommand::Run { file, .. } => anyhow::bail!("{} cannot be run", file.display()),
        DrillCommand::Report { run } => anyhow::bail!("{} cannot be read", run.display()),
    }
}
