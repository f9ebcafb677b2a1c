//! What a node takes and refuses, as measured on Apache Kafka 4.1.

use bytes::Bytes;
use leeward_node::NodeConfig;
use leeward_wire::ErrorCode;
use leeward_wire::api::{InitProducerIdRequest, ProduceRequest};
use leeward_wire::record::{
    BatchBuilder, Compression, ControlKind, RecordBatch, control_batch, split_batches,
};

use crate::support::{Client, batch, node, now_ms, produce_request, sequenced};

const ID: i64 = 0x7e00_0000_0000_0001;

async fn with_topic(settings: &[(&str, &str)]) -> (tempfile::TempDir, leeward_node::RunningNode, Client) {
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path()).await;
    let mut client = Client::connect(node.addr()).await;
    client.create_topic("t", 1, settings).await;
    (folder, node, client)
}

fn at(batch: &RecordBatch, index: usize, byte: u8) -> Bytes {
    let mut bytes = batch.to_bytes().to_vec();
    bytes[index] = byte;
    bytes.into()
}

#[tokio::test]
async fn a_producer_that_the_cluster_never_met_may_begin_at_any_sequence() {
    let (_folder, _node, mut client) = with_topic(&[]).await;

    assert_eq!(client.produce("t", &sequenced(ID, 0, 1000, 2)).await, Ok(0));
    assert_eq!(client.produce("t", &sequenced(ID, 0, 1002, 1)).await, Ok(2));
    assert_eq!(
        client.produce("t", &sequenced(ID, 0, 1009, 1)).await,
        Err(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER)
    );
}

#[tokio::test]
async fn a_repeated_batch_is_answered_with_its_first_offset_also_after_a_restart() {
    let (folder, started, mut client) = with_topic(&[]).await;
    for sequence in 0..6 {
        client.produce("t", &sequenced(ID, 0, sequence, 1)).await.unwrap();
    }
    assert_eq!(client.produce("t", &sequenced(ID, 0, 3, 1)).await, Ok(3));
    started.shutdown().await;

    let restarted = node(folder.path()).await;

    let mut client = Client::connect(restarted.addr()).await;
    assert_eq!(client.produce("t", &sequenced(ID, 0, 5, 1)).await, Ok(5));
    assert_eq!(
        client.produce("t", &sequenced(ID, 0, 0, 1)).await,
        Err(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER)
    );
    assert_eq!(client.produce("t", &sequenced(ID, 0, 6, 1)).await, Ok(6));
    assert_eq!(client.produce("t", &sequenced(ID, 1, 0, 1)).await, Ok(7));
    assert_eq!(client.produce("t", &sequenced(ID, 0, 7, 1)).await, Err(ErrorCode::INVALID_PRODUCER_EPOCH));
}

#[tokio::test]
async fn what_kafka_refuses_is_refused_with_kafkas_code() {
    let (_folder, _node, mut client) = with_topic(&[]).await;
    let one = batch(Compression::None, &["v"]);
    let two = [one.to_bytes(), one.to_bytes()].concat();
    let mut holes = BatchBuilder::new(Compression::None);
    for delta in [0, 2, 5] {
        holes.append_at(delta, now_ms(), None, Some(b"v"), &[]).unwrap();
    }
    let mut transactional = BatchBuilder::new(Compression::None).producer(ID, 0, 0).transactional();
    transactional.append(now_ms(), None, Some(b"v"), &[]).unwrap();
    let mut late = BatchBuilder::new(Compression::None);
    late.append(now_ms() + 2 * 3_600_000, None, Some(b"v"), &[]).unwrap();
    let cases = [
        ("a flipped bit", at(&one, 65, 0x55), ErrorCode::CORRUPT_MESSAGE),
        ("base offset 500", one.with_base_offset(500).unwrap().to_bytes(), ErrorCode::INVALID_RECORD),
        ("holes", holes.build().unwrap().to_bytes(), ErrorCode::INVALID_RECORD),
        ("two batches", two.into(), ErrorCode::INVALID_RECORD),
        ("nothing", Bytes::new(), ErrorCode::INVALID_RECORD),
        (
            "a control batch",
            control_batch(ControlKind::Commit, 0, ID, 0, now_ms()).unwrap().to_bytes(),
            ErrorCode::INVALID_RECORD,
        ),
        (
            "a transactional batch",
            transactional.build().unwrap().to_bytes(),
            ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        ),
        ("two hours ahead", late.build().unwrap().to_bytes(), ErrorCode::INVALID_TIMESTAMP),
    ];

    for (what, bytes, error) in cases {
        let answer = client.produce_bytes("t", 0, bytes).await;
        assert_eq!(ErrorCode::new(answer.error_code), error, "{what}: {:?}", answer.error_message);
    }
    assert!(client.values("t").await.is_empty());
}

#[tokio::test]
async fn batches_of_every_codec_are_stored_as_sent() {
    let (_folder, _node, mut client) = with_topic(&[]).await;
    let codecs =
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

    for codec in codecs {
        let sent = batch(codec, &["one", "two", "three"]);
        let offset = client.produce("t", &sent).await.unwrap();
        let read = client.fetch("t", offset).await.records.unwrap();
        assert_eq!(read[16..], sent.to_bytes()[16..], "{codec:?}");
    }
}

#[tokio::test]
async fn a_topic_with_its_own_codec_stores_every_batch_in_it() {
    let (_folder, _node, mut client) = with_topic(&[("compression.type", "zstd")]).await;

    client.produce("t", &batch(Compression::Gzip, &["one", "two"])).await.unwrap();

    let stored = client.fetch("t", 0).await.records.unwrap();
    let stored = split_batches(stored).next().unwrap().unwrap();
    assert_eq!(stored.compression(), Compression::Zstd);
    assert_eq!(client.values("t").await, [&b"one"[..], b"two"]);
}

#[tokio::test]
async fn a_compressed_batch_of_garbage_is_refused() {
    let (_folder, _node, mut client) = with_topic(&[]).await;
    let plain = batch(Compression::None, &["not what gzip writes"]);
    let mut bytes = plain.to_bytes().to_vec();
    bytes[22] |= 1;
    let crc = leeward_wire::record::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());

    let answer = client.produce_bytes("t", 0, bytes.into()).await;

    assert_eq!(ErrorCode::new(answer.error_code), ErrorCode::UNKNOWN_SERVER_ERROR);
}

#[tokio::test]
async fn a_compacted_topic_needs_keys() {
    let (_folder, _node, mut client) = with_topic(&[("cleanup.policy", "compact")]).await;
    let mut keyless = BatchBuilder::new(Compression::None);
    keyless.append(now_ms(), None, Some(b"v"), &[]).unwrap();

    assert_eq!(client.produce("t", &keyless.build().unwrap()).await, Err(ErrorCode::INVALID_RECORD));
    assert_eq!(client.produce("t", &batch(Compression::None, &["v"])).await, Ok(0));
}

#[tokio::test]
async fn a_topic_that_stamps_its_records_says_when() {
    let (_folder, _node, mut client) = with_topic(&[("message.timestamp.type", "LogAppendTime")]).await;
    let mut old = BatchBuilder::new(Compression::Lz4);
    old.append(1, None, Some(b"v"), &[]).unwrap();

    let answer = client.produce_bytes("t", 0, old.build().unwrap().to_bytes()).await;

    let stored = client.fetch("t", 0).await.records.unwrap();
    let stored = split_batches(stored).next().unwrap().unwrap();
    assert!(answer.log_append_time_ms > 1);
    assert_eq!(stored.max_timestamp(), answer.log_append_time_ms);
    assert!(stored.verify_crc().is_ok());
}

#[tokio::test]
async fn acks_0_is_appended_and_not_answered() {
    let (_folder, _node, mut client) = with_topic(&[]).await;
    let request = produce_request("t", 0, batch(Compression::None, &["v"]).to_bytes(), 0);

    client.send(9, &request).await.unwrap();

    // The next answer on the connection is that of the next request.
    assert_eq!(client.values("t").await, [&b"v"[..]]);
}

#[tokio::test]
async fn transactions_are_refused_for_good() {
    let (_folder, _node, mut client) = with_topic(&[]).await;
    let transactional = Some("tx".to_owned());
    let request = InitProducerIdRequest { transactional_id: transactional.clone(), ..Default::default() };

    let answer = client.call(4, &request).await;
    let produced = client
        .call(
            9,
            &ProduceRequest {
                transactional_id: transactional,
                ..produce_request("t", 0, batch(Compression::None, &["v"]).to_bytes(), -1)
            },
        )
        .await;

    let refused = ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED.code();
    assert_eq!(answer.error_code, refused);
    assert_eq!(produced.responses[0].partition_responses[0].error_code, refused);
}

#[tokio::test]
async fn a_node_that_flushes_every_append_takes_batches_too() {
    let folder = tempfile::tempdir().unwrap();
    let config =
        NodeConfig { flush: leeward_log::FlushPolicy::EveryAppend, ..NodeConfig::new(folder.path()) };
    let node = leeward_node::Node::start(config).await.unwrap();
    let mut client = Client::connect(node.addr()).await;
    client.create_topic("t", 1, &[]).await;

    assert_eq!(client.produce("t", &batch(Compression::None, &["v"])).await, Ok(0));
}
