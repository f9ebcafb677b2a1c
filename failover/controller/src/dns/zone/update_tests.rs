//! What the embedded zone accepts, refuses and keeps.

use hickory_proto::{
    op::{Message, OpCode, Query, ResponseCode},
    rr::{
        DNSClass, Name, RData, Record, RecordType,
        rdata::{A, CNAME, TXT},
    },
};

use super::*;
use crate::dns::zone::Answer;

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn a(owner: &str, last: u8) -> Record {
    Record::from_rdata(name(owner), 15, RData::A(A::new(127, 0, 0, last)))
}

fn marker(epoch: u64) -> Record {
    let text = format!("epoch={epoch} region=ams");
    Record::from_rdata(name("_leeward-epoch.kafka.example.test."), 15, RData::TXT(TXT::new(vec![text])))
}

fn all_of(owner: &str, kind: RecordType) -> Record {
    let mut record = Record::update0(name(owner), 0, kind);
    record.dns_class = DNSClass::ANY;
    record
}

fn none_of(owner: &str, kind: RecordType) -> Record {
    let mut record = all_of(owner, kind);
    record.dns_class = DNSClass::NONE;
    record
}

fn without(mut record: Record) -> Record {
    record.dns_class = DNSClass::NONE;
    record.ttl = 0;
    record
}

fn exactly(mut record: Record) -> Record {
    record.ttl = 0;
    record
}

fn update(prerequisites: Vec<Record>, changes: Vec<Record>) -> Message {
    let mut message = Message::query();
    message.metadata.op_code = OpCode::Update;
    message.add_query(Query::query(name("example.test."), RecordType::SOA));
    message.add_answers(prerequisites);
    message.add_authorities(changes);
    message
}

fn zone() -> Zone {
    let records = vec![a("kafka.example.test.", 1), marker(7)];
    Zone::from_records(&name("example.test."), 10, records).unwrap()
}

#[test]
fn an_update_whose_prerequisite_holds_moves_all_its_records_and_the_serial() {
    let changes = vec![
        all_of("_leeward-epoch.kafka.example.test.", RecordType::TXT),
        marker(8),
        all_of("kafka.example.test.", RecordType::A),
        a("kafka.example.test.", 2),
    ];

    let next = zone().updated(&update(vec![exactly(marker(7))], changes)).unwrap();

    let moved = Zone::from_records(&name("example.test."), 11, vec![a("kafka.example.test.", 2), marker(8)]);
    assert_eq!(Some(next), moved);
}

#[test]
fn an_update_whose_prerequisite_fails_says_which_kind() {
    let cases = [
        (exactly(marker(6)), ResponseCode::NXRRSet),
        (all_of("absent.example.test.", RecordType::A), ResponseCode::NXRRSet),
        (all_of("absent.example.test.", RecordType::ANY), ResponseCode::NXDomain),
        (none_of("kafka.example.test.", RecordType::A), ResponseCode::YXRRSet),
        (none_of("kafka.example.test.", RecordType::ANY), ResponseCode::YXDomain),
        (all_of("kafka.example.org.", RecordType::A), ResponseCode::NotZone),
        (marker(7), ResponseCode::FormErr),
    ];
    for (prerequisite, code) in cases {
        let message = update(vec![prerequisite], vec![a("other.example.test.", 9)]);

        assert_eq!(zone().updated(&message), Err(code));
    }
}

#[test]
fn a_prerequisite_compares_the_whole_set() {
    let one_of_two = vec![a("kafka.example.test.", 1), a("kafka.example.test.", 2), marker(7)];
    let zone = Zone::from_records(&name("example.test."), 1, one_of_two).unwrap();

    let refused = zone.updated(&update(vec![exactly(a("kafka.example.test.", 1))], vec![]));

    assert_eq!(refused, Err(ResponseCode::NXRRSet));
}

#[test]
fn no_update_leaves_a_name_empty() {
    let emptied = [
        all_of("kafka.example.test.", RecordType::A),
        all_of("kafka.example.test.", RecordType::ANY),
        without(a("kafka.example.test.", 1)),
        all_of("_leeward-epoch.kafka.example.test.", RecordType::TXT),
    ];
    for change in emptied {
        assert_eq!(zone().updated(&update(vec![], vec![change])), Err(ResponseCode::Refused));
    }
}

#[test]
fn targets_are_not_replaced_by_something_that_is_no_target() {
    let text = Record::from_rdata(name("kafka.example.test."), 15, RData::TXT(TXT::new(vec!["gone".into()])));

    let refused = zone().updated(&update(vec![], vec![all_of("kafka.example.test.", RecordType::A), text]));

    assert_eq!(refused, Err(ResponseCode::Refused));
}

#[test]
fn an_epoch_never_goes_back_or_away() {
    let marker_set = || all_of("_leeward-epoch.kafka.example.test.", RecordType::TXT);
    let nonsense = Record::from_rdata(marker(7).name, 15, RData::TXT(TXT::new(vec!["nothing".into()])));
    for changes in [vec![marker_set(), marker(6)], vec![marker_set(), nonsense.clone()], vec![nonsense]] {
        assert_eq!(zone().updated(&update(vec![], changes)), Err(ResponseCode::Refused));
    }
}

#[test]
fn an_alias_takes_the_place_of_an_address_only_when_that_is_deleted_first() {
    let alias =
        Record::from_rdata(name("kafka.example.test."), 15, RData::CNAME(CNAME(name("b.example.test."))));

    let ignored = zone().updated(&update(vec![], vec![alias.clone()])).unwrap();
    let replaced =
        zone().updated(&update(vec![], vec![all_of("kafka.example.test.", RecordType::A), alias])).unwrap();

    assert_eq!(ignored, zone());
    assert!(replaced.set(&name("kafka.example.test."), RecordType::CNAME).is_some());
}

#[test]
fn a_change_outside_the_zone_or_of_another_type_is_refused() {
    let outside = update(vec![], vec![a("kafka.example.org.", 2)]);
    let soa = update(vec![], vec![zone().start_of_authority()]);
    let mut elsewhere = update(vec![], vec![a("x.example.test.", 2)]);
    elsewhere.queries[0].set_name(name("example.org."));

    assert_eq!(zone().updated(&outside), Err(ResponseCode::NotZone));
    assert_eq!(zone().updated(&soa), Err(ResponseCode::Refused));
    assert_eq!(zone().updated(&elsewhere), Err(ResponseCode::NotAuth));
}

#[test]
fn an_update_that_changes_nothing_keeps_the_serial() {
    let next = zone().updated(&update(vec![], vec![a("KAFKA.example.test.", 1)])).unwrap();

    assert_eq!(next, zone());
}

#[test]
fn absence_is_told_apart() {
    let zone = zone();
    let answer = |text, kind| zone.answer(&name(text), kind);

    assert_eq!(answer("kafka.example.test.", RecordType::TXT), Answer::NoSuchType);
    assert_eq!(answer("example.test.", RecordType::A), Answer::NoSuchType);
    assert_eq!(answer("absent.example.test.", RecordType::A), Answer::NoSuchName);
    assert_eq!(answer("kafka.example.org.", RecordType::A), Answer::OutsideZone);
}

#[test]
fn aliases_are_followed_within_the_zone_and_in_a_circle_not_for_ever() {
    let alias = |from: &str, to: &str| Record::from_rdata(name(from), 15, RData::CNAME(CNAME(name(to))));
    let records = vec![
        alias("kafka.example.test.", "b.example.test."),
        a("b.example.test.", 2),
        alias("x.example.test.", "y.example.test."),
        alias("y.example.test.", "x.example.test."),
    ];
    let zone = Zone::from_records(&name("example.test."), 1, records).unwrap();

    let Answer::Records(followed) = zone.answer(&name("kafka.example.test."), RecordType::A) else {
        panic!()
    };
    let Answer::Records(circle) = zone.answer(&name("x.example.test."), RecordType::A) else { panic!() };

    assert_eq!(followed.last(), Some(&a("b.example.test.", 2)));
    assert_eq!(circle.len(), crate::dns::limits::ALIASES_MAX);
}
