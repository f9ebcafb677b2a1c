//! The agents that run the links: what leave to write each was given, what is stored about it, and how it is sealed, as the
//! product's own shell does that around the mirror's core.

mod seal;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use leeward_buffer_core::partition::Marks;
use leeward_failover_core::{LinkReport, OperationResult, Outcome, PartitionSample};
use leeward_mirror_core::map::begun_behind;
use leeward_mirror_core::partition::{Event, GapPolicy, MergePolicy, Settings};
use leeward_model::{Lag, LinkName, PartitionIndex, SourceOffset, TopicId};

pub(super) use self::seal::Sealed;
use self::seal::Sealing;
use super::{Carrying, FailoverWorld, Happening, Joined, PUBLISH, WATCH};
use crate::mirrors::{Store, source, target as target_offset};
use crate::run::Violation;
use crate::sites::{name, site};
use crate::trace;
use crate::worlds::failover::effects::{Tried, failed};
use crate::worlds::failover::partition;

/// Before a link that cannot begin tries again.
const BEGINS_AGAIN: Duration = Duration::from_millis(500);
/// Data at risk below which a link counts as caught up.
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(2);
const LATE_WITHIN: Duration = Duration::from_secs(2);
/// How late batches of a connection that is gone arrive, in milliseconds.
pub(super) const LATE_MAX_MS: u64 = 1_500;

/// Leave to write under an epoch, and on what the link goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leave {
    pub(super) epoch: u64,
    /// Behind what the link in the other direction carried over.
    pub(super) behind_inverse: bool,
    pub(super) takes_back_seal: bool,
    pub(super) topics_made_anew: bool,
}

/// What is stored about one source topic: in the target, where it outlives the agent.
#[derive(Debug, Default)]
pub(super) struct Stored {
    pub(super) store: Store,
    /// The target's topic that the checkpoint is about.
    pub(super) target_topic: u64,
}

#[derive(Debug)]
pub(super) struct Running {
    pub(super) leave: Leave,
    run: u64,
    /// The source's topic and the target's, once it could begin.
    topics: Option<(u64, u64)>,
    sealing: Option<Sealing>,
    pub(super) sealed: Option<Sealed>,
}

/// The link into a region, as its agent keeps it.
#[derive(Debug, Default)]
pub(super) struct LinkEnd {
    /// Whether the agent runs.
    pub(super) is_up: bool,
    /// Under no older epoch does the link run. On the agent's own disk.
    required: u64,
    stored: BTreeMap<u64, Stored>,
    pub(super) running: Option<Running>,
    runs: u64,
    /// The watermark as it was published last.
    pub(super) board: Option<Marks>,
    /// When the source's end was seen, and where it was, as long as the target lacks something below it.
    pub(super) beats: VecDeque<(Duration, i64)>,
    /// When everything was written that the target has, at least.
    pub(super) confirmed: Option<Duration>,
}

impl LinkEnd {
    /// The source's topic and the target's that it goes by.
    pub(super) fn topics(&self) -> Option<(u64, u64)> {
        self.running.as_ref().and_then(|running| running.topics)
    }

    pub(super) fn source_topic(&self) -> Option<u64> {
        self.topics().map(|(source, _)| source)
    }

    pub(super) fn stored(&mut self) -> &Stored {
        let topic = self.source_topic().expect("a link that runs has a topic");
        self.stored.entry(topic).or_default()
    }

    pub(super) fn store(&mut self) -> &mut Store {
        let topic = self.source_topic().expect("a link that runs has a topic");
        &mut self.stored.entry(topic).or_default().store
    }

    /// Every checkpoint says which target topic it is about.
    pub(super) fn note_stored(&mut self) {
        if let Some((source, target)) = self.topics()
            && let Some(stored) = self.stored.get_mut(&source)
        {
            stored.target_topic = target;
        }
    }

    /// Without leave, or not begun.
    fn waits(&self) -> bool {
        self.topics().is_none()
    }

    fn is_sealed(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.sealed.is_some())
    }
}

impl FailoverWorld<Joined> {
    pub(super) fn make_topic(&mut self, region: usize) {
        self.data.topics += 1;
        self.data.logs[region].topic = Some(self.data.topics);
    }

    pub(super) fn begin_links(&mut self) {
        for target in 0..2 {
            self.start_process(target, 0);
            self.data.mirrors.processes[target].alive = false;
            self.data.links[target].is_up = true;
            self.later(PUBLISH, Carrying::Publish(target));
        }
    }

    fn start_process(&mut self, target: usize, source_topic: u64) {
        let mut id = [1; 16];
        id[8..].copy_from_slice(&source_topic.to_be_bytes());
        let settings = Settings {
            link: LinkName::between(&name(1 - target), &name(target)),
            topic: TopicId::from_wire(id).expect("a legal id"),
            partition: PartitionIndex::from_wire(0).expect("a legal index"),
            gap: GapPolicy::Stop,
            merge: MergePolicy::default(),
            late_within: LATE_WITHIN,
        };
        let clock = self.clock();
        self.with_mirrors(|mirrors, around| mirrors.start(target, settings, clock, around));
    }

    pub(super) fn feed_mirror(&mut self, target: usize, event: Event) -> Result<(), Violation> {
        self.with_mirrors(|mirrors, around| mirrors.feed(target, event, around))
    }

    fn stop_process(&mut self, target: usize) {
        self.with_mirrors(|mirrors, around| mirrors.crash(target, LATE_MAX_MS, around));
        self.data.links[target].running = None;
        self.data.links[target].beats.clear();
    }

    pub(super) fn crash_link_agent(&mut self, target: usize, long: Duration) {
        if std::mem::replace(&mut self.data.links[target].is_up, false) {
            self.stop_process(target);
            self.data.links[target].board = None;
            self.data.links[target].confirmed = None;
            let long = long.min(Duration::from_secs(1_000));
            self.later(long, Carrying::AgentStarts(target));
        }
    }

    /// Lets a link write under an epoch; `Err` says why it may not.
    pub(super) fn give_leave(&mut self, target: usize, leave: Leave) -> Result<(), &'static str> {
        let now = self.schedule.now();
        let link = &mut self.data.links[target];
        if !link.is_up {
            return Err("no mirror agent");
        }
        let same = link.running.as_ref().filter(|running| running.leave.epoch == leave.epoch);
        if same.is_some_and(|running| running.sealed.is_none()) && !leave.topics_made_anew {
            return Ok(());
        }
        let of_run = link.running.as_ref().map_or(1, |running| running.leave.epoch);
        let required = link.required.max(of_run);
        let sealed_under_it = leave.takes_back_seal && leave.epoch + 1 == required;
        if leave.epoch < required && !sealed_under_it {
            trace::note(|| format!("{now:?} link into {target} is fenced: {leave:?}, required {required}"));
            return Err("link is fenced");
        }
        self.stop_process(target);
        let link = &mut self.data.links[target];
        link.required = leave.epoch;
        link.runs += 1;
        let run = link.runs;
        link.running = Some(Running { leave, run, topics: None, sealing: None, sealed: None });
        trace::note(|| format!("{now:?} link into {target} has {leave:?}"));
        let delay = self.schedule.random.mostly_short(1, 400);
        self.later(delay, Carrying::LinkBegins(target, run));
        Ok(())
    }

    /// A link that has not begun may not be started again on its map: it is waited for.
    pub(super) fn start_for_effect(&mut self, target: usize, leave: Leave, tries: u32) -> Tried {
        if tries == 0
            && let Err(error) = self.give_leave(target, leave)
        {
            return failed(error);
        }
        let running = self.data.links[target].running.as_ref();
        let runs = running.filter(|running| running.leave.epoch >= leave.epoch && running.sealed.is_none());
        match runs {
            Some(running) if running.topics.is_some() => Tried::Ends(Outcome::Done),
            Some(_) => Tried::Waits,
            None => failed("the link does not run"),
        }
    }

    /// Reads what is stored and opens the partition, once the regions that it needs are there.
    pub(super) fn begin_link(&mut self, target: usize, run: u64) -> Result<(), Violation> {
        let running = self.data.links[target].running.as_ref();
        let Some(leave) = running.filter(|running| running.run == run).map(|running| running.leave) else {
            return Ok(());
        };
        if !self.is_ready_for(target, leave) {
            self.later(BEGINS_AGAIN, Carrying::LinkBegins(target, run));
            return Ok(());
        }
        let (known, there) = (self.data.links[target].stored.keys().copied().collect::<Vec<_>>(), {
            let source = &self.data.logs[1 - target];
            source.topic.filter(|_| self.reaches(target, 1 - target))
        });
        let Some(source_topic) = known.first().copied().or(there) else {
            self.later(BEGINS_AGAIN, Carrying::LinkBegins(target, run));
            return Ok(());
        };
        if self.data.logs[target].topic.is_none() {
            self.make_topic(target);
        }
        let target_topic = self.data.logs[target].topic.expect("it was made");
        if let Some(running) = &mut self.data.links[target].running {
            running.topics = Some((source_topic, target_topic));
        }
        let now = self.schedule.now();
        trace::note(|| format!("{now:?} link into {target} begins: {:?}", self.data.links[target]));
        if leave.takes_back_seal {
            self.none_is_late(target);
        }
        self.start_process(target, source_topic);
        let other = known.iter().any(|topic| *topic != source_topic);
        if other { self.feed_mirror(target, Event::SourceTopicRecreated) } else { Ok(()) }
    }

    /// Brings what is stored in line with the leave; `false` where a region that is needed is not there.
    fn is_ready_for(&mut self, target: usize, leave: Leave) -> bool {
        if !self.reaches(target, target) {
            return false;
        }
        let present = self.data.logs[target].topic;
        if leave.topics_made_anew {
            let is_there = |stored: &Stored| {
                let other = stored.store.checkpoint.is_some() && Some(stored.target_topic) != present;
                present.is_some() && !other
            };
            self.data.links[target].stored.retain(|_, stored| is_there(stored));
        }
        if leave.behind_inverse {
            if !self.reaches(target, 1 - target) {
                return false;
            }
            self.begin_behind_inverse(target);
        }
        true
    }

    /// What the opposite link wrote need not be copied back.
    fn begin_behind_inverse(&mut self, target: usize) {
        let [first, second] = &mut self.data.links;
        let (own, theirs) = if target == 0 { (first, second) } else { (second, first) };
        let here = &self.data.logs[target];
        let end_here = here.broker.committed();
        let mut written = BTreeSet::new();
        for (their_source, partition) in &theirs.stored {
            let Some(sealed_at) = partition.store.checkpoint else { continue };
            written.insert(partition.target_topic);
            if here.topic != Some(*their_source) {
                continue;
            }
            let mine = own.stored.entry(partition.target_topic).or_default();
            let runs = |stored: &Stored| stored.store.runs.values().copied().collect::<Vec<_>>();
            let begun = begun_behind(
                (runs(partition), sealed_at),
                (&runs(mine), mine.store.checkpoint),
                source(end_here),
            );
            if let Ok(Some(begun)) = begun {
                mine.store.runs = begun.into_iter().map(|run| (run.source, run)).collect();
                mine.store.checkpoint = Some(target_offset(end_here));
                mine.target_topic = *their_source;
            }
        }
        let present = self.data.logs[1 - target].topic;
        own.stored.retain(|topic, _| {
            present.is_none_or(|present| present == *topic || !written.contains(&present))
        });
    }

    /// The controller asks how its link stands, and lets it run where the journal says that it does.
    pub(super) fn watch_link(&mut self) {
        self.later(WATCH, Carrying::Watch);
        let Some(controller) = &self.controller else { return };
        let state = controller.engine.state();
        let to = 1 - site(&state.primary);
        let takes_back_seal = matches!(state.last_result, Some((_, OperationResult::Aborted(_))));
        let leave = Leave {
            epoch: state.epoch.to_wire(),
            behind_inverse: false,
            takes_back_seal,
            topics_made_anew: false,
        };
        let leave = state.link_is_to_run().then_some(leave);
        if self.passes(to, self.home) {
            let delay = self.schedule.random.mostly_short(1, 200);
            self.later(delay, Carrying::Watched(to, leave));
        }
    }

    pub(super) fn link_watched(&mut self, target: usize, leave: Option<Leave>) {
        let link = &self.data.links[target];
        if !link.is_up || !self.passes(target, self.home) {
            return;
        }
        let idle = link.waits() || link.is_sealed();
        let report = self.link_report(target);
        let delay = self.schedule.random.mostly_short(1, 200);
        self.schedule.after(delay, Happening::LinkHeard(report));
        if let Some(leave) = leave.filter(|_| idle) {
            let back = self.schedule.random.mostly_short(1, 200);
            self.later(delay + back, Carrying::LinkStarts(target, leave));
        }
    }

    fn link_report(&self, target: usize) -> LinkReport {
        let link = &self.data.links[target];
        let now = self.schedule.now();
        let time = link.confirmed.map_or(Duration::MAX, |at| now.saturating_sub(at));
        let standing = self.data.mirrors.processes[target].partition.standing();
        let sample = PartitionSample {
            partition: partition(),
            source_end: standing.source_end,
            replicated: standing.cursors.map_or(SourceOffset::FIRST, |cursors| cursors.acknowledged),
        };
        LinkReport {
            source: name(1 - target),
            target: name(target),
            lag: Lag { time, ..Lag::default() },
            offsets_age: link.confirmed.map(|_| Duration::ZERO),
            partitions: if link.waits() { Vec::new() } else { vec![sample] },
            drifts: Some(Vec::new()),
        }
    }

    pub(super) fn link_is_caught_up(&self, target: usize) -> bool {
        let link = &self.data.links[target];
        let starting = self.data.mirrors.processes[target].partition.standing().state == "starting";
        let within = |at: Duration| self.schedule.now().saturating_sub(at) <= CAUGHT_UP_WITHIN;
        link.is_up && !link.waits() && !link.is_sealed() && !starting && link.confirmed.is_some_and(within)
    }

    /// Tells the gateway how far the link is.
    pub(super) fn publish(&mut self, target: usize) -> Result<(), Violation> {
        self.later(PUBLISH, Carrying::Publish(target));
        self.go_on_sealing(target)?;
        let link = &self.data.links[target];
        let Some(marks) = link.board.filter(|_| link.is_up) else { return Ok(()) };
        if self.passes(target, self.gateways[0].site) {
            let delay = self.schedule.random.mostly_short(1, 400);
            let at = self.data.words[target].arrival(self.schedule.now(), delay);
            let (life, grants) = (self.data.gateway.life, self.data.grants);
            let heard = Carrying::MarksHeard { life, grants, source: 1 - target, marks };
            self.schedule.at(at, Happening::Data(heard));
        }
        Ok(())
    }
}
