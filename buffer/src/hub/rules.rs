//! What topics demand of batches: asked for when a topic is met, when a client changed it, regularly for what is written to,
//! and when another region becomes the acting one.

use std::collections::BTreeSet;
use std::sync::Arc;

use leeward_client::Cluster;
use leeward_wire::ErrorCode;
use leeward_wire::api::{DescribeConfigsRequest, DescribeConfigsRequestResource};
use tokio::time::Instant;

use super::Hub;
use super::gone::Absent;
use crate::catalog::RULES;
use crate::limits::{METADATA_AGE, METADATA_TIMEOUT, RULES_AT_ONCE};

/// A topic as a resource with a configuration.
pub(crate) const TOPIC_RESOURCE: i8 = 2;

impl Hub {
    /// Asks a region what topics demand; gives those that it does not have. Without an answer what is known goes on to count.
    pub(crate) async fn learn_rules(&self, cluster: &Cluster, topics: &[String]) -> Vec<String> {
        let mut missing = Vec::new();
        for topics in topics.chunks(RULES_AT_ONCE) {
            let resource = |name: &String| DescribeConfigsRequestResource {
                resource_type: TOPIC_RESOURCE,
                resource_name: name.clone(),
                configuration_keys: Some(RULES.map(str::to_owned).to_vec()),
            };
            let resources = topics.iter().map(resource).collect();
            let request = DescribeConfigsRequest { resources, ..DescribeConfigsRequest::default() };
            match tokio::time::timeout(METADATA_TIMEOUT, cluster.request_any(&request)).await {
                Ok(Ok(answer)) => {
                    answer.results.iter().for_each(|topic| self.catalog.learn_rules(topic));
                    let unknown = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.code();
                    let unknown = answer.results.into_iter().filter(|topic| topic.error_code == unknown);
                    missing.extend(unknown.map(|topic| topic.resource_name));
                }
                Ok(Err(error)) => {
                    tracing::debug!(error = &error as &dyn std::error::Error, "topics' rules are not told");
                }
                Err(_) => tracing::debug!("topics' rules are not told in time"),
            }
        }
        missing
    }

    /// Keeps the rules of topics that are written to as the acting region has them, and watches for those that are gone.
    pub(crate) async fn watch_rules(self: Arc<Self>) {
        let mut acting = self.watch_acting();
        let mut absent = Absent::default();
        loop {
            if let Some(cluster) = self.acting().and_then(|region| region.cluster()) {
                let missing = self.learn_rules(&cluster, &self.written_topics()).await;
                if !self.lives() || acting.has_changed().unwrap_or(true) {
                    absent.forget();
                } else {
                    self.topics_are_gone(absent.look(missing, Instant::now()));
                }
            }
            // The sender lives as long as `self`.
            let _ = tokio::time::timeout(METADATA_AGE, acting.changed()).await;
        }
    }

    /// Topics that have been written to here, and are known or have something buffered.
    fn written_topics(&self) -> Vec<String> {
        let partitions = self.all();
        let topics: BTreeSet<&str> =
            partitions.iter().map(|partition| partition.name.topic.as_str()).collect();
        let in_use =
            topics.into_iter().filter(|name| self.catalog.topic(name).is_some() || self.buffers(name));
        in_use.map(str::to_owned).collect()
    }
}
