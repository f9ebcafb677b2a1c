//! A node that is killed: whatever it acknowledged is there afterwards, once.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use leeward_node::{Node, NodeConfig, StartError};
use leeward_wire::record::{BatchBuilder, Compression, RecordBatch};

use crate::support::{Client, node, now_ms};

const DIRECTORY: &str = "LEEWARD_TEST_NODE_DIRECTORY";
const ROUNDS: &str = "LEEWARD_TEST_KILLS";
const ROUNDS_DEFAULT: u32 = 8;
const ID: i64 = 77;

/// Not a test but the process that the others kill; does nothing in a run of the suite.
#[test]
fn serve_until_killed() {
    let Ok(directory) = std::env::var(DIRECTORY) else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let node = node(Path::new(&directory)).await;
        println!("\nlistening {}", node.addr());
        std::future::pending::<()>().await;
    });
}

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(directory: &Path) -> (Process, SocketAddr) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::serve_until_killed", "--nocapture"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let process = Process(child);
    for line in lines {
        if let Some(addr) = line.unwrap().strip_prefix("listening ") {
            return (process, addr.parse().unwrap());
        }
    }
    panic!("the node did not start");
}

fn numbered(sequence: i32) -> RecordBatch {
    let mut builder = BatchBuilder::new(Compression::None).producer(ID, 0, sequence);
    builder.append(now_ms(), None, Some(sequence.to_string().as_bytes()), &[]).unwrap();
    builder.build().unwrap()
}

/// Writes from `sequence` on until the node is gone; returns the first sequence that was not acknowledged.
async fn write(addr: SocketAddr, mut sequence: i32) -> i32 {
    let mut client = Client::connect(addr).await;
    loop {
        let request = crate::support::produce_request("t", 0, numbered(sequence).to_bytes(), -1);
        let Some(answer) = client.ask(9, &request).await else {
            return sequence;
        };
        assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
        sequence += 1;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_record_is_there_once_after_each_kill() {
    let rounds = std::env::var(ROUNDS).map_or(ROUNDS_DEFAULT, |rounds| rounds.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let mut sequence = 0;
    for round in 0..rounds {
        let (mut process, addr) = start(folder.path());
        let mut client = Client::connect(addr).await;
        if round == 0 {
            client.create_topic("t", 1, &[("segment.bytes", "20000")]).await;
        }
        let writer = tokio::spawn(write(addr, sequence));
        let moment = Duration::from_millis(20 + u64::from(rand::random::<u8>()));
        tokio::time::sleep(moment).await;

        process.0.kill().unwrap();

        sequence = writer.await.unwrap();
    }

    let node = node(folder.path()).await;
    let values = Client::connect(node.addr()).await.values("t").await;
    let written = i32::try_from(values.len()).unwrap();
    let expected: Vec<Bytes> = (0..written).map(|n| Bytes::from(n.to_string())).collect();
    assert_eq!(values, expected);
    // The one in flight at the last kill may be there or not.
    assert!(written == sequence || written == sequence + 1, "{written} of {sequence}");
    assert!(sequence > 0);
}

#[tokio::test]
async fn topics_without_the_file_that_names_them_are_not_taken_for_what_is_left_of_deleted_ones() {
    let folder = tempfile::tempdir().unwrap();
    let running = node(folder.path()).await;
    let mut client = Client::connect(running.addr()).await;
    client.create_topic("t", 1, &[]).await;
    client.produce("t", &numbered(0)).await.unwrap();
    running.shutdown().await;
    let state = folder.path().join("node.state");
    let kept = std::fs::read(&state).unwrap();
    std::fs::remove_file(&state).unwrap();

    let refused = Node::start(NodeConfig::new(folder.path())).await;
    std::fs::write(&state, kept).unwrap();
    let running = node(folder.path()).await;

    assert!(matches!(refused, Err(StartError::StateMissing { .. })), "{refused:?}");
    assert_eq!(Client::connect(running.addr()).await.values("t").await.len(), 1);
}
