//! Moving names at real servers: every claim holds against BIND 9 and against the embedded server, seen through
//! BIND's own tools.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod named;

use std::{collections::BTreeMap, net::SocketAddr, process::Command, time::Duration};

use leeward_failover::{
    EmbeddedDns, EmbeddedDnsConfig, ManagedName, Move, MoveError, NameServers, Published, RedirectError,
    Redirector as _, Refusal, Rfc2136Redirector, Tsig,
};
use leeward_model::{FencingEpoch, RegionName};
use leeward_policies::DnsRecordType;
use secrecy::ExposeSecret as _;
use tempfile::TempDir;
use tokio::net::UdpSocket;

use named::Named;

const ZONE: &str = "leeward.test";
const NAME: &str = "kafka.leeward.test";
const MARKER: &str = "_leeward-epoch.kafka.leeward.test";

/// A server under test, and the key that it takes updates by.
struct Server {
    address: SocketAddr,
    key: Tsig,
    _running: Running,
}

/// Held for what its end does.
#[expect(dead_code, reason = "dropping it stops the server")]
enum Running {
    Bind(Named),
    Embedded(EmbeddedDns, TempDir),
}

impl Server {
    async fn bind() -> Self {
        let key = Tsig::generate("leeward-test").unwrap();
        let named = Named::start(ZONE, &key).await;
        Self { address: named.address(), key, _running: Running::Bind(named) }
    }

    async fn embedded() -> Self {
        let (folder, key) = (tempfile::tempdir().unwrap(), Tsig::generate("leeward-test").unwrap());
        let config = EmbeddedDnsConfig {
            listen: ([127, 0, 0, 1], 0).into(),
            zone: ZONE.into(),
            key: key.clone(),
            file: folder.path().join("zone"),
        };
        let server = EmbeddedDns::start(config).await.unwrap();
        Self { address: server.address(), key, _running: Running::Embedded(server, folder) }
    }

    fn redirector(&self) -> Rfc2136Redirector {
        self.redirector_with(Some(self.key.clone()))
    }

    fn redirector_with(&self, key: Option<Tsig>) -> Rfc2136Redirector {
        self.redirector_at(self.address, key)
    }

    fn redirector_at(&self, primary: SocketAddr, key: Option<Tsig>) -> Rfc2136Redirector {
        let target = |name: &str| (region(name), vec![format!("{name}.{ZONE}")]);
        let targets = BTreeMap::from([target("ams"), target("fra")]);
        let ttl = Duration::from_secs(15);
        let name = ManagedName::new(NAME, ZONE, DnsRecordType::Cname, ttl, targets).unwrap();
        let servers = NameServers {
            provider: "rfc2136",
            primary: primary.to_string(),
            secondaries: Vec::new(),
            resolvers: vec![self.address],
            key,
            confirm_within: Duration::from_secs(2),
        };
        Rfc2136Redirector::new(name, servers)
    }

    /// What `dig` sees: not our own way of reading.
    async fn dig(&self, name: &str, kind: &str) -> String {
        let port = self.address.port().to_string();
        let output = run("dig", &["+short", "+norecurse", "@127.0.0.1", "-p", &port, name, kind], "").await;
        output.1.trim().to_owned()
    }

    /// Feeds `nsupdate`; whether it succeeded, and what it said.
    async fn nsupdate(&self, key: &Tsig, lines: &str) -> (bool, String) {
        let secret = format!("hmac-sha256:{}:{}", key.name(), key.secret().expose_secret());
        let script = format!("server 127.0.0.1 {}\nzone {ZONE}\n{lines}\nsend\n", self.address.port());
        run("nsupdate", &["-y", &secret], &script).await
    }

    async fn held(&self) -> (String, String) {
        (self.dig(MARKER, "TXT").await, self.dig(NAME, "CNAME").await)
    }
}

async fn run(program: &str, arguments: &[&str], input: &str) -> (bool, String) {
    let (folder, mut command) = (tempfile::tempdir().unwrap(), Command::new(program));
    let script = folder.path().join("input");
    std::fs::write(&script, input).unwrap();
    command.args(arguments).stdin(std::fs::File::open(&script).unwrap());
    let program = program.to_owned();
    let output = tokio::task::spawn_blocking(move || {
        command.output().unwrap_or_else(|error| {
            panic!("{program} does not run ({error}): install bind9-dnsutils, or run tests/dns/run")
        })
    });
    let output = output.await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

fn region(name: &str) -> RegionName {
    RegionName::new(name).unwrap()
}

fn epoch(number: u64) -> FencingEpoch {
    FencingEpoch::from_wire(number).unwrap()
}

fn held(name: &str, number: u64) -> (String, String) {
    (format!("\"epoch={number} region={name}\""), format!("{name}.{ZONE}."))
}

/// Each claim once per server.
macro_rules! claims {
    ($($claim:ident),* $(,)?) => {
        mod bind9 {
            $(#[tokio::test]
            async fn $claim() {
                super::$claim(super::Server::bind().await).await;
            })*
        }

        mod embedded {
            $(#[tokio::test]
            async fn $claim() {
                super::$claim(super::Server::embedded().await).await;
            })*
        }
    };
}

claims![
    compare_and_set_moves_epoch_and_target_together,
    a_stale_actor_is_refused_and_nothing_changes,
    a_decision_between_reading_and_writing_wins,
    a_repeated_move_succeeds,
    a_wrong_secret_is_reported_as_badsig,
    an_unknown_key_and_no_key_are_refused,
    actors_that_race_never_take_the_epoch_back,
    nsupdate_and_we_honour_the_same_epoch,
    an_unguarded_write_is_seen_as_drift,
    a_server_that_died_is_reported,
];

async fn compare_and_set_moves_epoch_and_target_together(server: Server) {
    let redirector = server.redirector();
    redirector.move_to(&region("ams"), epoch(7)).await.unwrap();
    assert_eq!(server.held().await, held("ams", 7));

    let redirected = redirector.redirect(&region("fra"), epoch(8)).await.unwrap();

    assert_eq!(server.held().await, held("fra", 8));
    assert_eq!((redirected.resolvers_agreeing, redirected.resolvers), (1, 1));
    let published = Published { region: Some(region("fra")), epoch: Some(epoch(8)) };
    assert_eq!(redirector.published().await, Ok(published));
}

async fn a_stale_actor_is_refused_and_nothing_changes(server: Server) {
    server.redirector().move_to(&region("fra"), epoch(8)).await.unwrap();

    let stale = server.redirector().redirect(&region("ams"), epoch(7)).await;

    let (name, published, ours) = (NAME.to_owned(), epoch(8), epoch(7));
    assert_eq!(stale, Err(RedirectError::Stale { name, published, ours }));
    assert_eq!(server.held().await, held("fra", 8));
}

/// Hands datagrams on to `server`; before the first update, a later decision reaches the server by another way.
async fn overtaken(between: &UdpSocket, server: &Server) {
    let onward = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    onward.connect(server.address).await.unwrap();
    let (mut buffer, mut overtaken) = (vec![0; usize::from(u16::MAX)], false);
    loop {
        let (length, from) = between.recv_from(&mut buffer).await.unwrap();
        let is_update = (buffer[2] >> 3) & 0b1111 == 5;
        if is_update && !overtaken {
            server.redirector().move_to(&region("fra"), epoch(8)).await.unwrap();
            overtaken = true;
        }
        onward.send(&buffer[..length]).await.unwrap();
        let length = onward.recv(&mut buffer).await.unwrap();
        between.send_to(&buffer[..length], from).await.unwrap();
    }
}

async fn a_decision_between_reading_and_writing_wins(server: Server) {
    server.redirector().move_to(&region("fra"), epoch(6)).await.unwrap();
    let between = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let late = server.redirector_at(between.local_addr().unwrap(), Some(server.key.clone()));
    let to = region("ams");

    let ended = tokio::select! {
        ended = late.redirect(&to, epoch(7)) => ended,
        () = overtaken(&between, &server) => unreachable!("it goes on for ever"),
    };

    let (name, published, ours) = (NAME.to_owned(), epoch(8), epoch(7));
    assert_eq!(ended, Err(RedirectError::Stale { name, published, ours }));
    assert_eq!(server.held().await, held("fra", 8));
}

async fn a_repeated_move_succeeds(server: Server) {
    server.redirector().move_to(&region("fra"), epoch(8)).await.unwrap();

    let again = server.redirector().move_to(&region("fra"), epoch(8)).await.unwrap();

    assert_eq!(again, Move::AlreadyThere);
    assert_eq!(server.held().await, held("fra", 8));
}

async fn refused(server: &Server, key: Option<Tsig>) -> Refusal {
    match server.redirector_with(key).move_to(&region("fra"), epoch(8)).await {
        Err(MoveError::Refused { refusal, .. }) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

async fn a_wrong_secret_is_reported_as_badsig(server: Server) {
    server.redirector().move_to(&region("ams"), epoch(7)).await.unwrap();

    let refusal = refused(&server, Some(Tsig::generate("leeward-test").unwrap())).await;

    assert_eq!(refusal, Refusal::BadSignature);
    assert_eq!(server.held().await, held("ams", 7));
}

async fn an_unknown_key_and_no_key_are_refused(server: Server) {
    let unknown = refused(&server, Some(Tsig::generate("someone-else").unwrap())).await;
    let unsigned = refused(&server, None).await;

    assert_eq!(unknown, Refusal::BadKey);
    assert_eq!(unsigned.to_string(), "Query Refused");
    assert_eq!(server.held().await, (String::new(), String::new()));
}

async fn actors_that_race_never_take_the_epoch_back(server: Server) {
    let actors = (1..=12).map(|number| {
        let redirector = server.redirector();
        async move {
            let to = region(if number % 2 == 0 { "fra" } else { "ams" });
            loop {
                match redirector.move_to(&to, epoch(number)).await {
                    Err(MoveError::Contended) => {}
                    ended => break ended,
                }
            }
        }
    });

    let ended = futures::future::join_all(actors).await;

    assert!(ended.iter().all(|end| matches!(end, Ok(_) | Err(MoveError::Stale { .. }))), "{ended:?}");
    assert_eq!(server.held().await, held("fra", 12));
}

async fn nsupdate_and_we_honour_the_same_epoch(server: Server) {
    server.redirector().move_to(&region("ams"), epoch(7)).await.unwrap();
    let guarded = |from: &str| {
        format!(
            "prereq yxrrset {MARKER}. TXT {from}\n\
             update delete {MARKER}. TXT\nupdate add {MARKER}. 15 TXT \"epoch=8 region=fra\"\n\
             update delete {NAME}. CNAME\nupdate add {NAME}. 15 CNAME fra.{ZONE}."
        )
    };
    let wrong = Tsig::generate("leeward-test").unwrap();

    let stale = server.nsupdate(&server.key, &guarded("\"epoch=6 region=ams\"")).await;
    let forged = server.nsupdate(&wrong, &guarded("\"epoch=7 region=ams\"")).await;
    assert_eq!(server.held().await, held("ams", 7));
    let moved = server.nsupdate(&server.key, &guarded("\"epoch=7 region=ams\"")).await;
    assert_eq!(server.held().await, held("fra", 8));
    let ours = server.redirector().move_to(&region("fra"), epoch(8)).await.unwrap();

    assert!(!stale.0 && stale.1.contains("NXRRSET"), "{stale:?}");
    assert!(!forged.0 && forged.1.contains("BADSIG"), "{forged:?}");
    assert!(moved.0, "{moved:?}");
    assert_eq!(ours, Move::AlreadyThere);
}

async fn an_unguarded_write_is_seen_as_drift(server: Server) {
    let redirector = server.redirector();
    redirector.move_to(&region("fra"), epoch(8)).await.unwrap();
    assert!(!redirector.look().await.unwrap().drifted());
    let overwritten = format!("update delete {NAME}. CNAME\nupdate add {NAME}. 15 CNAME ams.{ZONE}.");
    assert!(server.nsupdate(&server.key, &overwritten).await.0);

    let sighting = redirector.look().await.unwrap();
    let restored = redirector.move_to(&region("fra"), epoch(8)).await.unwrap();

    assert!(sighting.drifted(), "{sighting:?}");
    assert_eq!(sighting.published.region, Some(region("ams")));
    assert_eq!(restored, Move::Moved);
    assert_eq!(server.held().await, held("fra", 8));
}

async fn a_server_that_died_is_reported(server: Server) {
    let redirector = server.redirector();
    drop(server);

    let failed = redirector.redirect(&region("fra"), epoch(8)).await.unwrap_err();

    assert!(failed.may_retry());
    assert!(failed.to_string().contains("cannot be reached"), "{failed}");
}
