//! Two embedded regions and links between them.

use std::{collections::BTreeMap, ops::Range, time::Duration};

use leeward_client::{
    Acks, ClientConfig, Cluster, CommitOffset, ConfigChange, ConfigResource, FetchFrom, FetchPlan, Fetcher,
    NewTopic, OffsetSpec, TopicSelection,
};
use leeward_mirror::{Leave, LinkConfig, LinkHandle, MirrorMetrics};
use leeward_model::{FencingEpoch, GroupName, PartitionIndex, RegionName, TopicName, TopicPartition};
use leeward_node::{Node, NodeConfig, RunningNode};
use leeward_wire::record::{BatchBuilder, Compression, split_batches};
use parking_lot::Mutex;
use tempfile::TempDir;

const WITHIN: Duration = Duration::from_secs(10);

pub(crate) fn topic(name: &str) -> TopicName {
    TopicName::new(name).unwrap()
}

pub(crate) fn partition(name: &str, index: i32) -> TopicPartition {
    TopicPartition { topic: topic(name), partition: PartitionIndex::from_wire(index).unwrap() }
}

/// Waits until a claim holds.
pub(crate) async fn eventually(within: Duration, claim: impl AsyncFn() -> bool) {
    let holds = async {
        while !claim().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(within, holds).await.expect("the claim holds in time");
}

pub(crate) struct Region {
    name: RegionName,
    node: Mutex<Option<RunningNode>>,
    bootstrap: String,
    cluster: Cluster,
    _folder: TempDir,
}

impl Region {
    pub(crate) async fn start(name: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let mut config = NodeConfig::new(folder.path());
        config.auto_create_topics = false;
        let node = Node::start(config).await.unwrap();
        let bootstrap = node.addr().to_string();
        let cluster = Cluster::connect(ClientConfig::new(vec![bootstrap.clone()])).await.unwrap();
        Self {
            name: RegionName::new(name).unwrap(),
            node: Mutex::new(Some(node)),
            bootstrap,
            cluster,
            _folder: folder,
        }
    }

    pub(crate) async fn stop(&self) {
        let node = self.node.lock().take().unwrap();
        node.shutdown().await;
    }

    pub(crate) async fn create(&self, name: &str, partitions: i32, configs: &[(&str, &str)]) {
        let configs = configs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let new = NewTopic {
            name: topic(name),
            partitions,
            replication_factor: None,
            configs: configs.collect::<BTreeMap<_, _>>(),
        };
        self.cluster.create_topic(&new, WITHIN).await.unwrap();
    }

    pub(crate) async fn delete(&self, name: &str) {
        self.cluster.delete_topics(&[topic(name)], WITHIN).await.unwrap();
    }

    pub(crate) async fn grow(&self, name: &str, partitions: i32) {
        self.cluster.create_partitions(&topic(name), partitions, WITHIN).await.unwrap();
        self.cluster.metadata(TopicSelection::All).await.unwrap();
    }

    pub(crate) async fn has(&self, name: &str) -> bool {
        self.cluster.metadata(TopicSelection::All).await.unwrap().topics.contains_key(&topic(name))
    }

    pub(crate) async fn config(&self, name: &str, key: &str) -> Option<String> {
        let resource = ConfigResource::Topic(topic(name));
        self.cluster.describe_configs(&resource, &[key]).await.unwrap().remove(key)?.value
    }

    pub(crate) async fn configure(&self, name: &str, key: &str, value: &str) {
        let change = [(key, ConfigChange::Set(value.to_owned()))];
        self.cluster.incremental_alter_configs(&ConfigResource::Topic(topic(name)), &change).await.unwrap();
    }

    /// Writes `value N` for each number, ten to a batch.
    pub(crate) async fn produce(&self, name: &str, index: i32, numbers: Range<usize>) {
        let numbers: Vec<_> = numbers.collect();
        for part in numbers.chunks(10) {
            let mut builder = BatchBuilder::new(Compression::Lz4);
            for number in part {
                builder.append(1, Some(b"key"), Some(format!("value {number}").as_bytes()), &[]).unwrap();
            }
            let batch = builder.build().unwrap();
            self.cluster.produce(&partition(name, index), &batch, Acks::All, WITHIN).await.unwrap();
        }
    }

    pub(crate) async fn values(&self, name: &str, index: i32) -> Vec<String> {
        let at = partition(name, index);
        let Ok(end) = self.cluster.list_offset(&at, OffsetSpec::Latest).await else { return Vec::new() };
        let Ok(leader) = self.cluster.leader(&at).await else { return Vec::new() };
        let mut fetcher = Fetcher::new(&self.cluster, leader.broker);
        let (mut position, mut values) = (0, Vec::new());
        while position < end.offset {
            fetcher.set(at.clone(), FetchFrom::offset(position));
            for answer in fetcher.fetch(&FetchPlan::default()).await.unwrap() {
                for batch in split_batches(answer.records) {
                    let batch = batch.unwrap();
                    position = batch.next_offset();
                    for record in batch.decompress(1 << 20).unwrap().records() {
                        let value = record.unwrap().value.unwrap().to_vec();
                        values.push(String::from_utf8(value).unwrap());
                    }
                }
            }
        }
        values
    }

    pub(crate) async fn commit(&self, group: &str, name: &str, index: i32, offset: i64) {
        let offsets = [(partition(name, index), CommitOffset::at(offset))];
        let outcome = self.cluster.commit_offsets(&GroupName::new(group), &offsets).await.unwrap();
        assert!(outcome.values().all(Result::is_ok));
    }

    pub(crate) async fn committed(&self, group: &str, name: &str, index: i32) -> Option<i64> {
        let offsets = self.cluster.fetch_offsets(&GroupName::new(group), None).await.unwrap();
        offsets.get(&partition(name, index)).map(|committed| committed.offset)
    }
}

/// A link being set up.
pub(crate) struct Setup {
    config: LinkConfig,
    folder: TempDir,
}

pub(crate) struct Link {
    pub(crate) handle: LinkHandle,
    folder: TempDir,
}

impl Link {
    /// The link of the next process: it has no leave.
    pub(crate) async fn start_again(self) -> Self {
        self.handle.shutdown().await;
        let config = LinkConfig { leave: None, ..self.handle.config().clone() };
        drop(self.handle);
        // What the link's run started may still hold its folder for a moment.
        let started = async {
            loop {
                let metrics = MirrorMetrics::register(&prometheus::Registry::new()).unwrap();
                if let Ok(handle) = LinkHandle::start(config.clone(), &metrics).await {
                    return handle;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let handle = tokio::time::timeout(WITHIN, started).await.expect("the folder is free");
        Self { handle, folder: self.folder }
    }

    pub(crate) fn between(source: &Region, target: &Region) -> Setup {
        let folder = TempDir::new().unwrap();
        let client = |region: &Region| ClientConfig::new(vec![region.bootstrap.clone()]);
        let config = LinkConfig::between(
            (source.name.clone(), client(source)),
            (target.name.clone(), client(target)),
            folder.path(),
        );
        Setup { config, folder }
    }
}

impl Setup {
    pub(crate) fn leave(self, epoch: u64) -> Self {
        let epoch = FencingEpoch::from_wire(epoch).unwrap();
        self.leave_of(Leave::under(epoch))
    }

    pub(crate) fn leave_of(mut self, leave: Leave) -> Self {
        self.config.leave = Some(leave);
        self
    }

    pub(crate) fn looks_at_groups_every(mut self, every: Duration) -> Self {
        self.config.groups_every = every;
        self
    }

    pub(crate) async fn start(self) -> Link {
        let metrics = MirrorMetrics::register(&prometheus::Registry::new()).unwrap();
        let handle = LinkHandle::start(self.config, &metrics).await.unwrap();
        Link { handle, folder: self.folder }
    }
}
