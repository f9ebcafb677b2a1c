//! Names that follow the primary.

use core::net::IpAddr;
use std::{collections::BTreeMap, time::Duration};

use leeward_model::RegionName;
use schemars::{Schema, SchemaGenerator, json_schema};

use super::HostPort;
use crate::{
    code::Code,
    diagnostics::Diagnostic,
    node::{Node, Shape},
    plain::Plain,
    read::{Reader, Value, record, words},
    secret::SecretRef,
};

words! {
    /// What a record holds.
    pub enum DnsRecordType in "record type" {
        /// IPv4 addresses.
        A = "A",
        /// Another name.
        Cname = "CNAME",
    }
    later ["AAAA", "SRV", "ALIAS"]
}

record! {
    /// A name that follows the primary.
    pub struct DnsRecord in "a DNS record" {
        /// The full name.
        name "name": String,
        /// What it holds.
        record_type "type": DnsRecordType = DnsRecordType::Cname,
        /// How long resolvers may keep it.
        ttl "ttl": Duration = Duration::from_secs(15),
        /// What it holds while each region is primary.
        targets "targets": BTreeMap<RegionName, DnsTargets>,
        /// Who serves it, and how it is changed.
        provider "provider": DnsProvider,
        /// Where a change is confirmed.
        confirm "confirm": Confirm = Confirm::default(),
    }
    later ["routing"]
}

/// One target or several; never none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsTargets(Vec<String>);

impl DnsTargets {
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }
}

impl Value for DnsTargets {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let targets = match node.shape {
            Shape::List(_) => Vec::<String>::read(node, reader)?,
            Shape::Scalar { .. } | Shape::Map(_) => vec![String::read(node, reader)?],
        };
        if targets.is_empty() {
            let finding = Diagnostic::error(Code::EmptyList, node.span, "a DNS record is never left empty");
            reader.report(finding.help("name at least one target"));
            return None;
        }
        Some(Self(targets))
    }

    fn plain(&self) -> Plain {
        match self.0.as_slice() {
            [one] => Plain::Text(one.clone()),
            several => Plain::List(several.iter().cloned().map(Plain::Text).collect()),
        }
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "string" }, { "type": "array", "minItems": 1, "items": { "type": "string" } }] })
    }
}

/// Who serves a record, and how it is changed.
#[derive(Clone, Debug, PartialEq)]
pub enum DnsProvider {
    /// Any server that takes dynamic updates.
    Rfc2136(Rfc2136),
    /// Leeward's own, for trials, drills and tests.
    Embedded(EmbeddedDns),
}

record! {
    /// A server that takes dynamic updates (RFC 2136).
    pub struct Rfc2136 in "`rfc2136`" {
        /// The primary name server.
        server "server": HostPort,
        /// The zone that it serves.
        zone "zone": String,
        /// Proves who we are (RFC 8945).
        tsig "tsig": Option<Tsig> = None,
    }
}

words! {
    /// How an update is signed.
    pub enum TsigAlgorithm in "algorithm" {
        HmacSha256 = "hmac-sha256",
        HmacSha384 = "hmac-sha384",
        HmacSha512 = "hmac-sha512",
    }
    later ["hmac-sha1", "hmac-md5"]
}

record! {
    /// A shared key for updates.
    pub struct Tsig in "`tsig`" {
        /// The key's name on the server.
        name "name": String,
        /// How updates are signed.
        algorithm "algorithm": TsigAlgorithm = TsigAlgorithm::HmacSha256,
        /// The key, base64.
        secret "secret": SecretRef,
    }
}

record! {
    /// Leeward's own authoritative server.
    pub struct EmbeddedDns in "`embedded`" {
        /// Where it listens; port 0 takes any free one.
        listen "listen": HostPort = HostPort::any_local(),
    }
}

const LATER: [&str; 6] = ["route53", "cloudflare", "google", "azure", "exec", "webhook"];

impl Value for DnsProvider {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let entries = reader.entries(node, "a DNS provider", &["rfc2136", "embedded"], &LATER)?;
        let [entry] = entries else {
            let message = format!("a record has exactly one provider, and this has {}", entries.len());
            let finding = Diagnostic::error(Code::WrongShape, node.span, message);
            reader.report(finding.help("write `{rfc2136: {server: ..., zone: ...}}` or `{embedded: {}}`"));
            return None;
        };
        match entry.key.as_str() {
            "rfc2136" => Rfc2136::read(&entry.value, reader).map(Self::Rfc2136),
            "embedded" => EmbeddedDns::read(&entry.value, reader).map(Self::Embedded),
            _ => None,
        }
    }

    fn plain(&self) -> Plain {
        match self {
            Self::Rfc2136(server) => Plain::one("rfc2136", server.plain()),
            Self::Embedded(server) => Plain::one("embedded", server.plain()),
        }
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let (rfc2136, embedded) = (Rfc2136::schema(generator), EmbeddedDns::schema(generator));
        json_schema!({
            "type": "object",
            "properties": { "rfc2136": rfc2136, "embedded": embedded },
            "minProperties": 1,
            "maxProperties": 1,
            "additionalProperties": false,
        })
    }
}

record! {
    /// Where a change is confirmed.
    pub struct Confirm in "`confirm`" with default {
        /// Resolvers that must answer with the new target, beside the authoritative server.
        resolvers "resolvers": Vec<IpAddr> = Vec::new(),
        /// Longest wait for all of them; what is missing then is reported.
        timeout "timeout": Duration = DEFAULT_TIMEOUT,
    }
    later ["quorum"]
}

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(20);
