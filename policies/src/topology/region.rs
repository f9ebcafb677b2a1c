//! Regions and how to reach their Kafka.

use leeward_model::{ClusterId, RegionName};
use schemars::{Schema, SchemaGenerator, json_schema};

use super::{Endpoint, HostPort};
use crate::{
    code::Code,
    diagnostics::Diagnostic,
    node::Node,
    plain::Plain,
    read::{Reader, Value, record, words},
    secret::SecretRef,
};

words! {
    /// What a region is for while nothing has happened. Who acts as primary later is in the control log.
    pub enum Role in "role" {
        /// Serves.
        Primary = "primary",
        /// Is promoted when the primary is lost.
        Standby = "standby",
        /// Votes and holds no data.
        Witness = "witness",
    }
    later ["active"]
}

record! {
    /// A place with a Kafka cluster, or with only a vote.
    pub struct Region in "a region" {
        /// What people and metrics call it.
        name "name": RegionName,
        /// What it is for while nothing has happened.
        role "role": Role,
        /// Where the region's controller listens for the others: `https://host:port`.
        controller "controller": Option<Endpoint> = None,
        /// How to reach its Kafka. A witness has none.
        kafka "kafka": Option<Kafka> = None,
    }
}

/// The Kafka of a region.
#[derive(Clone, Debug, PartialEq)]
pub enum Kafka {
    /// The user's own.
    Cluster(KafkaCluster),
    /// Leeward's, for trials, drills and tests.
    Embedded(EmbeddedKafka),
}

record! {
    /// The user's own Kafka cluster.
    pub struct KafkaCluster in "`kafka`" {
        /// Brokers to begin with; all are tried.
        bootstrap "bootstrap": Vec<HostPort>,
        /// The id that must answer there; another is refused.
        cluster_id "clusterId": Option<ClusterId> = None,
        /// Encrypts the connection. `{}` trusts the system's authorities.
        tls "tls": Option<Tls> = None,
        /// Proves who we are.
        sasl "sasl": Option<Sasl> = None,
    }
}

record! {
    /// Leeward's own one-node cluster.
    pub struct EmbeddedKafka in "`embedded`" {
        /// Where its log is; the data directory of the process where not given.
        dir "dir": Option<String> = None,
        /// Where it listens; port 0 takes any free one.
        listen "listen": HostPort = HostPort::any_local(),
    }
}

record! {
    /// TLS material.
    pub struct Tls in "`tls`" {
        /// Authorities to trust, PEM.
        ca "ca": Option<SecretRef> = None,
        /// Our certificate, PEM.
        cert "cert": Option<SecretRef> = None,
        /// Our key, PEM.
        key "key": Option<SecretRef> = None,
    }
}

words! {
    /// How a password is proven.
    pub enum SaslMechanism in "mechanism" {
        /// In clear inside the connection; use it with TLS only.
        Plain = "PLAIN",
        /// Challenge and response with SHA-256.
        ScramSha256 = "SCRAM-SHA-256",
        /// Challenge and response with SHA-512.
        ScramSha512 = "SCRAM-SHA-512",
    }
    later ["OAUTHBEARER", "GSSAPI", "AWS_MSK_IAM"]
}

record! {
    /// Who we are.
    pub struct Sasl in "`sasl`" {
        /// How the password is proven.
        mechanism "mechanism": SaslMechanism,
        /// The user.
        username "username": String,
        /// The password.
        password "password": SecretRef,
    }
}

impl Value for Kafka {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let Some(embedded) = node.entry("embedded") else {
            return read_cluster(node, reader).map(Self::Cluster);
        };
        if let Some(bootstrap) = node.entry("bootstrap") {
            let finding =
                Diagnostic::error(Code::Contradiction, bootstrap.key_span, "a region has one Kafka, not two");
            reader.report(
                finding
                    .related(embedded.key_span, "this is the other")
                    .help("keep `bootstrap` or `embedded`"),
            );
            return None;
        }
        reader.entries(node, "an embedded `kafka`", &["embedded"], &[])?;
        EmbeddedKafka::read(&embedded.value, reader).map(Self::Embedded)
    }

    fn plain(&self) -> Plain {
        match self {
            Self::Cluster(cluster) => cluster.plain(),
            Self::Embedded(embedded) => Plain::one("embedded", embedded.plain()),
        }
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let (cluster, embedded) = (KafkaCluster::schema(generator), EmbeddedKafka::schema(generator));
        json_schema!({
            "anyOf": [
                cluster,
                {
                    "type": "object",
                    "properties": { "embedded": embedded },
                    "required": ["embedded"],
                    "additionalProperties": false,
                },
            ],
        })
    }
}

fn read_cluster(node: &Node, reader: &mut Reader<'_>) -> Option<KafkaCluster> {
    let cluster = KafkaCluster::read(node, reader)?;
    if cluster.bootstrap.is_empty() {
        let finding =
            Diagnostic::error(Code::EmptyList, node.span_at("bootstrap"), "`bootstrap` names no broker");
        reader.report(finding.help("name at least one, better two: `bootstrap: [k1:9092, k2:9092]`"));
        return None;
    }
    Some(cluster)
}
