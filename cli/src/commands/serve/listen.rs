//! Where this process may listen, and what an address of the policy's means.

use std::net::SocketAddr;

use anyhow::Context;
use leeward_policies::{Buffer, HostPort};
use tokio::net::lookup_host;

use crate::settings::Settings;

/// Refuses addresses that others than this machine could reach where what is said there is neither encrypted nor asked
/// for a name.
///
/// # Errors
///
/// Names the setting.
pub(super) fn check(settings: &Settings) -> anyhow::Result<()> {
    if settings.tls.is_some() {
        return Ok(());
    }
    let listen = &settings.listen;
    let own =
        [("listen.control", listen.control), ("listen.link", listen.link), ("listen.http", listen.http)];
    for (setting, address) in own {
        if !address.ip().is_loopback() {
            anyhow::bail!(
                "`{setting}` {address} is not on loopback, and this process has no TLS; give its settings \
                 `tls.cert_file`, `tls.key_file` and `tls.ca_file`, or listen on loopback"
            );
        }
    }
    Ok(())
}

/// Refuses a gateway that others than this machine could reach in clear, and one that applications cannot be told of.
///
/// # Errors
///
/// Names the key to set.
pub(super) fn check_gateway(
    address: SocketAddr,
    buffer: &Buffer,
    advertised: Option<&str>,
) -> anyhow::Result<()> {
    if !address.ip().is_loopback() && buffer.tls.is_none() && !buffer.allow_plaintext {
        anyhow::bail!(
            "the gateway would listen on {address}, beyond loopback, without TLS; give the policy `buffer.tls`, or \
             `buffer.allowPlaintext: true` where the network is trusted"
        );
    }
    if address.ip().is_unspecified() && advertised.is_none() {
        anyhow::bail!(
            "no application can connect to {address}; `listen.gateway_advertised` must say what they are told"
        );
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
    use crate::settings::TlsFiles;

    fn for_everybody() -> Settings {
        let mut settings = Settings::load(None).expect("defaults");
        settings.listen.control = SocketAddr::from(([0, 0, 0, 0], 7443));
        settings
    }

    #[test]
    fn a_control_port_for_everybody_is_refused_by_its_setting() {
        let refused = check(&for_everybody()).expect_err("everybody could fail over").to_string();

        assert!(refused.starts_with("`listen.control` 0.0.0.0:7443 is not on loopback"), "{refused}");
        assert!(refused.contains("`tls.cert_file`"), "{refused}");
    }

    #[test]
    fn a_control_port_for_everybody_is_fine_with_tls() {
        let mut settings = for_everybody();
        settings.tls = Some(TlsFiles {
            cert_file: "c".into(),
            key_file: "k".into(),
            ca_file: "a".into(),
            http_client_certificate: crate::settings::HttpClientCertificate::default(),
        });

        check(&settings).expect("others must show a certificate");
    }

    #[test]
    fn a_gateway_for_everybody_needs_tls_or_leave_to_be_plain() {
        let everybody = SocketAddr::from(([192, 0, 2, 1], 9192));
        let plain = Buffer::default();

        let refused =
            check_gateway(everybody, &plain, None).expect_err("anybody could read along").to_string();

        assert!(
            refused.contains("`buffer.tls`") && refused.contains("`buffer.allowPlaintext: true`"),
            "{refused}"
        );
        check_gateway(everybody, &Buffer { allow_plaintext: true, ..plain }, None).expect("it was asked for");
    }

    #[test]
    fn a_gateway_on_every_address_must_be_told_by_name() {
        let everywhere = SocketAddr::from(([0, 0, 0, 0], 9192));
        let plain = Buffer { allow_plaintext: true, ..Buffer::default() };

        let refused = check_gateway(everywhere, &plain, None).expect_err("0.0.0.0 is nowhere").to_string();

        assert!(refused.contains("`listen.gateway_advertised`"), "{refused}");
        check_gateway(everywhere, &plain, Some("gw.example.com:9192")).expect("it has a name");
    }
}
