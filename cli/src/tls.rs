//! Certificates of this process: read from the files that its settings name, and again when they change.

use std::{fs, path::Path, time::Duration};

use anyhow::Context;
use leeward_proto::transport::{Credentials, Identity, Transport};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::settings::{HttpClientCertificate, Settings, TlsFiles};

/// How often files with certificates are looked at.
pub(crate) const REREAD_EVERY: Duration = Duration::from_secs(10);

/// How this process reaches the others.
///
/// # Errors
///
/// Names the setting whose file cannot be used.
pub(crate) fn transport(settings: &Settings) -> anyhow::Result<Transport> {
    match &settings.tls {
        Some(files) => secured(&credentials(files)?),
        None => Ok(Transport::default()),
    }
}

fn secured(credentials: &Credentials) -> anyhow::Result<Transport> {
    Transport::secured(credentials).context("`tls`: the files cannot be used")
}

/// Looks at the files for as long as the process runs; what does not fit together yet is looked at again.
pub(crate) async fn keep(files: TlsFiles, transport: Transport) {
    let mut shown = credentials(&files).ok();
    let mut rounds = interval(REREAD_EVERY);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        let found = match credentials(&files) {
            Ok(found) => Some(found),
            Err(error) => {
                warn!(error = format!("{error:#}"), "certificates stay as they are");
                continue;
            }
        };
        if found == shown {
            continue;
        }
        match found.as_ref().map(|found| transport.replace(found)) {
            Some(Err(error)) => warn!(%error, "certificates stay as they are"),
            Some(Ok(())) | None => {
                info!("certificates were read again");
                shown = found;
            }
        }
    }
}

fn credentials(files: &TlsFiles) -> anyhow::Result<Credentials> {
    Ok(Credentials {
        identity: Identity {
            certificate: read("tls.cert_file", &files.cert_file)?,
            key: read("tls.key_file", &files.key_file)?.into(),
        },
        authorities: read("tls.ca_file", &files.ca_file)?,
        everybody_certifies: files.http_client_certificate == HttpClientCertificate::Always,
    })
}

fn read(setting: &str, file: &Path) -> anyhow::Result<String> {
    fs::read_to_string(file).with_context(|| format!("`{setting}`: {} cannot be read", file.display()))
}
