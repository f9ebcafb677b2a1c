//! What is done with any bytes at each place where bytes come in. None of it may panic, hang or take much memory.
//!
//! The same bodies run under libFuzzer and, over the kept inputs, in the workspace's tests, which take this file in by
//! its path: hence the paths below.

#[path = "targets/controller.rs"]
mod controller;
#[path = "targets/dns.rs"]
mod dns;
#[path = "targets/gateway.rs"]
mod gateway;
#[path = "targets/logs.rs"]
mod logs;
#[path = "targets/mirror.rs"]
mod mirror;
#[path = "targets/node.rs"]
mod node;
#[path = "targets/policies.rs"]
mod policies;
#[path = "targets/records.rs"]
mod records;
#[path = "targets/sasl.rs"]
mod sasl;
#[path = "targets/wire.rs"]
mod wire;

use bytes::Bytes;

/// One place where bytes come in.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&[u8]),
    /// What one input of [`INPUT_BYTES_MAX`] may make it hold at once.
    #[allow(dead_code, reason = "only the fuzzing program counts memory")]
    pub(crate) memory_bytes_max: usize,
}

/// Longest input that is tried.
pub(crate) const INPUT_BYTES_MAX: usize = 16 << 10;

/// Decoded forms of what was received: some hundred bytes for the smallest element.
const DECODED: usize = 16 << 20;
/// Batches are decompressed, up to the bound of the place that reads them, and held once more as records.
const DECOMPRESSED: usize = 300 << 20;

/// All of them, by the name that `tests/fuzz/run` takes.
pub(crate) const TARGETS: &[Target] = &[
    Target { name: "requests", run: wire::requests, memory_bytes_max: DECODED },
    Target { name: "bodies", run: wire::bodies, memory_bytes_max: DECODED },
    Target { name: "records", run: records::records, memory_bytes_max: DECOMPRESSED },
    Target { name: "journal", run: logs::journal, memory_bytes_max: DECODED },
    Target { name: "partition-log", run: logs::partition, memory_bytes_max: DECODED },
    Target { name: "node", run: node::requests, memory_bytes_max: DECOMPRESSED },
    Target { name: "node-files", run: node::files, memory_bytes_max: DECODED },
    Target { name: "gateway-files", run: gateway::files, memory_bytes_max: DECODED },
    Target { name: "policies", run: policies::policies, memory_bytes_max: DECODED },
    Target { name: "mirror", run: mirror::maps, memory_bytes_max: DECODED },
    Target { name: "dns", run: dns::dns, memory_bytes_max: DECODED },
    Target { name: "controller-files", run: controller::files, memory_bytes_max: DECODED },
    Target { name: "grpc", run: controller::grpc, memory_bytes_max: DECODED },
    Target { name: "http", run: controller::http, memory_bytes_max: DECODED },
    Target { name: "sasl", run: sasl::sasl, memory_bytes_max: DECODED },
];

/// Cuts an input that holds several: each part has its length before it, as a `u16`. The last may be short.
fn parts(mut input: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    while let Some((length, rest)) = input.split_first_chunk() {
        let (part, rest) = rest.split_at(usize::from(u16::from_be_bytes(*length)).min(rest.len()));
        parts.push(part);
        input = rest;
    }
    parts
}

/// The input with the CRC-32C at its end made to fit, so that what stands behind a checksum is reached too.
fn sealed(input: &[u8]) -> Option<Bytes> {
    let (content, _) = input.split_last_chunk::<4>()?;
    let crc = leeward_wire::record::crc32c(content).to_be_bytes();
    Some(Bytes::from([content, &crc[..]].concat()))
}
