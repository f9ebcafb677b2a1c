//! A client that says exactly what a test wants, and nodes to say it to.

use std::net::SocketAddr;
use std::path::Path;

use bytes::{Bytes, BytesMut};
use leeward_node::{Node, NodeConfig, RunningNode};
use leeward_wire::api::{
    CreateTopicsRequest, CreateTopicsRequestConfig, CreateTopicsRequestTopic, FetchRequest,
    FetchRequestPartition, FetchRequestTopic, FetchResponsePartition, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsRequestConfig, IncrementalAlterConfigsRequestResource, ProduceRequest,
    ProduceRequestPartition, ProduceRequestTopic, ProduceResponsePartition,
};
use leeward_wire::record::{BatchBuilder, Compression, RecordBatch, split_batches};
use leeward_wire::{
    ErrorCode, FrameDecoder, Message, Reader, Request, decode_response_header, encode_request,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// A node in `directory`.
pub(crate) async fn node(directory: &Path) -> RunningNode {
    Node::start(NodeConfig::new(directory)).await.unwrap()
}

/// One connection.
pub(crate) struct Client {
    stream: TcpStream,
    received: BytesMut,
    correlation_id: i32,
}

impl Client {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).await.unwrap();
        Self { stream, received: BytesMut::new(), correlation_id: 0 }
    }

    /// A connection into which little goes unread.
    pub(crate) async fn with_little_room(addr: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        Self { stream: socket.connect(addr).await.unwrap(), received: BytesMut::new(), correlation_id: 0 }
    }

    /// Sends a request; the connection may break.
    pub(crate) async fn send<R: Request>(&mut self, version: i16, request: &R) -> std::io::Result<()> {
        self.correlation_id += 1;
        let frame = encode_request(version, self.correlation_id, Some("test"), request).unwrap();
        self.stream.write_all(&frame).await
    }

    /// Sends any bytes; the node may hang up in the middle.
    pub(crate) async fn send_raw(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    /// Waits until an answer begins to come, and takes nothing of it.
    pub(crate) async fn wait_for_bytes(&self) {
        self.stream.readable().await.unwrap();
    }

    /// Receives the answer's frame; `None` where the node hung up.
    pub(crate) async fn receive(&mut self) -> Option<Bytes> {
        loop {
            if let Some(frame) = FrameDecoder::default().decode(&mut self.received).unwrap() {
                return Some(frame);
            }
            if self.stream.read_buf(&mut self.received).await.ok()? == 0 {
                return None;
            }
        }
    }

    /// Asks and gets the answer; `None` where the node hung up.
    pub(crate) async fn ask<R: Request>(&mut self, version: i16, request: &R) -> Option<R::Response> {
        self.send(version, request).await.ok()?;
        let mut input = Reader::new(self.receive().await?);
        let header = decode_response_header(&mut input, R::KEY, version).unwrap();
        assert_eq!(header.correlation_id, self.correlation_id);
        let response = R::Response::decode(&mut input, version).unwrap();
        input.finish().unwrap();
        Some(response)
    }

    pub(crate) async fn call<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        self.ask(version, request).await.expect("the node answers")
    }

    pub(crate) async fn create_topic(&mut self, name: &str, partitions: i32, settings: &[(&str, &str)]) {
        let topic = CreateTopicsRequestTopic {
            name: name.to_owned(),
            num_partitions: partitions,
            replication_factor: 1,
            configs: settings
                .iter()
                .map(|(name, value)| CreateTopicsRequestConfig {
                    name: (*name).to_owned(),
                    value: Some((*value).to_owned()),
                })
                .collect(),
            ..CreateTopicsRequestTopic::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], ..CreateTopicsRequest::default() };
        let response = self.call(7, &request).await;
        assert_eq!(response.topics[0].error_code, 0, "{:?}", response.topics[0]);
    }

    /// Produces raw bytes to a partition; returns the whole answer.
    pub(crate) async fn produce_bytes(
        &mut self,
        topic: &str,
        partition: i32,
        records: Bytes,
    ) -> ProduceResponsePartition {
        let response = self.call(9, &produce_request(topic, partition, records, -1)).await;
        response.responses[0].partition_responses[0].clone()
    }

    /// Produces a batch to partition 0: the base offset, or the error.
    pub(crate) async fn produce(&mut self, topic: &str, batch: &RecordBatch) -> Result<i64, ErrorCode> {
        let answer = self.produce_bytes(topic, 0, batch.to_bytes()).await;
        ErrorCode::new(answer.error_code).into_result().map(|()| answer.base_offset)
    }

    /// Reads partition 0 from an offset on, without waiting.
    pub(crate) async fn fetch(&mut self, topic: &str, offset: i64) -> FetchResponsePartition {
        let response = self.call(11, &fetch_request(topic, offset, 0)).await;
        response.responses[0].partitions[0].clone()
    }

    /// All values of partition 0.
    pub(crate) async fn values(&mut self, topic: &str) -> Vec<Bytes> {
        let mut values = Vec::new();
        let mut offset = 0;
        loop {
            let read = self.fetch(topic, offset).await;
            assert_eq!(read.error_code, 0);
            let batches: Vec<RecordBatch> =
                split_batches(read.records.unwrap_or_default()).map(Result::unwrap).collect();
            let Some(last) = batches.last() else {
                return values;
            };
            offset = last.next_offset();
            for batch in &batches {
                let decompressed = batch.decompress(1 << 20).unwrap();
                let of_batch = decompressed.records().map(|record| record.unwrap().value.unwrap().to_vec());
                values.extend(of_batch.map(Bytes::from));
            }
        }
    }

    /// Sets or (with `None`) removes one setting of a topic (type 2) or broker (type 4).
    pub(crate) async fn set(&mut self, kind: i8, name: &str, setting: &str, value: Option<&str>) -> i16 {
        let config = IncrementalAlterConfigsRequestConfig {
            name: setting.to_owned(),
            config_operation: i8::from(value.is_none()),
            value: value.map(ToOwned::to_owned),
        };
        let resource = IncrementalAlterConfigsRequestResource {
            resource_type: kind,
            resource_name: name.to_owned(),
            configs: vec![config],
        };
        let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
        self.call(1, &request).await.responses[0].error_code
    }
}

pub(crate) fn produce_request(topic: &str, partition: i32, records: Bytes, acks: i16) -> ProduceRequest {
    ProduceRequest {
        transactional_id: None,
        acks,
        timeout_ms: 1000,
        topic_data: vec![ProduceRequestTopic {
            name: topic.to_owned(),
            partition_data: vec![ProduceRequestPartition { index: partition, records: Some(records) }],
            ..ProduceRequestTopic::default()
        }],
    }
}

/// A fetch of partition 0 that waits for `max_wait_ms` for the first byte.
pub(crate) fn fetch_request(topic: &str, offset: i64, max_wait_ms: i32) -> FetchRequest {
    let partition = FetchRequestPartition {
        partition: 0,
        fetch_offset: offset,
        partition_max_bytes: 1 << 20,
        ..FetchRequestPartition::default()
    };
    FetchRequest {
        max_wait_ms,
        min_bytes: 1,
        topics: vec![FetchRequestTopic {
            topic: topic.to_owned(),
            partitions: vec![partition],
            ..FetchRequestTopic::default()
        }],
        ..FetchRequest::default()
    }
}

pub(crate) fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

/// A batch of the present with these values and keys like them.
pub(crate) fn batch(compression: Compression, values: &[&str]) -> RecordBatch {
    filled(BatchBuilder::new(compression), values)
}

/// The same by an idempotent producer.
pub(crate) fn sequenced(id: i64, epoch: i16, sequence: i32, records: usize) -> RecordBatch {
    let builder = BatchBuilder::new(Compression::None).producer(id, epoch, sequence);
    filled(builder, &vec!["v"; records])
}

fn filled(mut builder: BatchBuilder, values: &[&str]) -> RecordBatch {
    for value in values {
        builder.append(now_ms(), Some(value.as_bytes()), Some(value.as_bytes()), &[]).unwrap();
    }
    builder.build().unwrap()
}
