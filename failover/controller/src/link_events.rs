//! What happens on the links, told where everything else is told: each mirror agent's events are followed and kept.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use leeward_model::{RegionName, WallTime};
use leeward_proto::link::LinkEvent;
use tokio_util::task::TaskTracker;
use tracing::debug;

use crate::{
    api::Shared,
    events::{Event, Events, NewEvent},
    limits::LINK_EVENTS_RETRY,
    links::{LinkError, Links},
};

/// Events of a partition's ordinary life. Each partition has them at each start: they stay with the agent.
const ORDINARY: [&str; 2] = ["active", "sealed"];

/// Field that holds an event's number at its agent.
const NUMBER: &str = "linkEvent";
/// Field that holds the region that the link ends in.
const TARGET: &str = "target";

/// Follows every agent until the controller shuts down.
pub(crate) fn start(links: &Links, shared: &Shared, tasks: &TaskTracker) {
    for target in links.targets() {
        let follower = Follower {
            target: target.clone(),
            links: links.clone(),
            shared: shared.clone(),
            after: newest(&shared.events, target),
        };
        let until = shared.shutdown.clone();
        tasks.spawn(async move { until.run_until_cancelled(follower.run()).await });
    }
}

/// The last event of links into `target` that was kept before a restart; 0 for none.
fn newest(events: &Arc<Events>, target: &RegionName) -> u64 {
    let of_target = |event: &&Event| event.fields.get(TARGET).is_some_and(|region| region == target.as_str());
    let number = |event: &Event| event.fields.get(NUMBER).and_then(|number| number.parse().ok());
    events.after(0).0.iter().filter(of_target).filter_map(number).max().unwrap_or(0)
}

struct Follower {
    target: RegionName,
    links: Links,
    shared: Shared,
    after: u64,
}

impl Follower {
    async fn run(mut self) {
        loop {
            if let Err(error) = self.follow().await {
                debug!(target = %self.target, %error, "events of links are not heard");
            }
            tokio::time::sleep(LINK_EVENTS_RETRY).await;
        }
    }

    async fn follow(&mut self) -> Result<(), LinkError> {
        let mut events = self.links.events(&self.target, self.after).await?;
        let broken = |status| LinkError::Agent { region: self.target.clone(), status: Box::new(status) };
        while let Some(event) = events.message().await.map_err(broken)? {
            self.after = self.after.max(event.number);
            if !ORDINARY.contains(&event.code.as_str()) {
                let at = WallTime::from_millis(event.at_millis);
                let epoch = self.shared.brain.view.borrow().status.epoch;
                self.shared.events.add(told(event, &self.target), epoch, at);
            }
        }
        Ok(())
    }
}

fn told(event: LinkEvent, target: &RegionName) -> NewEvent {
    let partition = format!("{}-{}", event.topic, event.partition);
    let mut fields = BTreeMap::from([
        (NUMBER.to_owned(), event.number.to_string()),
        (TARGET.to_owned(), target.to_string()),
        ("partition".to_owned(), partition.clone()),
    ]);
    for (name, offset) in [("from", event.from_offset), ("to", event.to_offset)] {
        if offset >= 0 {
            fields.insert(name.to_owned(), offset.to_string());
        }
    }
    NewEvent {
        source: event.link,
        code: Cow::Owned(event.code),
        text: format!("{partition}: {}", event.text),
        fields,
    }
}
