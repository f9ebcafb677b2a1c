//! `host:port`.

use core::net::IpAddr;
use std::fmt;

use schemars::{Schema, SchemaGenerator};

use crate::{
    code::Code,
    diagnostics::Diagnostic,
    node::Node,
    plain::Plain,
    read::{Reader, Value, read_text, scalar_schema},
};

/// A host name or address, and a port. Port 0 in a listen address means any free one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPort {
    host: String,
    port: u16,
}

impl HostPort {
    /// Loopback, any free port.
    pub(crate) fn any_local() -> Self {
        Self { host: "127.0.0.1".to_owned(), port: 0 }
    }

    /// `None` where the text is not `host:port`; IPv6 addresses need brackets.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let host = match host.strip_prefix('[') {
            Some(rest) => {
                let inner = rest.strip_suffix(']')?;
                inner.parse::<core::net::Ipv6Addr>().ok()?;
                inner
            }
            None => host,
        };
        let bracketed = text.starts_with('[');
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if host.is_empty() || (!bracketed && !host.chars().all(legal)) {
            return None;
        }
        if port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        Some(Self { host: host.to_owned(), port: port.parse().ok()? })
    }

    /// Host name or address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl Value for HostPort {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = read_text(node, reader, "an address")?;
        let address = Self::parse(&text);
        if address.is_none() {
            let finding = Diagnostic::error(Code::Address, node.span, format!("`{text}` is not `host:port`"));
            reader.report(finding.help("for example `k1.example.com:9092`, `10.0.0.5:9092` or `[::1]:9092`"));
        }
        address
    }

    fn plain(&self) -> Plain {
        Plain::Text(self.to_string())
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        scalar_schema(":[0-9]+$|\\$\\{", "k1.example.com:9092")
    }
}

impl Value for IpAddr {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = read_text(node, reader, "an IP address")?;
        let address = text.parse().ok();
        if address.is_none() {
            let finding = Diagnostic::error(Code::Address, node.span, format!("`{text}` is no IP address"));
            reader.report(finding.help("write it in numbers: `192.0.2.10`"));
        }
        address
    }

    fn plain(&self) -> Plain {
        Plain::Text(self.to_string())
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        scalar_schema("^[0-9a-fA-F.:]+$", "192.0.2.10")
    }
}
