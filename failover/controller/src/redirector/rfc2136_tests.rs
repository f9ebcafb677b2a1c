//! The redirector against the embedded server; the same claims hold against BIND in the project's own tests.

use std::{collections::BTreeMap, net::Ipv4Addr};

use leeward_model::TopologyName;
use leeward_policies::DnsRecordType;
use prometheus::Registry;
use tempfile::TempDir;

use super::*;
use crate::{
    dns::{EmbeddedDns, EmbeddedDnsConfig},
    redirector::{DnsMetrics, watch_name},
};

struct Fixture {
    server: EmbeddedDns,
    key: Tsig,
    _folder: TempDir,
}

async fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let key = Tsig::generate("leeward").unwrap();
    let config = EmbeddedDnsConfig {
        listen: (Ipv4Addr::LOCALHOST, 0).into(),
        zone: "leeward.test".into(),
        key: key.clone(),
        file: folder.path().join("leeward.test.zone"),
    };
    Fixture { server: EmbeddedDns::start(config).await.unwrap(), key, _folder: folder }
}

fn region(name: &str) -> RegionName {
    RegionName::new(name).unwrap()
}

fn epoch(number: u64) -> FencingEpoch {
    FencingEpoch::from_wire(number).unwrap()
}

fn kafka(kind: DnsRecordType) -> ManagedName {
    let targets = match kind {
        DnsRecordType::A => [vec!["127.0.0.1", "127.0.0.2"], vec!["127.0.0.3"]],
        DnsRecordType::Cname => [vec!["ams.example.org"], vec!["fra.example.org"]],
    };
    let targets = ["ams", "fra"].into_iter().zip(targets);
    let targets: BTreeMap<_, _> = targets
        .map(|(name, targets)| (region(name), targets.into_iter().map(str::to_owned).collect()))
        .collect();
    ManagedName::new("kafka.leeward.test", "leeward.test", kind, Duration::from_secs(15), targets).unwrap()
}

impl Fixture {
    fn servers(&self) -> NameServers {
        NameServers {
            provider: "embedded",
            primary: self.server.address().to_string(),
            secondaries: Vec::new(),
            resolvers: Vec::new(),
            key: Some(self.key.clone()),
            confirm_within: Duration::from_millis(300),
        }
    }

    fn redirector(&self) -> Rfc2136Redirector {
        Rfc2136Redirector::new(kafka(DnsRecordType::A), self.servers())
    }

    fn redirector_with(&self, change: impl FnOnce(&mut NameServers)) -> Rfc2136Redirector {
        let mut servers = self.servers();
        change(&mut servers);
        Rfc2136Redirector::new(kafka(DnsRecordType::A), servers)
    }

    /// A writer that ignores the epoch.
    async fn overwrite(&self, target: RData) {
        let redirector = self.redirector();
        let name = redirector.name.name();
        let mut update = Message::query();
        update.metadata.op_code = OpCode::Update;
        update.add_query(Query::query(redirector.name.zone().clone(), RecordType::SOA));
        update.add_authority(nothing(name, RecordType::A, DNSClass::ANY));
        update.add_authority(Record::from_rdata(name.clone(), 15, target));
        let reply = tell(self.server.address(), update, Some(&self.key)).await.unwrap();
        assert_eq!(reply.code(), ResponseCode::NoError);
    }
}

fn published(name: &str, number: u64) -> Published {
    Published { region: Some(region(name)), epoch: Some(epoch(number)) }
}

#[tokio::test]
async fn a_move_changes_epoch_and_targets_together() {
    let fixture = fixture().await;
    let redirector = fixture.redirector();
    assert_eq!(redirector.published().await, Ok(Published { region: None, epoch: None }));

    assert_eq!(redirector.move_to(&region("ams"), epoch(7)).await.unwrap(), Move::Moved);
    assert_eq!(redirector.published().await, Ok(published("ams", 7)));
    assert_eq!(redirector.move_to(&region("fra"), epoch(8)).await.unwrap(), Move::Moved);
    assert_eq!(redirector.published().await, Ok(published("fra", 8)));
}

#[tokio::test]
async fn a_repeated_move_succeeds_and_changes_nothing() {
    let fixture = fixture().await;
    fixture.redirector().move_to(&region("fra"), epoch(8)).await.unwrap();

    let again = fixture.redirector().move_to(&region("fra"), epoch(8)).await.unwrap();

    assert_eq!(again, Move::AlreadyThere);
}

#[tokio::test]
async fn a_stale_actor_is_told_the_epoch_that_it_missed() {
    let fixture = fixture().await;
    fixture.redirector().move_to(&region("fra"), epoch(8)).await.unwrap();

    let older = fixture.redirector().redirect(&region("ams"), epoch(7)).await;
    let rival = fixture.redirector().redirect(&region("ams"), epoch(8)).await;

    let stale = |ours| RedirectError::Stale {
        name: "kafka.leeward.test".into(),
        published: epoch(8),
        ours: epoch(ours),
    };
    assert_eq!(older, Err(stale(7)));
    assert_eq!(rival, Err(stale(8)));
    assert_eq!(fixture.redirector().published().await, Ok(published("fra", 8)));
}

#[tokio::test]
async fn actors_that_race_leave_the_highest_epoch_with_its_own_targets() {
    let fixture = fixture().await;
    let actors = (1..=12).map(|number| {
        let redirector = fixture.redirector();
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

    assert!(ended.last().unwrap().is_ok());
    assert!(ended.iter().all(|end| matches!(end, Ok(_) | Err(MoveError::Stale { .. }))), "{ended:?}");
    assert_eq!(fixture.redirector().published().await, Ok(published("fra", 12)));
}

#[tokio::test]
async fn a_wrong_secret_is_badsig_and_an_unknown_key_is_badkey() {
    let fixture = fixture().await;
    let wrong = fixture.redirector_with(|servers| servers.key = Some(Tsig::generate("leeward").unwrap()));
    let unknown = fixture.redirector_with(|servers| servers.key = Some(Tsig::generate("other").unwrap()));
    let unsigned = fixture.redirector_with(|servers| servers.key = None);

    for (redirector, expected) in [
        (wrong, Refusal::BadSignature),
        (unknown, Refusal::BadKey),
        (unsigned, Refusal::Code(ResponseCode::Refused)),
    ] {
        let refused = redirector.move_to(&region("fra"), epoch(8)).await;
        assert!(
            matches!(refused, Err(MoveError::Refused { refusal, .. }) if refusal == expected),
            "{refused:?}"
        );
    }
    assert_eq!(fixture.redirector().published().await, Ok(Published { region: None, epoch: None }));
}

#[tokio::test]
async fn a_server_that_is_gone_is_reported_and_may_be_tried_again() {
    let fixture = fixture().await;
    let redirector = fixture.redirector();
    fixture.server.shut_down().await;

    let failed = redirector.redirect(&region("fra"), epoch(8)).await.unwrap_err();

    assert!(failed.may_retry());
    assert!(failed.to_string().contains("cannot be reached"), "{failed}");
}

#[tokio::test]
async fn a_server_that_does_not_serve_the_zone_is_refused() {
    let fixture = fixture().await;
    let targets = BTreeMap::from([(region("ams"), vec!["127.0.0.1".to_owned()])]);
    let elsewhere = ManagedName::new(
        "kafka.example.org",
        "example.org",
        DnsRecordType::A,
        Duration::from_secs(15),
        targets,
    );
    let redirector = Rfc2136Redirector::new(elsewhere.unwrap(), fixture.servers());

    let refused = redirector.move_to(&region("ams"), epoch(1)).await;

    assert!(matches!(refused, Err(MoveError::Refused { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_region_without_targets_is_no_place_to_move_to() {
    let fixture = fixture().await;

    let refused = fixture.redirector().redirect(&region("lon"), epoch(1)).await;

    assert!(matches!(refused, Err(RedirectError::NoTarget { .. })));
}

#[tokio::test]
async fn a_name_that_held_an_alias_takes_addresses() {
    let fixture = fixture().await;
    let alias = Rfc2136Redirector::new(kafka(DnsRecordType::Cname), fixture.servers());
    alias.move_to(&region("ams"), epoch(1)).await.unwrap();
    assert_eq!(alias.published().await, Ok(published("ams", 1)));

    fixture.redirector().move_to(&region("fra"), epoch(2)).await.unwrap();

    assert_eq!(fixture.redirector().published().await, Ok(published("fra", 2)));
}

#[tokio::test]
async fn a_move_counts_only_when_every_authoritative_server_answers_it() {
    let (fixture, behind) = (fixture().await, fixture().await);
    let secondary = behind.server.address();
    let redirector = fixture.redirector_with(|servers| servers.secondaries = vec![secondary]);

    let early = redirector.redirect(&region("fra"), epoch(8)).await.unwrap_err();
    behind.redirector().move_to(&region("fra"), epoch(8)).await.unwrap();
    let caught_up = redirector.redirect(&region("fra"), epoch(8)).await;

    assert!(early.may_retry() && early.to_string().contains(&secondary.to_string()), "{early}");
    assert!(caught_up.is_ok());
}

#[tokio::test]
async fn resolvers_that_do_not_agree_are_counted_and_named() {
    let (fixture, behind) = (fixture().await, fixture().await);
    behind.redirector().move_to(&region("ams"), epoch(7)).await.unwrap();
    let (agreeing, stale) = (fixture.server.address(), behind.server.address());
    let redirector = fixture.redirector_with(|servers| servers.resolvers = vec![agreeing, stale]);

    let redirected = redirector.redirect(&region("fra"), epoch(8)).await.unwrap();
    let sighting = redirector.look().await.unwrap();

    assert_eq!(redirected, Redirected { resolvers_agreeing: 1, resolvers: 2 });
    let disagreeing: Vec<_> = sighting.resolvers.iter().filter(|view| !view.agrees).collect();
    assert_eq!(disagreeing.iter().map(|view| view.resolver).collect::<Vec<_>>(), [stale]);
    let mut answer = disagreeing[0].answer.clone().unwrap();
    answer.sort();
    assert_eq!(answer, ["127.0.0.1", "127.0.0.2"]);
}

#[tokio::test]
async fn an_overwritten_name_is_told_once_and_put_back_by_repeating_the_move() {
    let fixture = fixture().await;
    let redirector = fixture.redirector();
    redirector.move_to(&region("fra"), epoch(8)).await.unwrap();
    let registry = Registry::new();
    let metrics = DnsMetrics::register(&registry, &TopologyName::new("demo").unwrap()).unwrap();
    let stop = tokio_util::sync::CancellationToken::new();
    let (told, mut hears) = tokio::sync::mpsc::unbounded_channel();
    let observing = watch_name(&redirector, &metrics, Duration::from_millis(5), &stop, |seen| {
        told.send(seen.clone().unwrap().drifted()).unwrap();
    });

    let acting = async {
        assert_eq!(hears.recv().await, Some(false));
        fixture.overwrite(RData::A(Ipv4Addr::new(127, 0, 0, 9).into())).await;
        assert_eq!(hears.recv().await, Some(true));
        assert_eq!(redirector.move_to(&region("fra"), epoch(8)).await.unwrap(), Move::Moved);
        assert_eq!(hears.recv().await, Some(false));
        stop.cancel();
    };
    tokio::join!(observing, acting);

    assert!(hears.try_recv().is_err());
    let gathered = registry.gather();
    let target = gathered.iter().find(|family| family.name() == "leeward_dns_target").unwrap();
    let answering: Vec<_> =
        target.get_metric().iter().filter(|metric| metric.get_gauge().get_value() > 0.5).collect();
    assert_eq!(answering.len(), 1);
    assert!(answering[0].get_label().iter().any(|label| label.value() == "fra"));
}

#[tokio::test]
async fn a_move_has_longer_than_its_resolvers_may_take() {
    let fixture = fixture().await;
    let lagging = fixture.redirector_with(|servers| servers.confirm_within = Duration::from_mins(1));
    let names: [std::sync::Arc<dyn Redirector>; 2] =
        [std::sync::Arc::new(lagging), std::sync::Arc::new(fixture.redirector())];

    assert!(crate::performer::redirect_bound(&names) > Duration::from_mins(1) + Duration::from_millis(300));
}
