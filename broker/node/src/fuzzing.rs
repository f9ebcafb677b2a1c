//! What fuzz targets reach beyond this crate's surface. Each takes any bytes and must not panic.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use leeward_log::{Disk, SimulatedDisk};
use leeward_wire::AnswerRoom;
use tokio_util::sync::CancellationToken;

use crate::catalogue::{self, Catalogue};
use crate::cluster::{Cluster, NewTopic, topics_directory};
use crate::config::{Endpoint, NodeConfig};
use crate::dispatch::answer;
use crate::group::{GroupCoordinator, GroupService};
use crate::limits::{ANSWER_BYTES_LEAST, ANSWERS_BYTES_MAX};
use crate::offsets_log::OffsetsPartition;
use crate::shared::{Peer, Shared};

/// What one request may take: a fetch that waits for records is given up.
const REQUEST_WAIT: Duration = Duration::from_millis(2);

/// The file that a node keeps beside its logs.
pub fn node_state(bytes: &[u8]) {
    if let Ok(contents) = catalogue::decode(bytes, Path::new("node.state")) {
        let again = catalogue::encode(&contents);
        assert_eq!(catalogue::decode(&again, Path::new("node.state")).ok(), Some(contents));
    }
}

/// Requests in turn, as one connection sends them to a new node that holds a topic `t` of two partitions.
pub fn requests(frames: &[Bytes]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("no threads");
    runtime.block_on(async {
        let stop = CancellationToken::new();
        let shared = node(&stop);
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let mut peer = Peer { address, room: shared.answers.peer() };
        for frame in frames {
            let answered =
                tokio::time::timeout(REQUEST_WAIT, answer(&shared, &mut peer, frame.clone())).await;
            if matches!(answered, Ok(Err(_))) {
                break;
            }
        }
        stop.cancel();
    });
    runtime.shutdown_background();
}

fn node(stop: &CancellationToken) -> Shared {
    let directory = Path::new("node");
    let disk: Arc<dyn Disk> = Arc::new(SimulatedDisk::new(1));
    disk.create_dir(&topics_directory(directory)).expect("an empty disk");
    let catalogue = Catalogue::open(disk.clone(), directory, || "c".to_owned()).expect("an empty disk");
    let config = NodeConfig::new(directory);
    let cluster = Cluster::open(config.clone(), disk, catalogue).expect("no topics");
    let topic = NewTopic { name: "t".to_owned(), partitions: 2, ..NewTopic::default() };
    cluster.create_topic(&topic).expect("an empty disk");
    let offsets = OffsetsPartition::open(&cluster).expect("an empty disk");
    let coordinator = GroupCoordinator::new(config.groups);
    let (groups, coordinating) = GroupService::new(coordinator, offsets, stop.clone());
    tokio::spawn(coordinating);
    let endpoint = Endpoint { host: "localhost".to_owned(), port: 1 };
    let answers = AnswerRoom::new(ANSWERS_BYTES_MAX, ANSWER_BYTES_LEAST);
    Shared { endpoint, cluster: Arc::new(cluster), groups, answers }
}
