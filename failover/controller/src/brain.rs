//! The one task that owns the engine: takes events, makes entries durable, and only then lets effects begin.

use std::{collections::HashMap, sync::Arc};

use leeward_failover_core::{
    Config, Effect, EffectId, Engine, Entry, Event, Inconsistent, Instruction, LinkReport, Notice, Now,
    OperationId, Outcome, Rejected, Report, Request, Status, Step, Taken,
};
use leeward_model::RegionName;
use parking_lot::Mutex;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::{AbortHandle, JoinSet},
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{
    clock::Clock,
    events::Events,
    gateways::Gateways,
    limits::TICK,
    log::{DecisionLog, LogError},
    metrics::Metrics,
    performer::Performer,
    publish,
    timeline::{Summary, Timeline},
};

/// A question about the engine at one moment.
type Question = Box<dyn FnOnce(&Engine, Now) + Send>;

/// What the brain is asked.
pub(crate) enum Message {
    Reports(Vec<Report>),
    /// What a region's agent saw, and a question for what it is to do.
    Attend {
        agent: RegionName,
        reports: Vec<Report>,
        /// What it goes by; `None` where it was told nothing yet.
        taken: Option<Taken>,
        reply: oneshot::Sender<Instruction>,
    },
    Link(LinkReport),
    Request(Request, oneshot::Sender<Result<Option<OperationId>, Rejected>>),
    /// A question about the engine at this moment.
    Ask(Question),
}

/// What everybody else sees of the brain.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) status: Status,
    pub(crate) last: Option<Summary>,
}

/// How others reach the brain.
#[derive(Clone, Debug)]
pub(crate) struct BrainHandle {
    pub(crate) mailbox: mpsc::Sender<Message>,
    pub(crate) view: watch::Receiver<Arc<View>>,
    pub(crate) timeline: Arc<Mutex<Timeline>>,
}

/// The brain is gone: the controller is shutting down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the controller is shutting down")]
pub struct Gone;

impl BrainHandle {
    pub(crate) async fn request(
        &self,
        request: Request,
    ) -> Result<Result<Option<OperationId>, Rejected>, Gone> {
        let (reply, answer) = oneshot::channel();
        self.mailbox.send(Message::Request(request, reply)).await.map_err(|_| Gone)?;
        answer.await.map_err(|_| Gone)
    }

    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Engine, Now) -> T + Send + 'static,
    ) -> Result<T, Gone> {
        let (reply, answer) = oneshot::channel();
        let ask = Message::Ask(Box::new(move |engine, now| {
            // The asker may have gone away meanwhile.
            let _ = reply.send(question(engine, now));
        }));
        self.mailbox.send(ask).await.map_err(|_| Gone)?;
        answer.await.map_err(|_| Gone)
    }
}

/// Why the brain stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum BrainError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("decision log does not add up")]
    Journal(#[from] Inconsistent),
}

pub(crate) struct Brain {
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    pub(crate) log: Arc<dyn DecisionLog>,
    pub(crate) performer: Arc<Performer>,
    pub(crate) gateways: Arc<Gateways>,
    pub(crate) events: Arc<Events>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) timeline: Arc<Mutex<Timeline>>,
    pub(crate) view: watch::Sender<Arc<View>>,
    engine: Engine,
    running: JoinSet<(EffectId, Outcome)>,
    handles: HashMap<EffectId, AbortHandle>,
    /// Effects that were begun and have no outcome.
    effects: HashMap<EffectId, Effect>,
}

/// What a brain is made of.
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    pub(crate) log: Arc<dyn DecisionLog>,
    pub(crate) performer: Arc<Performer>,
    pub(crate) gateways: Arc<Gateways>,
    pub(crate) events: Arc<Events>,
    pub(crate) metrics: Arc<Metrics>,
}

/// Reads the journal, or begins one.
pub(crate) async fn replay(
    config: &Config,
    log: &dyn DecisionLog,
    now: Now,
) -> Result<(Engine, Step), BrainError> {
    let mut entries = log.read().await?;
    if entries.is_empty() {
        let formed = Engine::form(config, now);
        log.append(std::slice::from_ref(&formed)).await?;
        entries.push(formed);
    }
    Ok(Engine::replay(config.clone(), &entries, now)?)
}

impl Brain {
    pub(crate) fn new(parts: Parts, engine: Engine) -> (Self, watch::Receiver<Arc<View>>) {
        let status = engine.status(parts.clock.now());
        let (view, seen) = watch::channel(Arc::new(View { status, last: None }));
        let Parts { config, clock, log, performer, gateways, events, metrics } = parts;
        let brain = Self {
            config,
            clock,
            log,
            performer,
            gateways,
            events,
            metrics,
            timeline: Arc::default(),
            view,
            engine,
            running: JoinSet::new(),
            handles: HashMap::new(),
            effects: HashMap::new(),
        };
        (brain, seen)
    }

    /// Runs until shut down. `first` is what the replay left to do.
    pub(crate) async fn run(
        mut self,
        first: Step,
        mailbox: mpsc::Receiver<Message>,
        shutdown: CancellationToken,
    ) -> Result<(), BrainError> {
        let ended = self.think(first, mailbox, shutdown).await;
        // Effects hold the journal open until they are gone.
        self.running.shutdown().await;
        ended
    }

    async fn think(
        &mut self,
        first: Step,
        mut mailbox: mpsc::Receiver<Message>,
        shutdown: CancellationToken,
    ) -> Result<(), BrainError> {
        let now = self.clock.now();
        self.take(first, now).await?;
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                Some(done) = self.running.join_next(), if !self.running.is_empty() => {
                    // An aborted effect has no outcome that anybody waits for.
                    let Ok((id, outcome)) = done else { continue };
                    self.handles.remove(&id);
                    self.event(Event::Outcome { id, outcome }).await?;
                }
                message = mailbox.recv() => match message {
                    Some(message) => self.message(message).await?,
                    None => return Ok(()),
                },
                _ = tick.tick() => self.event(Event::Tick).await?,
            }
        }
    }

    async fn message(&mut self, message: Message) -> Result<(), BrainError> {
        match message {
            Message::Reports(reports) => {
                for report in reports {
                    self.event(Event::Report(report)).await?;
                }
            }
            Message::Attend { agent, reports, taken, reply } => {
                let since = self.clock.now().monotonic;
                self.engine.hear(&agent, taken, since);
                for report in reports {
                    self.event(Event::Report(report)).await?;
                }
                let now = self.clock.now().monotonic;
                let instruction = self.engine.instruct(&agent, since, now);
                // The agent may have gone away meanwhile.
                let _ = reply.send(instruction);
                // A step may have waited for what the agent took.
                self.event(Event::Tick).await?;
            }
            Message::Link(report) => self.event(Event::Link(report)).await?,
            Message::Ask(question) => question(&self.engine, self.clock.now()),
            Message::Request(request, reply) => {
                let now = self.clock.now();
                let answer = match self.engine.on(Event::Request(request), now) {
                    Err(rejected) => Err(rejected),
                    Ok(step) => {
                        let operation = step.operation;
                        self.take(step, now).await?;
                        Ok(operation)
                    }
                };
                // The caller may have gone away; what it asked for is done all the same.
                let _ = reply.send(answer);
            }
        }
        Ok(())
    }

    async fn event(&mut self, event: Event) -> Result<(), BrainError> {
        let now = self.clock.now();
        match self.engine.on(event, now) {
            Ok(step) => self.take(step, now).await,
            // Only requests are ever refused.
            Err(rejected) => {
                warn!(error = %rejected, "event refused");
                Ok(())
            }
        }
    }

    async fn take(&mut self, step: Step, now: Now) -> Result<(), BrainError> {
        if !step.entries.is_empty()
            && let Err(failure) = self.log.append(&step.entries).await
        {
            error!(error = %failure, "a decision was not made durable: nothing is done, the journal is read again");
            return self.start_over().await;
        }
        for id in &step.abandoned {
            self.abandon(*id);
        }
        self.tell(&step, now);
        self.publish(now);
        for (id, effect) in step.effects {
            self.begin(id, effect);
        }
        Ok(())
    }

    /// The engine took entries into account that are not durable: only the journal counts.
    async fn start_over(&mut self) -> Result<(), BrainError> {
        self.running.abort_all();
        self.handles.clear();
        let now = self.clock.now();
        let (engine, step) = replay(&self.config, self.log.as_ref(), now).await?;
        self.engine = engine;
        self.log.append(&step.entries).await?;
        self.publish(now);
        for (id, effect) in step.effects {
            self.begin(id, effect);
        }
        Ok(())
    }

    fn begin(&mut self, id: EffectId, effect: Effect) {
        info!(%id, effect = effect.name(), "effect begins");
        self.effects.insert(id, effect.clone());
        let performer = Arc::clone(&self.performer);
        let handle = self.running.spawn(async move { (id, performer.perform(effect).await) });
        self.handles.insert(id, handle);
    }

    fn abandon(&mut self, id: EffectId) {
        self.effects.remove(&id);
        if let Some(handle) = self.handles.remove(&id) {
            handle.abort();
        }
    }

    fn tell(&mut self, step: &Step, now: Now) {
        let state = self.engine.state();
        let mut timeline = self.timeline.lock();
        for notice in &step.notices {
            timeline.noticed(notice, &state.primary, now);
        }
        for entry in &step.entries {
            let kind = timeline.last().map_or("failover", |summary| summary.kind.name());
            if let Some(ended) = timeline.recorded(entry, now) {
                self.metrics.phase_took(kind, ended.phase, ended.took);
            }
            let mut events = publish::entry_events(entry, state, &timeline, &self.config.regions[0]);
            if let Entry::Outcome { outcome, id, .. } = entry {
                let effect = self.effects.remove(id);
                match outcome {
                    Outcome::Failed { error } => warn!(%id, %error, "effect failed"),
                    Outcome::GatewaysCut(_)
                    | Outcome::Sealed(_)
                    | Outcome::LinkDrained { .. }
                    | Outcome::Promoted { .. }
                    | Outcome::Quarantined { .. }
                    | Outcome::Done => events.extend(effect.as_ref().and_then(publish::effect_event)),
                }
            }
            for event in events {
                self.events.add(event, state.epoch, now.wall);
            }
            if let Entry::Finished { operation, .. } = entry
                && let Some(summary) = timeline.summary(*operation)
            {
                self.metrics.finished(&summary, state.loss.as_ref());
            }
        }
        for notice in &step.notices {
            if let Notice::Phase { after, .. } = notice
                && let Some(ended) = timeline.phase(after, now)
            {
                let kind = timeline.last().map_or("failover", |summary| summary.kind.name());
                self.metrics.phase_took(kind, ended.phase, ended.took);
            }
            self.events.add(publish::notice_event(notice), state.epoch, now.wall);
        }
    }

    fn publish(&self, now: Now) {
        let status = self.engine.status(now);
        self.gateways.publish(publish::leave(self.engine.state()));
        self.metrics.status(&status);
        let last = self.timeline.lock().last_promotion();
        self.view.send_replace(Arc::new(View { status, last }));
    }
}
