//! Tells whoever watches the drill how it goes: what happened as it comes, how things stand a few times a second.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::{
    checker::Judgement,
    clock::DrillClock,
    limits::{CURVE_GAP_MAX, RATE_LOOKS, TOLD_EVERY},
    load::Notes,
    progress::{EstateStanding, Progress, RouteStanding, Standing},
    watch::{Watch, Watched},
};

/// What the drill itself is at. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Stage(Arc<Mutex<At>>);

#[derive(Debug, Default)]
struct At {
    doing: &'static str,
    /// By route: lost and duplicated, when the logs were last looked at.
    judged: BTreeMap<String, (u64, u64)>,
}

impl Stage {
    pub(super) fn enter(&self, doing: &'static str) {
        self.0.lock().doing = doing;
    }

    pub(super) fn judged(&self, judgement: &Judgement) {
        let by_route = judgement.by_route.iter();
        self.0.lock().judged =
            by_route.map(|(route, tally)| (route.clone(), (tally.lost, tally.duplicated))).collect();
    }
}

/// What was acknowledged at one look, by route.
type Look = (u64, BTreeMap<String, u64>);

pub(super) struct Teller {
    pub(super) progress: Arc<dyn Progress>,
    pub(super) watch: Watch,
    pub(super) notes: Notes,
    pub(super) clock: DrillClock,
    pub(super) stage: Stage,
    told: usize,
    looks: VecDeque<Look>,
    /// By route: how much was acknowledged, and since when it is that much.
    still_since: BTreeMap<String, (u64, u64)>,
}

impl Teller {
    pub(super) fn new(
        progress: Arc<dyn Progress>,
        watch: Watch,
        notes: Notes,
        clock: DrillClock,
        stage: Stage,
    ) -> Self {
        let (looks, still_since) = (VecDeque::new(), BTreeMap::new());
        Self { progress, watch, notes, clock, stage, told: 0, looks, still_since }
    }

    /// Tells until `stop`, and then what is left to tell.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut ticks = interval(TOLD_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                _ = ticks.tick() => {}
            }
            self.tell_events();
            let standing = self.standing();
            self.progress.stands(&standing);
        }
        self.tell_events();
    }

    fn tell_events(&mut self) {
        let told = self.told;
        let news: Vec<_> = self.watch.with(|watched| {
            let news = watched.events.get(told..).unwrap_or_default();
            news.iter().map(|seen| seen.happening.clone()).collect()
        });
        self.told += news.len();
        for happening in news {
            let at = happening.at as f64 / 1e6;
            let (source, code, text) = (&happening.source, &happening.code, &happening.text);
            self.progress.happened(&format!("{at:8.3}s  {source:<12} {code:<20} {text}"));
        }
    }

    fn standing(&mut self) -> Standing {
        let now = self.clock.micros();
        let (doing, judged) = {
            let at = self.stage.0.lock();
            (at.doing, at.judged.clone())
        };
        let mut routes = self.notes.with(|notes| {
            let route = |(name, sent): (String, u64)| RouteStanding {
                sent,
                acked: notes.latency.get(&name).map_or(0, hdrhistogram::Histogram::len),
                rate: 0.0,
                failed: notes.failed.get(&name).copied().unwrap_or(0),
                silent: Duration::ZERO,
                lost_and_duplicated: judged.get(&name).copied(),
                name,
            };
            notes.ledger.sent_by_route().into_iter().map(route).collect::<Vec<_>>()
        });
        let acked: BTreeMap<_, _> = routes.iter().map(|route| (route.name.clone(), route.acked)).collect();
        for route in &mut routes {
            let since = self.still_since.entry(route.name.clone()).or_insert((route.acked, now));
            if since.0 != route.acked {
                *since = (route.acked, now);
            }
            route.silent = Duration::from_micros(now - since.1);
            if let Some((at, before)) = self.looks.front() {
                let more = route.acked - before.get(&route.name).copied().unwrap_or(0);
                route.rate = more as f64 * 1e6 / now.saturating_sub(*at).max(1) as f64;
            }
        }
        if self.looks.len() == RATE_LOOKS {
            self.looks.pop_front();
        }
        self.looks.push_back((now, acked));
        let estate = self.watch.with(|watched| estate(watched, now));
        Standing { elapsed: Duration::from_micros(now), doing, estate, routes }
    }
}

/// What the controller said, unless that is old.
fn estate(watched: &Watched, now: u64) -> Option<EstateStanding> {
    let fresh = |at: u64| Duration::from_micros(now.saturating_sub(at)) <= CURVE_GAP_MAX * 2;
    let status = watched.status.as_ref().filter(|_| watched.seen_at.is_some_and(fresh))?;
    let measured = watched.rpo_curve.last().filter(|(at, _)| fresh(*at));
    Some(EstateStanding {
        phase: status.phase.clone(),
        acting: status.acting_primary.clone(),
        rpo: measured.map(|(_, millis)| Duration::from_millis(*millis as u64)),
        buffered_bytes: status.gateways.iter().map(|gateway| gateway.buffered_bytes).sum(),
        regions: status.regions.iter().map(|region| (region.name.clone(), region.health.clone())).collect(),
    })
}
