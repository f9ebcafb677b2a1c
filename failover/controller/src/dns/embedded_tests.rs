//! The embedded server over real sockets.

use std::net::Ipv4Addr;

use hickory_proto::{
    op::{Query, ResponseCode},
    rr::{DNSClass, RData, rdata::A},
};
use tempfile::TempDir;

use super::*;
use crate::dns::{ExchangeError, ask, tell};

const KAFKA: &str = "kafka.leeward.test.";

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

async fn start(folder: &TempDir, key: &Tsig) -> EmbeddedDns {
    let config = EmbeddedDnsConfig {
        listen: (Ipv4Addr::LOCALHOST, 0).into(),
        zone: "leeward.test".into(),
        key: key.clone(),
        file: folder.path().join("leeward.test.zone"),
    };
    EmbeddedDns::start(config).await.unwrap()
}

fn addition(owner: &str, last: u8) -> Message {
    let mut message = Message::query();
    message.metadata.op_code = OpCode::Update;
    message.add_query(Query::query(name("leeward.test."), RecordType::SOA));
    let mut all = Record::update0(name(owner), 0, RecordType::A);
    all.dns_class = DNSClass::ANY;
    message.add_authority(all);
    message.add_authority(Record::from_rdata(name(owner), 15, RData::A(A::new(127, 0, 0, last))));
    message
}

async fn serial(server: &EmbeddedDns) -> u32 {
    let reply = ask(server.address(), &name("leeward.test."), RecordType::SOA).await.unwrap();
    let [Record { data: RData::SOA(soa), .. }] = reply.message.answers.as_slice() else {
        panic!("{reply:?}")
    };
    soa.serial
}

async fn code(server: &EmbeddedDns, update: Message, key: Option<&Tsig>) -> ResponseCode {
    tell(server.address(), update, key).await.unwrap().code()
}

#[tokio::test]
async fn a_signed_update_is_answered_signed_and_raises_the_serial() {
    let (folder, key) = (tempfile::tempdir().unwrap(), Tsig::generate("leeward").unwrap());
    let server = start(&folder, &key).await;
    let before = serial(&server).await;

    let answered = code(&server, addition(KAFKA, 1), Some(&key)).await;

    assert_eq!(answered, ResponseCode::NoError);
    assert_eq!(serial(&server).await, before + 1);
}

#[tokio::test]
async fn updates_without_our_key_change_nothing_and_say_why() {
    let (folder, key) = (tempfile::tempdir().unwrap(), Tsig::generate("leeward").unwrap());
    let server = start(&folder, &key).await;
    let before = serial(&server).await;
    let (wrong, unknown) = (Tsig::generate("leeward").unwrap(), Tsig::generate("other").unwrap());

    let unsigned = tell(server.address(), addition(KAFKA, 1), None).await.unwrap();
    let wrong = tell(server.address(), addition(KAFKA, 1), Some(&wrong)).await.unwrap();
    let unknown = tell(server.address(), addition(KAFKA, 1), Some(&unknown)).await.unwrap();

    assert_eq!(unsigned.code(), ResponseCode::Refused);
    assert_eq!((wrong.code(), wrong.signature_error()), (ResponseCode::NotAuth, Some(TsigError::BadSig)));
    assert_eq!((unknown.code(), unknown.signature_error()), (ResponseCode::NotAuth, Some(TsigError::BadKey)));
    assert_eq!(serial(&server).await, before);
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let (folder, key) = (tempfile::tempdir().unwrap(), Tsig::generate("leeward").unwrap());
    let server = start(&folder, &key).await;
    assert_eq!(code(&server, addition(KAFKA, 7), Some(&key)).await, ResponseCode::NoError);
    let before = serial(&server).await;
    server.shut_down().await;

    let server = start(&folder, &key).await;

    let reply = ask(server.address(), &name(KAFKA), RecordType::A).await.unwrap();
    assert_eq!(reply.message.answers[0].data, RData::A(A::new(127, 0, 0, 7)));
    assert_eq!(serial(&server).await, before);
}

#[tokio::test]
async fn a_zone_that_cannot_be_kept_is_not_changed() {
    let (folder, key) = (tempfile::tempdir().unwrap(), Tsig::generate("leeward").unwrap());
    let server = start(&folder, &key).await;
    let before = serial(&server).await;
    folder.close().unwrap();

    let answered = code(&server, addition(KAFKA, 1), Some(&key)).await;

    assert_eq!(answered, ResponseCode::ServFail);
    assert_eq!(serial(&server).await, before);
}

#[tokio::test]
async fn an_answer_too_long_for_a_datagram_comes_over_tcp() {
    let (folder, key) = (tempfile::tempdir().unwrap(), Tsig::generate("leeward").unwrap());
    let server = start(&folder, &key).await;
    let mut update = addition(KAFKA, 0);
    let owner = format!("{}.{}.{KAFKA}", "x".repeat(63), "y".repeat(63));
    for record in &mut update.authorities {
        record.name = name(&owner);
    }
    for last in 1..60 {
        update.add_authority(Record::from_rdata(name(&owner), 15, RData::A(A::new(127, 0, 1, last))));
    }
    assert_eq!(code(&server, update, Some(&key)).await, ResponseCode::NoError);

    let reply = ask(server.address(), &name(&owner), RecordType::A).await.unwrap();

    assert_eq!(reply.message.answers.len(), 60);
}

#[tokio::test]
async fn a_port_without_a_server_is_unreachable() {
    let (folder, key) = (tempfile::tempdir().unwrap(), Tsig::generate("leeward").unwrap());
    let server = start(&folder, &key).await;
    let address = server.address();
    server.shut_down().await;

    let refused = ask(address, &name(KAFKA), RecordType::A).await;

    assert!(matches!(refused, Err(ExchangeError::Unreachable { .. })), "{refused:?}");
}
