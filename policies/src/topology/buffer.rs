//! The durable buffer between applications and Kafka.

use std::time::Duration;

use leeward_model::ByteSize;

use super::HostPort;
use crate::{
    read::{record, words},
    secret::SecretRef,
};

record! {
    /// The durable buffer between applications and Kafka: a gateway that speaks Kafka.
    pub struct Buffer in "`buffer`" with default {
        /// Whether gateways run.
        enabled "enabled": bool = false,
        /// Where applications point; port 0 takes any free one.
        listen "listen": HostPort = HostPort::any_local(),
        /// Encrypts what applications say. Without it the gateway listens on loopback only.
        tls "tls": Option<ListenerTls> = None,
        /// Listens beyond loopback without TLS, where the network itself is trusted: whoever reaches the port writes
        /// in the gateway's name.
        allow_plaintext "allowPlaintext": bool = false,
        /// Where records wait; the data directory of the process where not given.
        dir "dir": Option<String> = None,
        /// Most bytes that wait. When it is reached, `whenFull` says what happens.
        capacity "capacity": ByteSize = DEFAULT_CAPACITY,
        /// When waiting records are forced to disk together.
        fsync "fsync": Fsync = Fsync::default(),
        /// When a record is acknowledged.
        ack "ack": AckWhen = AckWhen::AfterFsync,
        /// What happens when the capacity is reached.
        when_full "whenFull": WhenFull = WhenFull::RejectRetriable,
    }
    later ["drain", "encryption", "expectedIngest"]
}

record! {
    /// TLS of the gateway's listener.
    pub struct ListenerTls in "`buffer.tls`" {
        /// The gateway's certificates, its own first, PEM.
        cert "cert": SecretRef,
        /// The key of the first, PEM.
        key "key": SecretRef,
        /// Authorities whose certificates applications must show, PEM. Without it any application may connect.
        client_ca "clientCa": Option<SecretRef> = None,
    }
}

const DEFAULT_CAPACITY: ByteSize = ByteSize::mib(16 * 1024);

record! {
    /// When waiting records are forced to disk together: whichever comes first.
    pub struct Fsync in "`fsync`" with default {
        /// Longest wait for company, at most 1s; 0s waits for nobody.
        every "every": Duration = Duration::ZERO,
        /// Bytes that are company enough; 8MiB always are.
        or_bytes "orBytes": ByteSize = ByteSize::mib(1),
    }
}

words! {
    /// When a record is acknowledged.
    pub enum AckWhen in "ack" {
        /// When it is on the gateway's disk. Clients see base offset -1.
        AfterFsync = "after-fsync",
        /// When the region has it. Clients see its offset.
        AfterKafka = "after-kafka",
    }
}

words! {
    /// What happens when the capacity is reached.
    pub enum WhenFull in "whenFull" {
        /// The producer gets an error that it retries.
        RejectRetriable = "reject-retriable",
    }
    later ["block", "drop-oldest"]
}
