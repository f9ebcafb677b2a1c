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

/// Where a process listens for others: `https://host:port`, or `http://host:port` without encryption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    encrypted: bool,
    address: HostPort,
}

impl Endpoint {
    /// `None` where the text is not `https://host:port`.
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, address) = text.split_once("://")?;
        let encrypted = match scheme {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        Some(Self { encrypted, address: HostPort::parse(address.trim_end_matches('/'))? })
    }

    pub fn is_encrypted(&self) -> bool {
        self.encrypted
    }

    pub fn address(&self) -> &HostPort {
        &self.address
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.encrypted { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.address)
    }
}

impl Value for Endpoint {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = read_text(node, reader, "an endpoint")?;
        let endpoint = Self::parse(&text);
        if endpoint.is_none() {
            let finding =
                Diagnostic::error(Code::Address, node.span, format!("`{text}` is no `https://host:port`"));
            reader.report(finding.help("for example `https://leeward.euw.example.com:7443`"));
        }
        endpoint
    }

    fn plain(&self) -> Plain {
        Plain::Text(self.to_string())
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        scalar_schema("^https?://.+:[0-9]+|\\$\\{", "https://leeward.euw.example.com:7443")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_needs_its_port() {
        assert_eq!(HostPort::parse("k1.example.com"), None);
        assert_eq!(HostPort::parse("k1.example.com:65536"), None);
        assert_eq!(HostPort::parse("k1.example.com:9092").map(|address| address.port()), Some(9092));
    }

    #[test]
    fn an_ipv6_address_needs_brackets() {
        assert_eq!(HostPort::parse("::1:9092"), None);
        assert_eq!(
            HostPort::parse("[::1]:9092").map(|address| address.to_string()).as_deref(),
            Some("[::1]:9092")
        );
    }
}
