//! The gateways: what each was last granted and says it does. A grant that is not renewed runs out.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use leeward_failover_core::{GatewaysCut, LeaseRule};
use leeward_model::{FencingEpoch, RegionName};
use leeward_proto::control::{GatewayReport, Grant, PromotedPartition};
use parking_lot::Mutex;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout},
};

use crate::limits::{GATEWAYS_FOLLOW_WAIT, GATEWAYS_MAX};

/// What gateways are told: who serves, under which epoch, and where the survivor stood when it was promoted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Leave {
    pub(crate) epoch: FencingEpoch,
    pub(crate) serving: Option<RegionName>,
    pub(crate) replay_from: Option<RegionName>,
    pub(crate) promoted: Arc<Vec<PromotedPartition>>,
}

#[derive(Debug)]
struct Seen {
    report: GatewayReport,
    /// Streams of this gateway that are open.
    connections: u32,
    granted_until: Instant,
}

#[derive(Debug)]
struct Inner {
    gateways: BTreeMap<String, Seen>,
    /// Until then a gateway may hold a grant that a predecessor of this process gave it.
    unknown_until: Instant,
}

/// Every gateway that was heard of.
#[derive(Debug)]
pub(crate) struct Gateways {
    inner: Mutex<Inner>,
    leave: watch::Sender<Leave>,
    heard: watch::Sender<u64>,
    lease: LeaseRule,
}

impl Gateways {
    pub(crate) fn new(leave: Leave, lease: LeaseRule) -> Self {
        let unknown_until = Instant::now() + lease.duration + lease.margin;
        Self {
            inner: Mutex::new(Inner { gateways: BTreeMap::new(), unknown_until }),
            leave: watch::Sender::new(leave),
            heard: watch::Sender::new(0),
            lease,
        }
    }

    /// Publishes who serves. Nothing happens where it is what was published.
    pub(crate) fn publish(&self, leave: Leave) {
        self.leave.send_if_modified(|current| {
            let changed = *current != leave;
            if changed {
                *current = leave;
            }
            changed
        });
    }

    pub(crate) fn leaves(&self) -> watch::Receiver<Leave> {
        self.leave.subscribe()
    }

    pub(crate) fn lease(&self) -> Duration {
        self.lease.duration
    }

    /// The grant to send to this gateway at this moment; it counts as held from now.
    pub(crate) fn grant(&self, gateway: &str) -> Grant {
        let mut inner = self.inner.lock();
        // Not before: who was counted as cut off meanwhile would be given what was taken from it.
        let leave = self.leave.borrow().clone();
        let lease = if leave.serving.is_some() { self.lease.duration } else { Duration::ZERO };
        let mut answers = 0;
        if let Some(seen) = inner.gateways.get_mut(gateway) {
            answers = seen.report.number;
            if leave.serving.is_some() {
                seen.granted_until = Instant::now() + self.lease.duration + self.lease.margin;
            }
        }
        drop(inner);
        Grant {
            epoch: leave.epoch.to_wire(),
            acting_primary: leave.serving.map(String::from).unwrap_or_default(),
            lease_millis: u64::try_from(lease.as_millis()).unwrap_or(u64::MAX),
            replay_from: leave.replay_from.map(String::from).unwrap_or_default(),
            promoted: leave.promoted.as_ref().clone(),
            answers,
        }
    }

    /// Takes a gateway's first report. `false` where no place is left for a new one.
    #[must_use]
    pub(crate) fn connected(&self, report: GatewayReport) -> bool {
        let mut inner = self.inner.lock();
        let now = Instant::now();
        if inner.gateways.len() >= GATEWAYS_MAX && !inner.gateways.contains_key(&report.gateway) {
            let idle = |seen: &Seen| seen.connections == 0 && seen.granted_until <= now;
            let oldest = inner.gateways.iter().filter(|(_, seen)| idle(seen));
            let oldest = oldest.min_by_key(|(_, seen)| seen.granted_until).map(|(name, _)| name.clone());
            let Some(oldest) = oldest else { return false };
            inner.gateways.remove(&oldest);
        }
        let seen = inner.gateways.entry(report.gateway.clone()).or_insert_with(|| Seen {
            report: report.clone(),
            connections: 0,
            granted_until: now,
        });
        seen.connections += 1;
        seen.report = report;
        drop(inner);
        self.heard.send_modify(|count| *count += 1);
        true
    }

    pub(crate) fn reported(&self, report: GatewayReport) {
        if let Some(seen) = self.inner.lock().gateways.get_mut(&report.gateway) {
            seen.report = report;
        }
        self.heard.send_modify(|count| *count += 1);
    }

    pub(crate) fn disconnected(&self, gateway: &str) {
        if let Some(seen) = self.inner.lock().gateways.get_mut(gateway) {
            seen.connections = seen.connections.saturating_sub(1);
        }
    }

    pub(crate) fn reports(&self) -> Vec<GatewayReport> {
        self.inner.lock().gateways.values().map(|seen| seen.report.clone()).collect()
    }

    /// Waits until every gateway said that it stopped, or its grant ran out.
    pub(crate) async fn cut(&self, epoch: FencingEpoch) -> GatewaysCut {
        let mut heard = self.heard.subscribe();
        loop {
            heard.mark_unchanged();
            let (cut, wait_until) = self.look_cut(epoch);
            let Some(wait_until) = wait_until else { return cut };
            // The sender lives as long as `self`.
            tokio::select! {
                _ = heard.changed() => {}
                () = sleep_until(wait_until) => {}
            }
        }
    }

    /// What is cut, and until when to wait for the rest.
    fn look_cut(&self, epoch: FencingEpoch) -> (GatewaysCut, Option<Instant>) {
        let inner = self.inner.lock();
        let now = Instant::now();
        let mut cut = GatewaysCut { acknowledged: 0, lapsed: 0 };
        let mut wait_until = (inner.unknown_until > now).then_some(inner.unknown_until);
        for seen in inner.gateways.values() {
            let stopped = seen.report.epoch >= epoch.to_wire() && seen.report.forwarding_to.is_empty();
            if stopped {
                cut.acknowledged += 1;
            } else if seen.granted_until <= now {
                cut.lapsed += 1;
            } else {
                wait_until = wait_until.max(Some(seen.granted_until));
            }
        }
        (cut, wait_until)
    }

    /// Waits a bounded time until every connected gateway says that it follows; how many do.
    pub(crate) async fn follow(&self, region: &RegionName, epoch: FencingEpoch) -> (u32, u32) {
        let mut heard = self.heard.subscribe();
        let all = async {
            loop {
                heard.mark_unchanged();
                let (following, connected) = self.look_following(region, epoch);
                if following == connected {
                    return;
                }
                let _ = heard.changed().await;
            }
        };
        // A gateway that is late follows by its stream.
        let _ = timeout(GATEWAYS_FOLLOW_WAIT, all).await;
        self.look_following(region, epoch)
    }

    fn look_following(&self, region: &RegionName, epoch: FencingEpoch) -> (u32, u32) {
        let inner = self.inner.lock();
        let connected = inner.gateways.values().filter(|seen| seen.connections > 0);
        connected.fold((0, 0), |(following, connected), seen| {
            let report = &seen.report;
            let follows = report.epoch >= epoch.to_wire() && report.forwarding_to == region.as_str();
            (following + u32::from(follows), connected + 1)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gateways() -> Gateways {
        let leave = Leave {
            epoch: FencingEpoch::FIRST,
            serving: Some(RegionName::new("a").expect("legal")),
            replay_from: None,
            promoted: Arc::default(),
        };
        let lease = LeaseRule { duration: Duration::from_millis(40), margin: Duration::from_millis(10) };
        Gateways::new(leave, lease)
    }

    fn report(epoch: u64, forwarding_to: &str) -> GatewayReport {
        GatewayReport {
            gateway: "g".into(),
            epoch,
            forwarding_to: forwarding_to.into(),
            ..GatewayReport::default()
        }
    }

    #[tokio::test]
    async fn a_gateway_that_says_so_is_cut_before_its_grant_ends() {
        let gateways = gateways();
        gateways.cut(FencingEpoch::FIRST).await;
        assert!(gateways.connected(report(1, "a")));
        let _ = gateways.grant("g");

        gateways.reported(report(2, ""));
        let cut = gateways.cut(FencingEpoch::FIRST.next()).await;

        assert_eq!((cut.acknowledged, cut.lapsed), (1, 0));
    }

    #[tokio::test]
    async fn a_silent_gateway_is_waited_for_until_its_grant_ends() {
        let gateways = gateways();
        gateways.cut(FencingEpoch::FIRST).await;
        assert!(gateways.connected(report(1, "a")));
        let _ = gateways.grant("g");
        let before = Instant::now();

        let cut = gateways.cut(FencingEpoch::FIRST.next()).await;

        assert!(cut.lapsed == 1 && before.elapsed() >= Duration::from_millis(50));
    }

    #[test]
    fn a_grant_answers_the_newest_report() {
        let gateways = gateways();
        assert!(gateways.connected(GatewayReport { number: 7, ..report(1, "a") }));
        gateways.reported(GatewayReport { number: 8, ..report(1, "a") });

        assert_eq!(gateways.grant("g").answers, 8);
    }

    #[tokio::test]
    async fn a_controller_that_just_started_waits_for_gateways_it_never_heard_of() {
        let gateways = gateways();
        let before = Instant::now();

        let _ = gateways.cut(FencingEpoch::FIRST.next()).await;

        assert!(before.elapsed() >= Duration::from_millis(50));
    }

    #[test]
    fn one_gateway_more_than_are_remembered_is_refused_while_all_are_connected() {
        let gateways = gateways();
        let named = |number: usize| GatewayReport { gateway: number.to_string(), ..report(1, "a") };

        let taken = (0..GATEWAYS_MAX).filter(|number| gateways.connected(named(*number))).count();
        let again = gateways.connected(named(0));
        let more = gateways.connected(named(GATEWAYS_MAX));

        assert_eq!((taken, again, more), (GATEWAYS_MAX, true, false));
    }
}
