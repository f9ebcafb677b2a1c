//! Where a broker listens: a name or address, and a port.

use std::fmt;

/// Host and port, as written in a bootstrap list or told by a broker.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// A name or an IP address, without brackets.
    pub host: String,
    pub port: u16,
}

/// A text that is no `host:port`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no address; write host:port, or [address]:port for IPv6")]
pub struct InvalidAddress(pub String);

impl Address {
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port }
    }

    /// Reads `host:port` or `[v6]:port`.
    ///
    /// # Errors
    ///
    /// [`InvalidAddress`] where one of the two is missing or the port is none.
    pub fn parse(text: &str) -> Result<Self, InvalidAddress> {
        let invalid = || InvalidAddress(text.to_owned());
        let (host, port) = text.trim().rsplit_once(':').ok_or_else(invalid)?;
        let host = match host.strip_prefix('[') {
            Some(inner) => inner.strip_suffix(']').ok_or_else(invalid)?,
            None if host.contains(':') => return Err(invalid()),
            None => host,
        };
        let port = port.parse().map_err(|_| invalid())?;
        if host.is_empty() || port == 0 { Err(invalid()) } else { Ok(Self::new(host, port)) }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_both_families_read_back_as_written() {
        for text in ["kafka-1.example:9092", "10.0.0.1:9092", "[::1]:9092"] {
            assert_eq!(Address::parse(text).expect("an address").to_string(), text);
        }
    }

    #[test]
    fn an_address_without_a_port_is_refused_with_the_way_out() {
        let refused = Address::parse("kafka-1").expect_err("no port");

        assert_eq!(
            refused.to_string(),
            "`kafka-1` is no address; write host:port, or [address]:port for IPv6"
        );
    }

    #[test]
    fn an_address_of_ipv6_without_brackets_is_refused() {
        assert!(Address::parse("::1:9092").is_err());
    }
}
