//! Connections to our own processes, for commands.

use std::time::Duration;

use leeward_proto::{control::control_client::ControlClient, link::link_client::LinkClient};
use tonic::transport::{Channel, Endpoint};

use crate::settings::Settings;

/// How long a command tries to reach a process.
const CONNECT_WAIT_MAX: Duration = Duration::from_secs(5);

/// A process of ours that does not answer.
#[derive(Debug, thiserror::Error)]
#[error("{what} at {address} does not answer; `{setting}` says where it is")]
pub(crate) struct Unreachable {
    what: &'static str,
    address: String,
    setting: &'static str,
    source: tonic::transport::Error,
}

async fn connect(what: &'static str, address: &str, setting: &'static str) -> Result<Channel, Unreachable> {
    let failed = |source| Unreachable { what, address: address.to_owned(), setting, source };
    let endpoint = Endpoint::from_shared(address.to_owned()).map_err(failed)?;
    endpoint.connect_timeout(CONNECT_WAIT_MAX).connect().await.map_err(failed)
}

/// The controller, as the settings name it.
///
/// # Errors
///
/// [`Unreachable`].
pub(crate) async fn controller(settings: &Settings) -> Result<ControlClient<Channel>, Unreachable> {
    let channel = connect("controller", &settings.peers.controller, "peers.controller").await?;
    Ok(ControlClient::new(channel))
}

/// The mirror agent that runs `link`: `agent` where given, else the settings' agent of the link's target.
///
/// # Errors
///
/// [`Unreachable`], or that nobody says where the agent is.
pub(crate) async fn mirror(
    settings: &Settings,
    link: &str,
    agent: Option<&str>,
) -> anyhow::Result<LinkClient<Channel>> {
    let named = || {
        let target = link.split("-to-").last().unwrap_or(link);
        settings.peers.mirrors.get(target).cloned()
    };
    let address = agent.map(str::to_owned).or_else(named).ok_or_else(|| {
        anyhow::anyhow!("nobody says where the agent of link {link} is; give --agent or `peers.mirrors`")
    })?;
    Ok(LinkClient::new(connect("mirror agent", &address, "peers.mirrors").await?))
}
