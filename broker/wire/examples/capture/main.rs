//! Captures golden frames: asks a live Kafka every request at every version that both sides speak, and keeps
//! request and response frames, one file per API. `cargo run --example capture -- 127.0.0.1:9092 FOLDER`.
//!
//! The broker should be new, on loopback, with an authorizer and `group.initial.rebalance.delay.ms=0`.

#![allow(clippy::wildcard_imports, reason = "it names nearly every message")]

mod administration;
mod group;
mod session;

use std::{env, fs};

use leeward_wire::Uuid;
use leeward_wire::api::*;
use leeward_wire::record::{BatchBuilder, Compression};

use administration::{acls, configs, removals, transactions};
use group::group;
use session::{Result, Session, wait_for_coordinators};

const TOPIC: &str = "golden";
const GROUP: &str = "golden-group";
const TRANSACTION: &str = "golden-transaction";
const TIMEOUT_MS: i32 = 10_000;

fn main() -> Result<()> {
    let mut arguments = env::args().skip(1);
    let (Some(address), Some(folder)) = (arguments.next(), arguments.next()) else {
        return Err("usage: capture ADDRESS FOLDER".into());
    };
    let mut session = Session::new(&address)?;
    session.broker = session.ask(
        3,
        &ApiVersionsRequest { client_software_name: "leeward".into(), client_software_version: "0".into() },
    )?;
    session.each(&ApiVersionsRequest {
        client_software_name: "leeward".into(),
        client_software_version: "0".into(),
    })?;

    wait_for_coordinators(&address, &session.broker)?;
    let topic_id = topics(&mut session)?;
    records(&mut session, topic_id)?;
    group(&mut session, topic_id)?;
    transactions(&mut session)?;
    configs(&mut session)?;
    acls(&mut session)?;
    removals(&mut session, topic_id)?;

    fs::create_dir_all(&folder)?;
    for (api, frames) in &session.frames {
        fs::write(format!("{folder}/{api}.bin"), frames)?;
    }
    let missing: Vec<_> = SPOKEN.iter().filter(|api| !session.frames.contains_key(api)).collect();
    println!("{} apis captured, not: {missing:?}", session.frames.len());
    Ok(())
}

fn topics(session: &mut Session) -> Result<Uuid> {
    for version in session.versions::<CreateTopicsRequest>() {
        let topic = |name: String| CreateTopicsRequestTopic {
            name,
            num_partitions: 2,
            replication_factor: 1,
            configs: vec![CreateTopicsRequestConfig {
                name: "retention.ms".into(),
                value: Some("-1".into()),
            }],
            ..Default::default()
        };
        session.ask(
            version,
            &CreateTopicsRequest {
                topics: vec![topic(TOPIC.into()), topic(format!("{TOPIC}-{version}"))],
                timeout_ms: TIMEOUT_MS,
                ..Default::default()
            },
        )?;
    }
    let topics = Some(vec![MetadataRequestTopic { name: Some(TOPIC.into()), ..Default::default() }]);
    session.each(&MetadataRequest { topics, ..Default::default() })?;
    let metadata = session.newest(&MetadataRequest { topics: None, ..Default::default() })?;
    session.each(&DescribeClusterRequest::default())?;
    for (version, count) in session.versions::<CreatePartitionsRequest>().zip(3..) {
        session.ask(
            version,
            &CreatePartitionsRequest {
                topics: vec![CreatePartitionsRequestTopic { name: TOPIC.into(), count, assignments: None }],
                timeout_ms: TIMEOUT_MS,
                ..Default::default()
            },
        )?;
    }
    let golden = metadata.topics.into_iter().find(|topic| topic.name.as_deref() == Some(TOPIC));
    Ok(golden.ok_or("the topic was not created")?.topic_id)
}

fn records(session: &mut Session, topic_id: Uuid) -> Result<()> {
    for version in session.versions::<ProduceRequest>() {
        let mut builder = BatchBuilder::new(Compression::None);
        builder.append(1_700_000_000_000, Some(b"key"), Some(b"value"), &[])?;
        let records = Some(builder.build()?.to_bytes());
        let partition = |index| ProduceRequestPartition { index, records: records.clone() };
        session.ask(
            version,
            &ProduceRequest {
                acks: -1,
                timeout_ms: TIMEOUT_MS,
                topic_data: vec![ProduceRequestTopic {
                    name: TOPIC.into(),
                    topic_id,
                    partition_data: vec![partition(0), partition(99)],
                }],
                ..Default::default()
            },
        )?;
    }
    session.each(&FetchRequest {
        max_wait_ms: 100,
        min_bytes: 1,
        max_bytes: 1 << 20,
        topics: vec![FetchRequestTopic {
            topic: TOPIC.into(),
            topic_id,
            partitions: [0, 99]
                .map(|partition| FetchRequestPartition {
                    partition,
                    partition_max_bytes: 200,
                    ..Default::default()
                })
                .into(),
        }],
        ..Default::default()
    })?;
    session.each(&ListOffsetsRequest {
        replica_id: -1,
        topics: vec![ListOffsetsRequestTopic {
            name: TOPIC.into(),
            partitions: [0, 99]
                .map(|partition_index| ListOffsetsRequestPartition {
                    partition_index,
                    timestamp: -1,
                    ..Default::default()
                })
                .into(),
        }],
        ..Default::default()
    })?;
    session.each(&OffsetForLeaderEpochRequest {
        replica_id: -1,
        topics: vec![OffsetForLeaderEpochRequestTopic {
            topic: TOPIC.into(),
            partitions: vec![OffsetForLeaderEpochRequestPartition::default()],
        }],
    })?;
    session.each(&DescribeProducersRequest {
        topics: vec![DescribeProducersRequestTopic { name: TOPIC.into(), partition_indexes: vec![0, 99] }],
    })?;
    for (version, offset) in session.versions::<DeleteRecordsRequest>().zip(1..) {
        session.ask(
            version,
            &DeleteRecordsRequest {
                topics: vec![DeleteRecordsRequestTopic {
                    name: TOPIC.into(),
                    partitions: vec![DeleteRecordsRequestPartition { partition_index: 0, offset }],
                }],
                timeout_ms: TIMEOUT_MS,
            },
        )?;
    }
    Ok(())
}
