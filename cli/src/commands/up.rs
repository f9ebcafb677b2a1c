//! `leeward up`: two embedded regions with everything around them.

use crate::{args::UpArguments, exit::Exit};

/// Carries out the verb.
///
/// # Errors
///
/// Where the estate cannot start.
pub(crate) async fn run(arguments: &UpArguments) -> anyhow::Result<Exit> {
    anyhow::bail!("{} cannot be used", arguments.data.display())
}
