//! The controller's grants: taken as they come, answered with what was done.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use leeward_model::{FencingEpoch, PartitionIndex, RegionName, TopicName, TopicPartition};
use leeward_proto::control::control_client::ControlClient;
use leeward_proto::control::{GatewayReport, Grant, PromotedPartition};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;

use crate::grants::Standing;
use crate::hub::Hub;
use crate::limits::{CONTROL_TIMEOUT, RECONNECT_PAUSE, REPORT_INTERVAL};
use crate::partition::Marks;

/// Reports that wait to be sent.
const REPORTS_WAITING_MAX: usize = 16;

/// Who reports.
#[derive(Clone, Debug)]
pub(crate) struct Reporter {
    pub(crate) hub: Arc<Hub>,
    pub(crate) name: String,
    pub(crate) address: String,
}

impl Reporter {
    fn report(&self) -> GatewayReport {
        let status = self.hub.status();
        GatewayReport {
            gateway: self.name.clone(),
            address: self.address.clone(),
            epoch: status.epoch,
            forwarding_to: status.forwarding_to.map(String::from).unwrap_or_default(),
            buffered_bytes: status.buffered_bytes,
            capacity_bytes: status.capacity_bytes,
            buffered_records: status.buffered_records,
            relayed_transactions: status.relayed_transactions,
        }
    }

    /// Attends to the controllers at `endpoints`, one after the other, until the gateway stops.
    pub(crate) async fn attend(self, endpoints: Vec<Endpoint>) {
        loop {
            for endpoint in &endpoints {
                if let Err(error) = self.attend_once(endpoint.clone()).await {
                    tracing::debug!(controller = %endpoint.uri(), error = %error, "no grants from this controller");
                }
                tokio::time::sleep(RECONNECT_PAUSE).await;
            }
        }
    }

    async fn attend_once(&self, endpoint: Endpoint) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let channel = endpoint.connect_timeout(CONTROL_TIMEOUT).connect().await?;
        let mut client = ControlClient::new(channel);
        let (reports, waiting) = mpsc::channel(REPORTS_WAITING_MAX);
        reports.send(self.report()).await?;
        let mut grants = client.grants(ReceiverStream::new(waiting)).await?.into_inner();
        let mut regularly = tokio::time::interval(REPORT_INTERVAL);
        loop {
            tokio::select! {
                biased;
                grant = grants.message() => match grant? {
                    Some(grant) => {
                        self.take(grant).await;
                        reports.send(self.report()).await?;
                    }
                    None => return Ok(()),
                },
                _ = regularly.tick() => reports.send(self.report()).await?,
            }
        }
    }

    async fn take(&self, grant: Grant) {
        let arrived = tokio::time::Instant::now();
        match standing(&grant, arrived) {
            Ok(standing) => self.hub.stand(standing).await,
            Err(error) => tracing::error!(error, "grant cannot be read"),
        }
    }
}

pub(crate) fn standing(grant: &Grant, arrived: tokio::time::Instant) -> Result<Standing, String> {
    let epoch = FencingEpoch::from_wire(grant.epoch).ok_or("it has no epoch")?;
    let region = |name: &str| {
        if name.is_empty() {
            return Ok(None);
        }
        RegionName::new(name).map(Some).map_err(|error| error.to_string())
    };
    let acting = region(&grant.acting_primary)?;
    let promoted_from = region(&grant.replay_from)?;
    let promoted = grant.promoted.iter().filter_map(promoted).collect::<HashMap<_, _>>();
    let lease = Duration::from_millis(grant.lease_millis);
    Ok(Standing::granted(epoch, acting, lease, promoted_from, promoted, arrived))
}

fn promoted(partition: &PromotedPartition) -> Option<(TopicPartition, Marks)> {
    let name = TopicPartition {
        topic: TopicName::new(&partition.topic).ok()?,
        partition: PartitionIndex::from_wire(partition.partition)?,
    };
    Some((name, Marks::told(partition.replicated_to, partition.target_end)?))
}
