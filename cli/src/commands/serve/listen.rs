//! Where this process may listen, and what an address of the policy's means.

use std::net::SocketAddr;

use anyhow::Context;
use leeward_policies::HostPort;
use tokio::net::lookup_host;

use crate::settings::Listen;

/// Refuses addresses that others than this machine could reach: what is said there is neither encrypted nor asked for
/// a name.
///
/// # Errors
///
/// Names the setting.
pub(super) fn check(listen: &Listen) -> anyhow::Result<()> {
    let own =
        [("listen.control", listen.control), ("listen.link", listen.link), ("listen.http", listen.http)];
    for (setting, address) in own {
        if !address.ip().is_loopback() {
            anyhow::bail!(
                "`{setting}` {address} is not on loopback, and Leeward's own ports have no TLS yet; \
                 listen on loopback and let a tunnel or a proxy with TLS carry it"
            );
        }
    }
    Ok(())
}

/// The address to listen on for `host:port`.
///
/// # Errors
///
/// Where the host has no address here.
pub(super) async fn resolve(field: &str, at: &HostPort) -> anyhow::Result<SocketAddr> {
    let mut found = lookup_host((at.host(), at.port()))
        .await
        .with_context(|| format!("`{field}`: {at} has no address here"))?;
    found.next().with_context(|| format!("`{field}`: {at} has no address here"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    #[test]
    fn a_control_port_for_everybody_is_refused_by_its_setting() {
        let mut listen = Settings::load(None).expect("defaults").listen;
        listen.control = SocketAddr::from(([0, 0, 0, 0], 7443));

        let refused = check(&listen).expect_err("everybody could fail over");

        assert!(refused.to_string().starts_with("`listen.control` 0.0.0.0:7443 is not on loopback"));
    }
}
