//! One connection: order, pipelining, timeouts, what the end of it tells whom.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::BytesMut;
use leeward_client::{Acks, CloseReason, Cluster, Connection, Lane, RequestError};
use leeward_wire::{
    ApiKey, ErrorCode, Message, Reader, RequestHeader,
    api::{
        ApiVersionsResponse, HeartbeatRequest, HeartbeatResponse, ListGroupsRequest, ListGroupsResponse,
        ListGroupsResponseGroup, RequestBody, ResponseBody,
    },
    record::{BatchBuilder, Compression},
};

use crate::fake::{Behaviour, Broker, Reply, speaks, t_0, usual};

async fn connect(broker: &Broker) -> (Cluster, Connection) {
    let cluster = Cluster::connect(broker.config()).await.unwrap();
    let connection = cluster.connection(broker.id, Lane::own()).await.unwrap();
    (cluster, connection)
}

/// Answers `ListGroups` with one group, named like the state that was asked for.
fn echo(filter: &[String]) -> Reply {
    let group_id = filter.first().cloned().unwrap_or_default();
    let group = ListGroupsResponseGroup { group_id, ..Default::default() };
    Reply::Answer(ResponseBody::ListGroups(ListGroupsResponse { groups: vec![group], ..Default::default() }))
}

fn echoing() -> Behaviour {
    Arc::new(|_, _, body| match body {
        RequestBody::ListGroups(request) => echo(&request.states_filter),
        _ => Reply::Usual,
    })
}

fn asking(state: &str) -> ListGroupsRequest {
    ListGroupsRequest { states_filter: vec![state.to_owned()], types_filter: Vec::new() }
}

/// Leaves heartbeats without an answer.
fn deaf_to_heartbeats() -> Behaviour {
    Arc::new(|_, _, body| match body {
        RequestBody::Heartbeat(_) => Reply::Silence,
        RequestBody::ListGroups(_) => Reply::Close,
        _ => Reply::Usual,
    })
}

#[tokio::test]
async fn each_of_many_requests_in_flight_gets_its_own_answer() {
    let broker = Broker::start(1, "c", echoing()).await;
    let (_cluster, connection) = connect(&broker).await;

    let sent = (0..200).map(|number| {
        let connection = connection.clone();
        tokio::spawn(async move {
            let answer = connection.send(&asking(&number.to_string()), 4).await.unwrap();
            (number.to_string(), answer.groups[0].group_id.clone())
        })
    });

    for (asked, answered) in futures::future::join_all(sent).await.into_iter().map(Result::unwrap) {
        assert_eq!(asked, answered);
    }
}

#[tokio::test]
async fn the_end_of_a_connection_is_told_to_everybody_who_waits() {
    let broker = Broker::start(1, "c", deaf_to_heartbeats()).await;
    let (_cluster, connection) = connect(&broker).await;
    let minute = Duration::from_mins(1);
    let heartbeat = HeartbeatRequest::default();
    let first = connection.submit(&heartbeat, 4, minute).await.unwrap();
    let second = connection.submit(&heartbeat, 4, minute).await.unwrap();

    let closing = connection.send_within(&asking("x"), 4, minute).await;

    for outcome in [closing.err(), first.answer().await.err(), second.answer().await.err()] {
        assert!(
            matches!(outcome, Some(RequestError::Closed { source: CloseReason::ByBroker, .. })),
            "{outcome:?}"
        );
    }
    assert!(connection.is_spent());
}

#[tokio::test]
async fn a_request_without_an_answer_in_time_closes_the_connection() {
    let broker = Broker::start(1, "c", deaf_to_heartbeats()).await;
    let (_cluster, connection) = connect(&broker).await;

    let short = Duration::from_millis(20);
    let late = connection.send_within(&HeartbeatRequest::default(), 4, short).await;

    assert!(matches!(late, Err(RequestError::Timeout { api: ApiKey::Heartbeat, .. })), "{late:?}");
    assert!(matches!(connection.close_reason(), Some(CloseReason::Timeout { .. })));
}

#[tokio::test]
async fn an_answer_out_of_order_is_nobodys_answer() {
    let behaviour: Behaviour = Arc::new(|_, _, body| match body {
        RequestBody::Heartbeat(_) => {
            Reply::Misnumbered(ResponseBody::Heartbeat(HeartbeatResponse::default()))
        }
        _ => Reply::Usual,
    });
    let broker = Broker::start(1, "c", behaviour).await;
    let (_cluster, connection) = connect(&broker).await;

    let outcome = connection.send(&HeartbeatRequest::default(), 4).await;

    assert!(
        matches!(outcome, Err(RequestError::Closed { source: CloseReason::OutOfOrder, .. })),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn an_older_broker_is_asked_for_its_versions_again_in_one_it_knows() {
    let behaviour: Behaviour = Arc::new(|_, header, body| match body {
        RequestBody::ApiVersions(_) if header.api_version > 0 => {
            let refusal = ApiVersionsResponse {
                error_code: ErrorCode::UNSUPPORTED_VERSION.code(),
                ..Default::default()
            };
            Reply::AnswerIn(0, ResponseBody::ApiVersions(refusal))
        }
        _ => Reply::Usual,
    });
    let broker = Broker::start(1, "c", behaviour).await;

    let connected = Cluster::connect(broker.config()).await;

    assert!(connected.is_ok(), "{connected:?}");
    let asked: Vec<_> =
        broker.requests_of(ApiKey::ApiVersions).iter().map(|header| header.api_version).collect();
    assert_eq!(asked, [3, 0]);
}

#[tokio::test]
async fn a_version_is_the_newest_of_both_and_below_the_callers_cap() {
    let behaviour: Behaviour = Arc::new(|_, _, body| match body {
        RequestBody::ApiVersions(_) => Reply::Answer(ResponseBody::ApiVersions(speaks(9))),
        _ => Reply::Usual,
    });
    let broker = Broker::start(1, "c", behaviour).await;
    let (_cluster, connection) = connect(&broker).await;

    assert_eq!(connection.version_for::<leeward_wire::api::ProduceRequest>(), Ok(9));
    assert_eq!(connection.version_up_to::<leeward_wire::api::ProduceRequest>(7), Ok(7));
    let refused = connection.version_up_to::<leeward_wire::api::ProduceRequest>(2).unwrap_err();
    assert!(refused.to_string().ends_with("speaks Produce v3 to v9, we need v3 to v2"), "{refused}");
}

#[tokio::test]
async fn a_request_that_nobody_answers_does_not_shift_the_answers_after_it() {
    let behaviour: Behaviour = Arc::new(|_, _, body| match body {
        RequestBody::Produce(_) => Reply::Silence,
        RequestBody::ListGroups(request) => echo(&request.states_filter),
        _ => Reply::Usual,
    });
    let broker = Broker::start(1, "c", behaviour).await;
    let (cluster, _) = connect(&broker).await;
    let lane = Lane::own();
    let connection = cluster.connection(1, lane).await.unwrap();
    let mut batch = BatchBuilder::new(Compression::None);
    batch.append(1, None, Some(b"x"), &[]).unwrap();
    let batch = batch.build().unwrap();

    let within = Duration::from_secs(5);
    let unanswered = cluster.submit_produce_on(lane, &t_0(), &batch, Acks::None, within).await.unwrap();
    let answer = connection.send(&asking("after"), 4).await.unwrap();

    assert_eq!(unanswered.ack().await.unwrap().base_offset, -1);
    assert_eq!(answer.groups[0].group_id, "after");
}

#[tokio::test]
async fn a_raw_body_goes_through_and_its_answer_comes_back_raw() {
    let broker = Broker::start(1, "c", echoing()).await;
    let (_cluster, connection) = connect(&broker).await;
    let mut body = BytesMut::new();
    asking("raw").encode(4, &mut body).unwrap();
    let header = RequestHeader {
        api_key: ApiKey::ListGroups,
        api_version: 4,
        correlation_id: 77,
        client_id: Some("somebody else".to_owned()),
    };

    let answer = connection.send_raw(&header, &body, Duration::from_secs(5)).await.unwrap();

    let decoded = ListGroupsResponse::decode(&mut Reader::new(answer), 4).unwrap();
    assert_eq!(decoded.groups[0].group_id, "raw");
    let seen = broker.requests_of(ApiKey::ListGroups);
    assert_eq!(seen[0].client_id.as_deref(), Some("somebody else"));
}

#[tokio::test]
async fn a_caller_who_goes_away_takes_no_answer_with_him() {
    let first = AtomicBool::new(true);
    let behaviour: Behaviour = Arc::new(move |_, _, body| match body {
        RequestBody::ListGroups(request) => {
            first.store(false, Ordering::Relaxed);
            echo(&request.states_filter)
        }
        _ => Reply::Usual,
    });
    let broker = Broker::start(1, "c", behaviour).await;
    let (_cluster, connection) = connect(&broker).await;

    drop(connection.submit(&asking("left alone"), 4, Duration::from_secs(5)).await.unwrap());
    let answer = connection.send(&asking("mine"), 4).await.unwrap();

    assert_eq!(answer.groups[0].group_id, "mine");
}

#[tokio::test]
async fn a_login_that_a_broker_does_not_offer_is_refused_with_what_it_offers() {
    let behaviour: Behaviour = Arc::new(|_, _, body| match body {
        RequestBody::SaslHandshake(_) => {
            Reply::Answer(ResponseBody::SaslHandshake(leeward_wire::api::SaslHandshakeResponse {
                error_code: ErrorCode::UNSUPPORTED_SASL_MECHANISM.code(),
                mechanisms: vec!["GSSAPI".to_owned()],
            }))
        }
        _ => Reply::Usual,
    });
    let broker = Broker::start(1, "c", behaviour).await;
    let mut config = broker.config();
    config.security.sasl = Some(leeward_client::Sasl::Plain(leeward_client::Credentials {
        username: "u".to_owned(),
        password: "p".to_owned().into(),
    }));

    let refused = Cluster::connect(config).await.unwrap_err();

    let cause = std::error::Error::source(&refused).unwrap().to_string();
    assert!(cause.ends_with("offers no login by PLAIN, only by [\"GSSAPI\"]"), "{cause}");
    assert!(!refused.may_retry());
}

#[tokio::test]
async fn a_new_connection_replaces_one_that_has_ended() {
    let broker = Broker::start(1, "c", usual()).await;
    let cluster = Cluster::connect(broker.config()).await.unwrap();
    let ended = cluster.connection(1, Lane::Shared).await.unwrap();

    ended.close();

    assert!(!cluster.connection(1, Lane::Shared).await.unwrap().is_spent());
}
