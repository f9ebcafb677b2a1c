//! Connections to our own processes, for commands.

use std::time::Duration;

use anyhow::Context;
use leeward_proto::{control::control_client::ControlClient, link::link_client::LinkClient};
use tonic::transport::Channel;

use crate::{settings::Settings, tls};

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

/// How long a question may take that only reads.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(10);

/// A process of ours that is reached and says nothing.
#[derive(Debug, thiserror::Error)]
#[error("the controller has not answered for {} s, though it is reached: it hangs, or is overloaded", ANSWER_WAIT_MAX.as_secs())]
pub(crate) struct Silent;

/// Waits for an answer of the controller that only reads.
///
/// # Errors
///
/// [`Silent`], or what the controller refuses.
pub(crate) async fn answered<T>(
    asking: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>,
) -> anyhow::Result<T> {
    let answer = tokio::time::timeout(ANSWER_WAIT_MAX, asking).await.map_err(|_| Silent)?;
    Ok(answer?.into_inner())
}

/// Waits until a verb is over. The controller goes on with it where nobody waits any more, so that is said.
///
/// # Errors
///
/// What the controller refuses.
pub(crate) async fn carried_out<T>(
    asking: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>,
) -> anyhow::Result<Option<T>> {
    tokio::select! {
        biased;
        answer = asking => Ok(Some(answer?.into_inner())),
        _ = tokio::signal::ctrl_c() => {
            eprintln!("not waited for any more; the controller goes on: `leeward status -w` shows it");
            Ok(None)
        }
    }
}

async fn connect(
    settings: &Settings,
    what: &'static str,
    address: &str,
    setting: &'static str,
) -> anyhow::Result<Channel> {
    let peer = tls::transport(settings)?.peer(address).with_context(|| format!("`{setting}`"))?;
    let connected = peer.connect_timeout(CONNECT_WAIT_MAX).connect().await;
    Ok(connected.map_err(|source| Unreachable { what, address: address.to_owned(), setting, source })?)
}

/// The controller, as the settings name it.
///
/// # Errors
///
/// [`Unreachable`], or that certificates cannot be used.
pub(crate) async fn controller(settings: &Settings) -> anyhow::Result<ControlClient<Channel>> {
    let channel = connect(settings, "controller", &settings.controller(), "peers.controller").await?;
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
    Ok(LinkClient::new(connect(settings, "mirror agent", &address, "peers.mirrors").await?))
}
