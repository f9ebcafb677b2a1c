//! Watches the controller while a drill runs: its status at a steady grain, its events as they come. A controller that
//! is away is asked again until the drill ends.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use leeward_proto::control::{
    Event, EventsRequest, FailoverSummary, LossStatement, StatusReply, StatusRequest,
    control_client::ControlClient,
};
use parking_lot::Mutex;
use tokio::time::{interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};

use crate::{
    clock::DrillClock,
    limits::{HAPPENINGS_MAX, LOSSES_MAX, STATUS_EVERY, STATUS_WAIT_MAX},
    report::{Happening, Point},
};

/// Pause before a controller that is away is asked again.
const AGAIN_AFTER: Duration = Duration::from_millis(50);

/// An event of the controller, with what it says in fields.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) happening: Happening,
    pub(crate) fields: BTreeMap<String, String>,
}

/// What was seen so far.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    pub(crate) status: Option<StatusReply>,
    /// When it came.
    pub(crate) seen_at: Option<u64>,
    pub(crate) events: Vec<Seen>,
    pub(crate) events_left_out: u64,
    pub(crate) rpo_curve: Vec<Point>,
    pub(crate) buffer_curve: Vec<Point>,
    /// Looks at which more than one region took writes.
    pub(crate) split_brain: u64,
    /// The newest emergency failover, whatever came behind it.
    pub(crate) emergency: Option<FailoverSummary>,
    /// What the controller said that emergency failovers lost, each time that it said something else.
    pub(crate) losses: Vec<LossStatement>,
    /// Since when the regions are healthy and the acting link runs, without a break.
    pub(crate) healthy_since: Option<u64>,
}

/// A handle on what is watched.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watch(Arc<Mutex<Watched>>);

impl Watch {
    /// Watches the controller at `control` until `stop`.
    pub(crate) fn start(control: SocketAddr, clock: DrillClock, stop: CancellationToken) -> Self {
        let watch = Self::default();
        let endpoint = Endpoint::from_shared(format!("http://{control}"))
            .expect("an address makes an endpoint")
            .connect_timeout(STATUS_WAIT_MAX);
        let channel = endpoint.connect_lazy();
        let (statuses, events) = (watch.clone(), watch.clone());
        let (channel_of_events, stop_of_events) = (channel.clone(), stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = statuses.follow_status(channel, clock) => {}
            }
        });
        tokio::spawn(async move {
            tokio::select! {
                biased;
                () = stop_of_events.cancelled() => {}
                () = events.follow_events(channel_of_events, clock) => {}
            }
        });
        watch
    }

    /// Looks at, or changes, what was seen.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut Watched) -> T) -> T {
        look(&mut self.0.lock())
    }

    /// Notes something that the drill itself did.
    pub(crate) fn note(&self, at: u64, source: &str, code: &str, text: &str) {
        let happening =
            Happening { at, source: source.to_owned(), code: code.to_owned(), text: text.to_owned() };
        self.with(|watched| watched.add(Seen { happening, fields: BTreeMap::new() }));
    }

    async fn follow_status(&self, channel: Channel, clock: DrillClock) {
        let mut controller = ControlClient::new(channel);
        let mut ticks = interval(STATUS_EVERY);
        loop {
            ticks.tick().await;
            let asked = timeout(STATUS_WAIT_MAX, controller.status(StatusRequest {})).await;
            if let Ok(Ok(status)) = asked {
                let status = status.into_inner();
                self.with(|watched| watched.take(status, clock.micros()));
            } else {
                self.with(|watched| watched.healthy_since = None);
            }
        }
    }

    async fn follow_events(&self, channel: Channel, clock: DrillClock) {
        let mut controller = ControlClient::new(channel);
        let mut after = 0;
        loop {
            let request = EventsRequest { after, follow: true };
            if let Ok(events) = controller.events(request).await {
                let mut events = events.into_inner();
                while let Ok(Some(event)) = events.message().await {
                    after = after.max(event.number);
                    self.with(|watched| watched.add(seen(event, &clock)));
                }
            }
            sleep(AGAIN_AFTER).await;
        }
    }
}

fn seen(event: Event, clock: &DrillClock) -> Seen {
    let happening = Happening {
        at: clock.micros_of_wall(event.at_millis),
        source: event.source,
        code: event.code,
        text: event.text,
    };
    Seen { happening, fields: event.fields.into_iter().collect() }
}

impl Watched {
    fn add(&mut self, seen: Seen) {
        if self.events.len() < HAPPENINGS_MAX {
            self.events.push(seen);
        } else {
            self.events_left_out += 1;
        }
    }

    fn take(&mut self, status: StatusReply, at: u64) {
        let acting = status.links.iter().find(|link| link.source == status.acting_primary);
        if let Some(link) = acting
            && let Ok(rpo) = u64::try_from(link.rpo_millis)
        {
            self.rpo_curve.push((at, rpo as f64));
        }
        let buffered: u64 = status.gateways.iter().map(|gateway| gateway.buffered_bytes).sum();
        if !status.gateways.is_empty() {
            self.buffer_curve.push((at, buffered as f64));
        }
        let writable = status.regions.iter().filter(|region| region.writable).count();
        self.split_brain += u64::from(writable > 1);
        let healthy = status.phase == "Steady"
            && status
                .regions
                .iter()
                .filter(|region| region.acting_role != "witness")
                .all(|region| region.health == "healthy")
            && acting.is_some_and(|link| link.state == "running" && link.rpo_millis >= 0);
        self.healthy_since = if healthy { self.healthy_since.or(Some(at)) } else { None };
        let emergency = status.last_failover.as_ref().filter(|summary| summary.kind == "failover");
        if let Some(loss) = emergency.and_then(|summary| summary.loss.as_ref())
            && self.losses.last() != Some(loss)
            && self.losses.len() < LOSSES_MAX
        {
            self.losses.push(loss.clone());
        }
        self.emergency = emergency.cloned().or_else(|| self.emergency.take());
        self.status = Some(status);
        self.seen_at = Some(at);
    }

    /// The RPO exposure seen last, in milliseconds.
    pub(crate) fn rpo_millis(&self) -> Option<u64> {
        self.rpo_curve.last().map(|(_, millis)| *millis as u64)
    }

    /// The region that acts as primary, as the controller said last.
    pub(crate) fn acting_primary(&self) -> Option<&str> {
        self.status.as_ref().map(|status| status.acting_primary.as_str()).filter(|name| !name.is_empty())
    }
}
