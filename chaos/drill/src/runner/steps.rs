//! Carries out a drill's steps: faults that must prove that they bit, actions through the controller's own verbs,
//! events that must come.

use std::time::Duration;

use leeward_model::RegionName;
use leeward_policies::{Action, AwaitedEvent, CleanupAction, Fault, ProcessTarget, Step, StepKind};
use leeward_proto::control::{VerbReply, VerbRequest, control_client::ControlClient};
use tokio::time::{Instant, sleep, sleep_until};
use tonic::{Response, Status, transport::Channel};

use super::Running;
use crate::{
    estate::EstateError,
    limits::STATUS_EVERY,
    report::{Expectation, Verdict},
    watch::Seen,
};

/// Longest answer of a verb: it comes when the verb has ended. A failback may wait a minute for groups' dead members.
const VERB_WAIT_MAX: Duration = Duration::from_secs(180);

/// Why no further step is taken.
enum Stopped {
    Cannot(String),
    Missed(Expectation),
}

impl Running {
    /// Takes all steps in order. A step that cannot be taken ends the drill as inconclusive, an event that does not come as a
    /// broken expectation.
    pub(super) async fn take_steps(&mut self, load_began: Instant) {
        let steps = self.run.drill.document.spec.steps.clone();
        let mut since = self.clock.micros();
        // What a run of faults and actions brings about may come before the last of them.
        let mut running_on = false;
        for step in &steps {
            if let Some(at) = step.at {
                sleep_until(load_began + at).await;
            }
            let acts = matches!(step.kind, StepKind::Fault { .. } | StepKind::Action(_));
            if acts && !running_on {
                since = self.clock.micros();
            }
            running_on = acts;
            if let Err(stopped) = self.take_step(step, since).await {
                return self.stop(stopped);
            }
        }
    }

    fn stop(&mut self, stopped: Stopped) {
        match stopped {
            Stopped::Cannot(trouble) => {
                self.note("stopped", &trouble);
                self.troubles.push(trouble);
            }
            Stopped::Missed(expectation) => {
                self.note("stopped", &format!("{} {}", expectation.name, expectation.measured));
                self.missed.push(expectation);
            }
        }
    }

    async fn take_step(&mut self, step: &Step, since: u64) -> Result<(), Stopped> {
        match &step.kind {
            StepKind::Fault { fault, held_for } => {
                self.break_something(fault, *held_for).await.map_err(Stopped::Cannot)
            }
            StepKind::Action(action) => self.act(action).await.map_err(Stopped::Cannot),
            StepKind::ExpectEvent { event, within } => self.expect_event(event, *within, since).await,
            StepKind::Wait(time) => {
                sleep(*time).await;
                Ok(())
            }
        }
    }

    /// What the drill does at its end in any case.
    pub(super) async fn clean_up(&mut self) {
        let cleanups = self.run.drill.document.spec.always.clone();
        for cleanup in cleanups {
            match cleanup.action {
                CleanupAction::HealAll => {
                    if let Err(trouble) = self.heal_all() {
                        self.troubles.push(trouble);
                    }
                }
                CleanupAction::Failback => {
                    let to = self.run.topology.document.primary().name.clone();
                    if self.acting() != to
                        && let Err(trouble) = self.act(&Action::Failback { to }).await
                    {
                        self.troubles.push(trouble);
                    }
                }
            }
        }
        self.judge_network();
    }

    async fn break_something(&mut self, fault: &Fault, held_for: Option<Duration>) -> Result<(), String> {
        let from = self.clock.micros();
        let in_words = |error: EstateError| error.to_string();
        let evidence = match fault {
            Fault::RegionDown { region, .. } => {
                self.note("fault", &format!("killing every process of {region}"));
                self.outage_at.get_or_insert(from);
                Some(self.estate.kill_region(region).await.map_err(in_words)?)
            }
            Fault::Kill { target } => {
                let name = self.process(*target);
                self.note("fault", &format!("killing {name}"));
                let evidence = self.estate.kill(&name).await.map_err(in_words)?;
                self.estate.heal_one(&name).map_err(in_words)?;
                Some(evidence)
            }
            Fault::Pause { target } => {
                let name = self.process(*target);
                self.note("fault", &format!("pausing {name}"));
                let evidence = self.estate.pause(&name).await.map_err(in_words)?;
                sleep(held_for.unwrap_or_default()).await;
                self.estate.resume(&name).map_err(in_words)?;
                Some(evidence)
            }
            Fault::Partition { link, direction } => {
                self.cut_network(link, *direction, held_for).await;
                None
            }
            Fault::Slow { link, latency, bytes_per_second } => {
                self.slow_network(link, *latency, *bytes_per_second, held_for).await;
                None
            }
        };
        self.faults.extend(evidence);
        let until = self.clock.micros();
        let window = self.fault_window.get_or_insert((from, until));
        window.1 = until;
        if let (Fault::RegionDown { region, .. }, Some(held_for)) = (fault, held_for) {
            sleep(held_for).await;
            self.heal(region)?;
        }
        Ok(())
    }

    async fn act(&mut self, action: &Action) -> Result<(), String> {
        let idempotency_key = format!("drill-{}-{}", std::process::id(), self.clock.micros());
        let request = |to: &RegionName| VerbRequest {
            to: to.to_string(),
            idempotency_key,
            reason: "drill".to_owned(),
            ..VerbRequest::default()
        };
        match action {
            Action::Heal { region } => self.heal(region),
            Action::HealAll => self.heal_all(),
            Action::Failover { to, accept_loss } => {
                let mut request = request(to);
                request.accept_unbounded_loss = accept_loss.is_none();
                request.accept_loss_millis =
                    accept_loss.map_or(0, |loss| u64::try_from(loss.as_millis()).unwrap_or(u64::MAX));
                self.note("action", &format!("failover to {to}"));
                let answer = self.controller().failover(timed(request)).await;
                finished(answer)
            }
            Action::Switchover { to } => {
                self.note("action", &format!("switchover to {to}"));
                let answer = self.controller().switchover(timed(request(to))).await;
                finished(answer)
            }
            Action::Failback { to } => {
                self.note("action", &format!("failback to {to}"));
                let answer = self.controller().failback(timed(request(to))).await;
                finished(answer)
            }
        }
    }

    fn heal(&mut self, region: &RegionName) -> Result<(), String> {
        let started = self.estate.heal(Some(region)).map_err(|error| error.to_string())?;
        self.note("healed", &format!("{region}: {} started again", started.join(", ")));
        Ok(())
    }

    fn heal_all(&mut self) -> Result<(), String> {
        self.heal_network();
        let started = self.estate.heal(None).map_err(|error| error.to_string())?;
        if !started.is_empty() {
            self.note("healed", &format!("{} started again", started.join(", ")));
        }
        Ok(())
    }

    async fn expect_event(
        &mut self,
        event: &AwaitedEvent,
        within: Duration,
        since: u64,
    ) -> Result<(), Stopped> {
        let deadline = Instant::now() + within;
        loop {
            if self.watch.with(|watched| watched.events.iter().any(|seen| is_awaited(seen, event, since))) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(Stopped::Missed(Expectation {
                    name: format!("event {}", event.kind.as_str()),
                    budget: format!("within {within:?}"),
                    measured: "did not come".to_owned(),
                    verdict: Verdict::Fail,
                }));
            }
            sleep(STATUS_EVERY / 4).await;
        }
    }

    fn process(&self, target: ProcessTarget) -> String {
        match target {
            ProcessTarget::ControllerLeader => "controller".to_owned(),
            ProcessTarget::Gateway => "gateway".to_owned(),
            ProcessTarget::Mirror => {
                let acting = self.acting();
                let regions = self.run.topology.document.data_regions();
                let other = regions.iter().find(|region| region.name != acting);
                format!("{}-mirror", other.map_or(acting.as_str(), |region| region.name.as_str()))
            }
        }
    }

    fn controller(&self) -> ControlClient<Channel> {
        let address = format!("http://{}", self.estate.addresses().control);
        let endpoint =
            tonic::transport::Endpoint::from_shared(address).expect("an address makes an endpoint");
        ControlClient::new(endpoint.connect_lazy())
    }

    pub(super) fn note(&self, code: &str, text: &str) {
        self.watch.note(self.clock.micros(), "drill", code, text);
    }
}

fn timed(request: VerbRequest) -> tonic::Request<VerbRequest> {
    let mut request = tonic::Request::new(request);
    request.set_timeout(VERB_WAIT_MAX);
    request
}

fn finished(answer: Result<Response<VerbReply>, Status>) -> Result<(), String> {
    let reply =
        answer.map_err(|status| format!("the controller refuses: {}", status.message()))?.into_inner();
    if reply.outcome == "finished" {
        return Ok(());
    }
    Err(format!("the controller {}: {}", reply.outcome, reply.reason))
}

fn is_awaited(seen: &Seen, event: &AwaitedEvent, since: u64) -> bool {
    // Wall-clock milliseconds are coarser than the drill's clock.
    const CLOCK_GRAIN_MICROS: u64 = 2_000;
    let says = |field: &str, wanted: Option<String>| {
        wanted.is_none_or(|wanted| seen.fields.get(field).is_some_and(|said| *said == wanted))
    };
    seen.happening.code == event.kind.as_str()
        && seen.happening.at + CLOCK_GRAIN_MICROS >= since
        && says("region", event.region.as_ref().map(ToString::to_string))
        && says("to", event.to.as_ref().map(ToString::to_string))
        && says("link", event.link.as_ref().map(|link| link.name().to_string()))
}
