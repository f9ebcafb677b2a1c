//! The gateway's TLS: the policy's words as a listener's, read again when its files change.

use anyhow::Context;
use leeward_policies::{ListenerTls, SecretRef};
use leeward_proto::transport::{Clients, Identity, ServerTls};
use secrecy::ExposeSecret;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use super::secret;
use crate::tls::REREAD_EVERY;

/// What the gateway shows to applications and wants of them.
#[derive(PartialEq, Eq)]
struct Read {
    identity: Identity,
    client_ca: Option<String>,
}

/// The TLS of the gateway's listener. Where all of it stands in files, they are looked at again and again.
///
/// # Errors
///
/// Names the field that cannot be used.
pub(super) async fn start(policy: &ListenerTls) -> anyhow::Result<ServerTls> {
    let found = read(policy).await?;
    let tls = built(&found)?;
    if in_files(policy) {
        tokio::spawn(keep(policy.clone(), found, tls.clone()));
    }
    Ok(tls)
}

fn in_files(policy: &ListenerTls) -> bool {
    let all = [Some(&policy.cert), Some(&policy.key), policy.client_ca.as_ref()];
    all.into_iter().flatten().all(|part| matches!(part, SecretRef::FromFile(_)))
}

async fn read(policy: &ListenerTls) -> anyhow::Result<Read> {
    let certificate = secret::resolve("buffer.tls.cert", &policy.cert).await?.expose_secret().to_owned();
    let key = secret::resolve("buffer.tls.key", &policy.key).await?;
    let client_ca = match &policy.client_ca {
        Some(ca) => Some(secret::resolve("buffer.tls.clientCa", ca).await?.expose_secret().to_owned()),
        None => None,
    };
    Ok(Read { identity: Identity { certificate, key }, client_ca })
}

fn built(read: &Read) -> anyhow::Result<ServerTls> {
    let clients = read.client_ca.as_deref().map_or(Clients::Anybody, Clients::MustCertify);
    ServerTls::for_kafka(&read.identity, clients).context("`buffer.tls` cannot be used")
}

async fn keep(policy: ListenerTls, mut shown: Read, tls: ServerTls) {
    let mut rounds = interval(REREAD_EVERY);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        let replaced = match read(&policy).await {
            Ok(found) if found == shown => continue,
            Ok(found) => built(&found).map(|new| (found, new)),
            Err(error) => Err(error),
        };
        match replaced {
            Ok((found, new)) => {
                tls.become_like(&new);
                shown = found;
                info!("the gateway's certificates were read again");
            }
            Err(error) => warn!(error = format!("{error:#}"), "the gateway's certificates stay as they are"),
        }
    }
}
