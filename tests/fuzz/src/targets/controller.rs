//! The controller: its files, bodies of gRPC as it and its peers read them, and its HTTP requests.

use std::sync::OnceLock;

use leeward_failover::fuzzing::{self, config};
use leeward_proto::{control, link, region};
use prost::Message;

use super::{parts, sealed};

/// Entries of the decision journal, with checksums made to fit, behind the one that forms it; and lines of events.
pub(crate) fn files(input: &[u8]) {
    for line in input.split(|byte| *byte == b'\n') {
        fuzzing::event_line(line);
    }
    let entries: Vec<_> = parts(input).into_iter().filter_map(sealed).collect();
    fuzzing::journal(&config(), entries.iter().map(|entry| &entry[..]));
    fuzzing::journal(&config(), parts(input));
}

/// One body, read as every message that our processes take, and turned into the domain's types.
pub(crate) fn grpc(input: &[u8]) {
    let config = config();
    if let Ok(request) = control::VerbRequest::decode(input) {
        fuzzing::verb(&config, &request);
    }
    let agent = region::AgentReport::decode(input).unwrap_or_default();
    let reply = link::LinkReply::decode(input).unwrap_or_default();
    let gateway = control::GatewayReport::decode(input).unwrap_or_default();
    fuzzing::reports(&config, &agent, &reply, &gateway);
    let grant = control::Grant::decode(input).unwrap_or_default();
    let watermark = link::Watermark::decode(input).unwrap_or_default();
    leeward_buffer::fuzzing::told(&grant, &watermark);
    let translate = link::TranslateRequest::decode(input).unwrap_or_default();
    let seal = link::SealRequest::decode(input).unwrap_or_default();
    leeward_mirror::fuzzing::requests(&translate, &seal);
    let _ = control::StatusReply::decode(input);
    let _ = region::AgentInstruction::decode(input);
}

/// Method and target on the first line, the body behind it.
pub(crate) fn http(input: &[u8]) {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    let runtime =
        RUNTIME.get_or_init(|| tokio::runtime::Builder::new_current_thread().build().expect("no threads"));
    let mut lines = input.splitn(2, |byte| *byte == b'\n');
    let first = String::from_utf8_lossy(lines.next().unwrap_or_default());
    let body = lines.next().unwrap_or_default().to_vec();
    let (method, uri) = first.split_once(' ').unwrap_or(("GET", &first));
    runtime.block_on(fuzzing::http(method, uri, body));
}
