//! What mirror agents say they have: by that the buffer forgets.

use std::sync::Arc;

use leeward_model::{LinkName, PartitionIndex, RegionName, TopicId, TopicName, TopicPartition};
use leeward_proto::link::link_client::LinkClient;
use leeward_proto::link::{LinkRequest, Watermark};
use leeward_proto::transport::Peer;

use crate::hub::Hub;
use crate::limits::RECONNECT_PAUSE;
use crate::partition::Marks;

/// Follows the link from `source` to `target`, at the agent of `target`, until the gateway stops.
pub(crate) async fn follow(hub: Arc<Hub>, source: RegionName, target: RegionName, agent: Peer) {
    let link = LinkName::between(&source, &target);
    loop {
        if let Err(error) = follow_once(&hub, &source, &link, &agent).await {
            tracing::debug!(%link, error = %error, "no watermarks from this link");
        }
        tokio::time::sleep(RECONNECT_PAUSE).await;
    }
}

async fn follow_once(
    hub: &Arc<Hub>,
    source: &RegionName,
    link: &LinkName,
    agent: &Peer,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut client = LinkClient::new(agent.connect().await?);
    let mut grants = hub.watch_grants();
    let request = LinkRequest { link: link.to_string() };
    let mut updates = client.watermarks(request).await?.into_inner();
    loop {
        let update = tokio::select! {
            biased;
            // What was said before a grant may be of another log, and is not said again while nothing changes: asked anew.
            _ = grants.changed() => return Ok(()),
            update = updates.message() => update?,
        };
        let Some(update) = update else { return Ok(()) };
        for watermark in &update.watermarks {
            if let Some((name, topic, marks)) = read(watermark) {
                hub.replicated(source, &name, (topic, marks));
            }
        }
    }
}

/// Of which partition a watermark speaks, of which topic there, and what it says.
pub(crate) fn read(watermark: &Watermark) -> Option<(TopicPartition, Option<TopicId>, Marks)> {
    let name = TopicPartition {
        topic: TopicName::new(&watermark.topic).ok()?,
        partition: PartitionIndex::from_wire(watermark.partition)?,
    };
    let topic = watermark.source_topic_id[..].try_into().ok().and_then(TopicId::from_wire);
    Some((name, topic, Marks::told(watermark.replicated_to, watermark.target_end)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_that_no_log_has_are_left_out() {
        let told = |replicated_to, target_end| {
            let mark = Watermark { topic: "t".to_owned(), replicated_to, target_end, ..Watermark::default() };
            read(&mark).is_some()
        };

        assert!(told(5, 5) && told(-1, 0));
        assert!(!told(i64::MAX, 0) && !told(0, i64::MIN));
    }
}
