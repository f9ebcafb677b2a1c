//! What fuzz targets reach beyond this crate's surface. Each takes any bytes and must not panic.

use std::{
    collections::BTreeMap,
    future::Future,
    num::NonZeroU32,
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::{Router, body::Body, http::Request as HttpRequest};
use hickory_proto::{
    op::{Message, OpCode, Query},
    rr::{Name, RData, Record, RecordType, rdata::A},
};
use leeward_failover_core::{Automation, Config, Engine, Event, Gates, LeaseRule, Level, LevelRule, Now};
use leeward_model::{FencingEpoch, RegionName, WallTime};
use leeward_policies::DnsRecordType;
use leeward_proto::{
    control::{GatewayReport, VerbRequest},
    link::LinkReply,
    region::AgentReport,
};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tonic::codegen::Service as _;

use crate::{
    api::{self, Shared},
    brain::{BrainHandle, View},
    config::Budgets,
    dns::{Zone, accepted, decode_zone, encode_zone},
    events::{Event as Told, Events},
    gateways::{Gateways, Leave},
    log::format,
    metrics::Metrics,
    redirector::ManagedName,
    watcher::LinkBoard,
};

const ZONE: &str = "example.test.";

fn region(name: &str) -> RegionName {
    RegionName::new(name).expect("legal")
}

/// A small topology's failover.
pub fn config() -> Config {
    let rule = LevelRule { every: Duration::from_millis(200), fail_after: NonZeroU32::MIN };
    Config {
        regions: [region("a"), region("b")],
        places: vec![region("a"), region("b"), region("w")],
        detect: Level::ALL.into_iter().map(|level| (level, rule)).collect(),
        quorum: 2,
        automation: Automation::Auto,
        gates: Gates {
            rpo_max: Some(Duration::from_secs(10)),
            standby_writable: true,
            no_partition_drift: true,
            offsets_max_age: Some(Duration::from_secs(30)),
            evidence_max_age: Duration::from_secs(15),
        },
        cooldown: Duration::from_hours(1),
        lease: LeaseRule { duration: Duration::from_secs(1), margin: Duration::from_millis(100) },
        resync: None,
    }
}

fn managed() -> ManagedName {
    let targets = [("a", "127.0.0.2"), ("b", "127.0.0.3")];
    let targets = targets.map(|(name, address)| (region(name), vec![address.to_owned()]));
    let ttl = Duration::from_secs(15);
    ManagedName::new("kafka.example.test", ZONE, DnsRecordType::A, ttl, BTreeMap::from(targets))
        .expect("a legal name")
}

/// What a name server answers: taken only where it fits the question, then read as the redirector does.
pub fn dns_answer(bytes: &[u8]) {
    let name = managed();
    for kind in [RecordType::TXT, RecordType::A] {
        let asked = if kind == RecordType::A { name.name() } else { name.marker() };
        let mut request = Message::query();
        request.metadata.id = 1;
        request.add_query(Query::query(asked.clone(), kind));
        let Some(answer) = accepted(bytes, &request) else { continue };
        crate::redirector::read_answer(&name, answer, kind);
    }
}

/// Messages to the embedded name server: questions are answered, updates change a zone that is then stored and read.
///
/// Signatures are not looked at: what a holder of the key may send is what is tried.
pub fn dns_requests<'a>(messages: impl IntoIterator<Item = &'a [u8]>) {
    let origin = Name::from_ascii(ZONE).expect("legal");
    let target = Record::from_rdata(managed().name().clone(), 15, RData::A(A::new(127, 0, 0, 2)));
    let mut zone = Zone::from_records(&origin, 7, vec![target]).expect("one record");
    for bytes in messages {
        let Ok(message) = Message::from_vec(bytes) else { continue };
        if message.metadata.op_code == OpCode::Update {
            if let Ok(next) = zone.updated(&message) {
                zone = next;
            }
        } else {
            for question in &message.queries {
                let _ = zone.answer(question.name(), question.query_type());
            }
        }
    }
    let stored = encode_zone(&zone);
    assert_eq!(decode_zone(&stored, Path::new("a.zone")).ok(), Some(zone));
}

/// The embedded name server's file.
pub fn zone_file(bytes: &[u8]) {
    if let Ok(zone) = decode_zone(bytes, Path::new("a.zone")) {
        let again = encode_zone(&zone);
        assert_eq!(decode_zone(&again, Path::new("a.zone")).ok(), Some(zone));
    }
}

/// The decision journal's entries, replayed into an engine, and one line of the events' file.
pub fn journal<'a>(config: &Config, entries: impl IntoIterator<Item = &'a [u8]>) {
    let read: Result<Vec<_>, _> = entries.into_iter().map(format::decode).collect();
    let Ok(read) = read else { return };
    for entry in &read {
        let again = format::encode(entry).expect("it was read");
        assert_eq!(format::decode(&again).ok().as_ref(), Some(entry));
    }
    let now = Now { monotonic: leeward_model::Instant::ZERO, wall: WallTime::from_millis(0) };
    if let Ok((mut engine, _)) = Engine::replay(config.clone(), &read, now) {
        let _ = engine.status(now);
        let _ = engine.on(Event::Tick, now);
    }
}

/// One line of the events' file.
pub fn event_line(bytes: &[u8]) {
    let _ = serde_json::from_slice::<Told>(bytes);
}

/// A verb, as gRPC carries it.
pub fn verb(config: &Config, request: &VerbRequest) {
    let now = Now { monotonic: leeward_model::Instant::ZERO, wall: WallTime::from_millis(0) };
    let formed = Engine::form(config, now);
    let (engine, _) = Engine::replay(config.clone(), &[formed], now).expect("formed");
    for called in api::CALLED {
        if let Ok(request) = api::core_request(called, request) {
            let _ = engine.clone().on(Event::Request(request), now);
        }
    }
}

/// What an agent, a mirror and a gateway report.
pub fn reports(config: &Config, agent: &AgentReport, link: &LinkReply, gateway: &GatewayReport) {
    let now = Now { monotonic: leeward_model::Instant::ZERO, wall: WallTime::from_millis(0) };
    let formed = Engine::form(config, now);
    let (mut engine, _) = Engine::replay(config.clone(), &[formed], now).expect("formed");
    if let Ok(name) = RegionName::new(&agent.agent) {
        for report in api::region_reports(&name, agent) {
            let _ = engine.on(Event::Report(report), now);
        }
        let at = now.monotonic;
        engine.hear(&name, api::taken(agent), at);
        let _ = engine.instruct(&name, at, at);
    }
    let [first, second] = &config.regions;
    let _ = engine.on(Event::Link(crate::links::report(first, second, link)), now);
    let _ = engine.status(now);
    let shared = shared(config);
    let _ = shared.gateways.connected(gateway.clone());
    let _ = shared.metrics.text(std::slice::from_ref(link), &shared.gateways.reports());
}

/// One HTTP request. No brain is behind it: what reaches the brain is answered with "shutting down".
pub fn http(method: &str, uri: &str, body: Vec<u8>) -> impl Future<Output = ()> {
    static ROUTER: OnceLock<Router> = OnceLock::new();
    let mut router = ROUTER.get_or_init(|| api::router(shared(&config()))).clone();
    let request = HttpRequest::builder()
        .method(method)
        .uri(uri)
        .header("content-type", "application/json")
        .body(Body::from(body));
    async move {
        if let Ok(request) = request
            && let Ok(response) = router.call(request).await
        {
            assert_ne!(response.status().as_u16(), 500, "a handler panicked or failed");
        }
    }
}

/// What the services share, without a brain behind it.
pub(crate) fn shared(config: &Config) -> Shared {
    let now = Now { monotonic: leeward_model::Instant::ZERO, wall: WallTime::from_millis(0) };
    let formed = Engine::form(config, now);
    let (engine, _) = Engine::replay(config.clone(), &[formed], now).expect("formed");
    let second = Duration::from_secs(1);
    let budgets = Budgets { rpo: second, rto: second, rto_worst_case: second };
    let leave = Leave {
        epoch: FencingEpoch::FIRST,
        serving: Some(config.regions[0].clone()),
        replay_from: None,
        promoted: Arc::default(),
    };
    Shared {
        topology: "t".to_owned(),
        regions: config.regions.clone(),
        places: config.places.clone(),
        declared_primary: config.regions[0].to_string(),
        automation: "auto".to_owned(),
        budgets,
        brain: BrainHandle {
            mailbox: mpsc::channel(1).0,
            view: watch::channel(Arc::new(View { status: engine.status(now), last: None })).1,
            timeline: Arc::default(),
        },
        gateways: Arc::new(Gateways::new(leave, config.lease)),
        links: Arc::new(LinkBoard::default()),
        events: Arc::new(Events::open(Path::new("no-such-folder"))),
        metrics: Arc::new(Metrics::new("t", budgets)),
        dns: Vec::new(),
        shutdown: CancellationToken::new(),
    }
}
