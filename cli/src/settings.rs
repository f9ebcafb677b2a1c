//! Settings of one process: where it listens, where its peers are, how it logs. What is protected and how stands in
//! the policy file, never here. Later sources win: defaults, file, `LEEWARD_*` variables, flags.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::Context;
use config::{Config, Environment, File, FileFormat};
use serde::{Deserialize, Serialize};

/// Settings of one process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// What others call this process; unique among those of its role. The host's name and a port otherwise.
    #[serde(default)]
    pub(crate) name: Option<String>,
    pub(crate) listen: Listen,
    pub(crate) peers: Peers,
    /// Encrypts this process's own ports and its connections to the other processes. Without it its ports are plain
    /// and on loopback.
    #[serde(default)]
    pub(crate) tls: Option<TlsFiles>,
    /// Where a region's cluster is, as seen from this process; a region that is not named here is where the policy
    /// says. For sites that reach a region through a tunnel or another network.
    #[serde(default)]
    pub(crate) bootstrap: BTreeMap<String, Vec<String>>,
    pub(crate) log: Log,
}

/// Where this process listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listen {
    /// The controller's gRPC: CLI, gateways, region agents.
    pub(crate) control: SocketAddr,
    /// The mirror agent's gRPC.
    pub(crate) link: SocketAddr,
    /// `/metrics`, `/healthz`, `/readyz` and, on the controller, REST.
    pub(crate) http: SocketAddr,
    /// The embedded region; where not given, the policy says where it listens.
    #[serde(default)]
    pub(crate) region: Option<SocketAddr>,
    /// A second listener of the embedded region, for mirrors that come from elsewhere.
    #[serde(default)]
    pub(crate) region_link: Option<LinkListen>,
    /// The gateway; where not given, the policy says where it listens.
    #[serde(default)]
    pub(crate) gateway: Option<SocketAddr>,
    /// `host:port` that the gateway tells applications; where it listens by default.
    #[serde(default)]
    pub(crate) gateway_advertised: Option<String>,
    /// The embedded DNS server; where not given, the policy says where it listens.
    #[serde(default)]
    pub(crate) dns: Option<SocketAddr>,
}

/// The embedded region's listener for other regions' mirrors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LinkListen {
    pub(crate) listen: SocketAddr,
    /// What its metadata tells those who come this way.
    pub(crate) advertised: String,
}

/// Who this process is to the others, and whom it takes for one of them. Files are read again when they change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TlsFiles {
    /// This process's certificates, its own first, PEM; fit for servers and for clients.
    pub(crate) cert_file: PathBuf,
    /// The key of the first, PEM.
    pub(crate) key_file: PathBuf,
    /// Authorities whose certificates the other processes show, PEM. Whoever has one may fail over.
    pub(crate) ca_file: PathBuf,
    #[serde(default)]
    pub(crate) http_client_certificate: HttpClientCertificate,
}

/// When a client of the http port must show a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum HttpClientCertificate {
    /// Metrics, health and status are for everybody who reaches the port; verbs are not.
    #[default]
    ForVerbs,
    Always,
}

/// Where the other processes are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Peers {
    /// The controller's gRPC; on this host where not given.
    #[serde(default)]
    controller: Option<String>,
    /// By region: the agent that runs the links into it.
    #[serde(default)]
    pub(crate) mirrors: BTreeMap<String, String>,
    /// The embedded DNS server, where another process runs it.
    #[serde(default)]
    pub(crate) dns: Option<SocketAddr>,
    /// File with the key, in base64, that signs changes to the embedded DNS server.
    #[serde(default)]
    pub(crate) dns_key_file: Option<PathBuf>,
}

/// How this process logs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Log {
    /// As `RUST_LOG` is written: `info`, `leeward_mirror=debug,info`.
    pub(crate) filter: String,
    pub(crate) format: LogFormat,
}

/// Text for people, JSON for machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    Text,
    Json,
}

/// Where a controller on this host listens by default.
const CONTROLLER_HERE: &str = "127.0.0.1:7443";

const DEFAULTS: &str = r#"
[listen]
control = "127.0.0.1:7443"
link = "127.0.0.1:7444"
http = "127.0.0.1:9644"

[peers]

[log]
filter = "info,hickory_server=warn"
format = "auto"
"#;

impl Settings {
    /// Reads settings from `file`, where given, and from the environment: `LEEWARD_LISTEN__HTTP=127.0.0.1:9000`.
    ///
    /// # Errors
    ///
    /// Names the key, and the file it stands in.
    pub(crate) fn load(file: Option<&Path>) -> anyhow::Result<Self> {
        let mut sources = Config::builder().add_source(File::from_str(DEFAULTS, FileFormat::Toml));
        if let Some(file) = file {
            sources = sources.add_source(File::from(file).format(FileFormat::Toml));
        }
        let nested: config::Map<String, String> = std::env::vars()
            .filter(|(name, _)| name.starts_with("LEEWARD_") && name.contains("__"))
            .collect();
        let environment =
            Environment::with_prefix("LEEWARD").prefix_separator("_").separator("__").source(Some(nested));
        let read = sources.add_source(environment).build().context("settings cannot be read")?;
        read.try_deserialize().context("settings are wrong")
    }

    /// `http://host:port` or `https://host:port` of the controller's gRPC.
    pub(crate) fn controller(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        self.peers.controller.clone().unwrap_or_else(|| format!("{scheme}://{CONTROLLER_HERE}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_listen_on_loopback_only() {
        let settings = Settings::load(None).expect("defaults are whole");

        assert!(
            [settings.listen.control, settings.listen.link, settings.listen.http]
                .iter()
                .all(|address| address.ip().is_loopback())
        );
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let file = tempfile::Builder::new().suffix(".toml").tempfile().expect("temporary file");
        std::fs::write(file.path(), "[listen]\nhtpp = \"127.0.0.1:1\"\n").expect("written");

        let refused = Settings::load(Some(file.path())).expect_err("unknown key");

        assert!(format!("{refused:#}").contains("htpp"), "{refused:#}");
    }

    #[test]
    fn with_tls_the_controller_of_this_host_is_asked_over_tls() {
        let file = tempfile::Builder::new().suffix(".toml").tempfile().expect("temporary file");
        let tls = "[tls]\ncert_file = \"c\"\nkey_file = \"k\"\nca_file = \"a\"\n";
        std::fs::write(file.path(), tls).expect("written");

        let settings = Settings::load(Some(file.path())).expect("whole");

        assert_eq!(settings.controller(), "https://127.0.0.1:7443");
    }
}
