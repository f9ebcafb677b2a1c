//! Looks at the links: reports how they stand to the brain, starts the one that should run, and tells people when a
//! link breaks, heals and has caught up.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use leeward_failover_core::{Engine, Now, OperationResult, Verdict};
use leeward_model::{FencingEpoch, LinkName, RegionName, with_causes};
use leeward_proto::link::LinkReply;
use parking_lot::Mutex;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::{
    brain::{BrainHandle, Message},
    clock::Clock,
    complaint::Complaint,
    events::{Events, NewEvent},
    limits::{CAUGHT_UP_WITHIN, LINK_CUT_LOOKS, LINK_LOOK_EVERY},
    links::{self, GoesOn, Links},
    metrics::Metrics,
};

/// The newest answers about links and clusters.
#[derive(Debug, Default)]
pub(crate) struct LinkBoard {
    replies: Mutex<BTreeMap<(RegionName, RegionName), LinkReply>>,
    cluster_ids: Mutex<BTreeMap<RegionName, String>>,
}

impl LinkBoard {
    pub(crate) fn replies(&self) -> Vec<LinkReply> {
        self.replies.lock().values().cloned().collect()
    }

    pub(crate) fn cluster_id(&self, region: &RegionName) -> String {
        self.cluster_ids.lock().get(region).cloned().unwrap_or_default()
    }

    pub(crate) fn saw_cluster(&self, region: &RegionName, id: String) {
        self.cluster_ids.lock().insert(region.clone(), id);
    }
}

/// What the engine wants of links at one moment.
struct Wanted {
    source: RegionName,
    target: RegionName,
    epoch: FencingEpoch,
    /// How the link goes on; `None` where it should not be running.
    runs: Option<GoesOn>,
    source_healthy: bool,
    cut: bool,
}

fn wanted(engine: &Engine, now: Now) -> Wanted {
    let state = engine.state();
    let source = state.primary.clone();
    let target = engine.config().other(&source).clone();
    // Where the epoch's decision was undone, what it sealed goes on.
    let undone = matches!(state.last_result, Some((_, OperationResult::Aborted(_))));
    let goes_on = if undone { GoesOn::DespiteSeal } else { GoesOn::OnItsMap };
    Wanted {
        epoch: state.epoch,
        runs: state.link_is_to_run().then_some(goes_on),
        source_healthy: engine.health(&source, now.monotonic).verdict == Verdict::Healthy,
        cut: engine.link_is_cut(now.monotonic),
        source,
        target,
    }
}

pub(crate) struct Watcher {
    pub(crate) links: Links,
    pub(crate) brain: BrainHandle,
    pub(crate) board: Arc<LinkBoard>,
    pub(crate) events: Arc<Events>,
    pub(crate) clock: Clock,
    pub(crate) metrics: Arc<Metrics>,
    /// Data at risk that the policy allows.
    pub(crate) rpo: Duration,
}

#[derive(Default)]
struct Told {
    /// Looks in a row at which the link was cut: one observer sees a region die or return before another does.
    cut_looks: u32,
    down: bool,
    behind: bool,
    link: Option<(RegionName, RegionName)>,
    unseen: Complaint,
}

impl Watcher {
    pub(crate) async fn run(self) {
        let mut rounds = interval(LINK_LOOK_EVERY);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = Told::default();
        loop {
            rounds.tick().await;
            let Ok(wanted) = self.brain.ask(wanted).await else { return };
            let link = (wanted.source.clone(), wanted.target.clone());
            if told.link.as_ref() != Some(&link) {
                told = Told { behind: true, link: Some(link.clone()), ..Told::default() };
                self.board.replies.lock().clear();
            }
            match self.links.status(&wanted.source, &wanted.target).await {
                Ok(reply) => {
                    if told.unseen.ends() {
                        info!(source = %wanted.source, target = %wanted.target, "link is seen again");
                    }
                    let report = links::report(&wanted.source, &wanted.target, &reply);
                    self.board.replies.lock().insert(link, reply.clone());
                    if self.brain.mailbox.send(Message::Link(report)).await.is_err() {
                        return;
                    }
                    if !report_within(&reply, self.rpo) {
                        self.metrics.violated(&reply.link, LINK_LOOK_EVERY);
                    }
                    self.start(&wanted, &reply).await;
                    self.tell(&wanted, Some(&reply), &mut told);
                }
                Err(error) => {
                    let error = with_causes(&error);
                    if told.unseen.is_due(&error, self.clock.now().monotonic) {
                        warn!(source = %wanted.source, target = %wanted.target, error, "link is not seen");
                    }
                    self.tell(&wanted, None, &mut told);
                }
            }
        }
    }

    /// A link that waits for its epoch gets it: the journal says that it runs.
    async fn start(&self, wanted: &Wanted, reply: &LinkReply) {
        let idle = reply.state == "waiting" || reply.state == "sealed";
        let Some(goes_on) = wanted.runs.filter(|_| idle) else { return };
        match self.links.start(&wanted.source, &wanted.target, wanted.epoch, goes_on).await {
            Ok(()) => info!(link = %reply.link, epoch = %wanted.epoch, "link started"),
            Err(error) => warn!(link = %reply.link, %error, "link was not started"),
        }
    }

    fn tell(&self, wanted: &Wanted, reply: Option<&LinkReply>, told: &mut Told) {
        let dark = reply.is_some_and(|reply| reply.state == "source-dark") && wanted.source_healthy;
        told.cut_looks = if wanted.cut || dark { told.cut_looks.saturating_add(1) } else { 0 };
        let down = told.cut_looks >= LINK_CUT_LOOKS;
        let caught_up =
            reply.is_some_and(|reply| reply.state == "running" && report_within(reply, CAUGHT_UP_WITHIN));
        let link = LinkName::between(&wanted.source, &wanted.target);
        if down != told.down {
            told.down = down;
            let (code, text) = if down {
                ("link-down", "the regions do not see each other; none is lost")
            } else {
                ("link-up", "the regions see each other again")
            };
            self.add(NewEvent::new(code, text).with("link", &link), wanted.epoch);
        }
        if down || !caught_up {
            told.behind = true;
        } else if told.behind {
            told.behind = false;
            let text = format!("{} has what {} has", wanted.target, wanted.source);
            self.add(NewEvent::new("mirror-caught-up", text).with("link", &link), wanted.epoch);
        }
    }

    fn add(&self, event: NewEvent, epoch: FencingEpoch) {
        self.events.add(event, epoch, self.clock.now().wall);
    }
}

/// Whether data at risk is known and not more than `allowed`.
fn report_within(reply: &LinkReply, allowed: Duration) -> bool {
    u64::try_from(reply.rpo_millis).is_ok_and(|millis| Duration::from_millis(millis) <= allowed)
}
