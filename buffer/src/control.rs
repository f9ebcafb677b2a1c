//! The controller's grants: taken as they come, answered with what was done.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use leeward_model::{FencingEpoch, PartitionIndex, RegionName, TopicName, TopicPartition};
use leeward_proto::control::control_client::ControlClient;
use leeward_proto::control::{GatewayReport, Grant, PromotedPartition};
use leeward_proto::transport::Peer;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;

use crate::grants::{Reports, Standing};
use crate::hub::Hub;
use crate::limits::{HELD_SAID_MAX, RECONNECT_PAUSE, REPORT_INTERVAL};
use crate::partition::Marks;

/// Reports that wait to be sent.
const REPORTS_WAITING_MAX: usize = 16;

/// Who reports.
#[derive(Clone, Debug)]
pub(crate) struct Reporter {
    hub: Arc<Hub>,
    name: String,
    address: String,
    sent: Arc<Mutex<Reports>>,
}

impl Reporter {
    pub(crate) fn new(hub: Arc<Hub>, name: String, address: String) -> Self {
        let sent = Arc::new(Mutex::new(Reports::numbered_from(rand::random())));
        Self { hub, name, address, sent }
    }

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
            number: self.sent.lock().send(Instant::now()),
            held_partitions: u64::try_from(status.held.len()).unwrap_or(u64::MAX),
            held: status.held.into_iter().take(HELD_SAID_MAX).collect(),
        }
    }

    /// Attends to the controllers, one after the other, until the gateway stops.
    pub(crate) async fn attend(self, controllers: Vec<Peer>) {
        loop {
            for controller in &controllers {
                if let Err(error) = self.attend_once(controller).await {
                    tracing::debug!(controller = %controller.uri(), error = %error, "no grants from this controller");
                }
                tokio::time::sleep(RECONNECT_PAUSE).await;
            }
        }
    }

    async fn attend_once(&self, controller: &Peer) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let mut client = ControlClient::new(controller.connect().await?);
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
        let counts_from = self.sent.lock().sent_at(grant.answers);
        match standing(&grant, counts_from) {
            Ok(standing) => self.hub.stand(standing).await,
            Err(error) => tracing::error!(error, "grant cannot be read"),
        }
    }
}

/// What a grant says; `counts_from` is when the report that it answers was sent, `None` where no such report is known.
pub(crate) fn standing(grant: &Grant, counts_from: Option<Instant>) -> Result<Standing, String> {
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
    Ok(Standing::granted(epoch, acting, lease, promoted_from, promoted, counts_from))
}

fn promoted(partition: &PromotedPartition) -> Option<(TopicPartition, Marks)> {
    let name = TopicPartition {
        topic: TopicName::new(&partition.topic).ok()?,
        partition: PartitionIndex::from_wire(partition.partition)?,
    };
    Some((name, Marks::told(partition.replicated_to, partition.target_end)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant() -> Grant {
        Grant { epoch: 1, acting_primary: "a".to_owned(), lease_millis: 1_000, ..Grant::default() }
    }

    #[test]
    fn a_grant_that_arrives_late_has_what_is_left_of_its_lease() {
        let region = RegionName::new("a").unwrap();
        let sent = Instant::now();
        let after = |millis| sent + Duration::from_millis(millis);

        let standing = standing(&grant(), Some(sent)).unwrap();

        assert!(standing.allows(&region, after(999)) && !standing.allows(&region, after(1_000)));
    }

    #[test]
    fn a_grant_that_answers_no_known_report_has_no_life() {
        let standing = standing(&grant(), None).unwrap();

        assert!(!standing.lives(Instant::now()));
    }
}
