//! `leeward serve`: the daemon of a topology. Builds each role's configuration from policy and settings, starts the
//! roles, waits for the end, stops them.

use crate::{args::ServeArguments, exit::Exit, settings::Settings};

/// Carries out the verb.
///
/// # Errors
///
/// Where a role cannot start.
pub(crate) async fn run(arguments: &ServeArguments, settings: &Settings) -> anyhow::Result<Exit> {
    crate::telemetry::start(&settings.log)?;
    let Some(topology) = super::policy::one_topology(&arguments.policy)? else {
        return Ok(Exit::InvalidPolicy);
    };
    anyhow::bail!("no role of {} can be started", topology.document.metadata.name)
}
