//! Region agents: their probes become reports, and each of their reports is answered with lease or seal.

use std::{collections::BTreeMap, pin::Pin};

use leeward_failover_core::{Level, Probe, Report, Role, Taken};
use leeward_model::{FencingEpoch, RegionName};
use leeward_proto::region::{AgentInstruction, AgentReport, region_server::Region};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::{Stream, StreamExt, wrappers::ReceiverStream};
use tonic::{Request, Response, Status, Streaming};

use super::Shared;
use crate::{brain::Message, limits::STREAM_BUFFER};

/// Answers region agents.
#[derive(Debug)]
pub(crate) struct Service {
    shared: Shared,
}

impl Service {
    pub(crate) fn new(shared: Shared) -> Self {
        Self { shared }
    }
}

type Instructions = Pin<Box<dyn Stream<Item = Result<AgentInstruction, Status>> + Send>>;

#[tonic::async_trait]
impl Region for Service {
    type AttendStream = Instructions;

    async fn attend(
        &self,
        request: Request<Streaming<AgentReport>>,
    ) -> Result<Response<Instructions>, Status> {
        let mut reports = request.into_inner();
        let (instructions, outbox) = mpsc::channel(STREAM_BUFFER);
        let shared = self.shared.clone();
        tokio::spawn(async move {
            loop {
                let report = tokio::select! {
                    biased;
                    () = shared.shutdown.cancelled() => return,
                    report = reports.next() => report,
                };
                let Some(Ok(report)) = report else { return };
                let Some(instruction) = take(&shared, report).await else { return };
                if instructions.send(Ok(instruction)).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(outbox))))
    }
}

async fn take(shared: &Shared, mut report: AgentReport) -> Option<AgentInstruction> {
    let agent = RegionName::new(&report.agent).ok().filter(|agent| shared.places.contains(agent))?;
    // Each name would be kept for as long as the controller runs.
    let ours = |name: &str| shared.regions.iter().any(|region| region.as_str() == name);
    report.probes.retain(|probe| ours(&probe.region) && Level::named(&probe.level).is_some());
    for probe in &report.probes {
        shared.metrics.probed(&probe.region, &report.agent, &probe.level, probe.took_micros, probe.good);
    }
    let (reply, answer) = oneshot::channel();
    let (reports, taken) = (reports(&agent, &report), taken(&report));
    let attend = Message::Attend { agent, reports, taken, reply };
    shared.brain.mailbox.send(attend).await.ok()?;
    let instruction = answer.await.ok()?;
    let lease = instruction.lease.unwrap_or_default().as_millis();
    Some(AgentInstruction {
        number: report.number,
        epoch: instruction.epoch.to_wire(),
        lease_millis: u64::try_from(lease).unwrap_or(u64::MAX),
        seal: instruction.role.seal,
        serves: instruction.role.serves,
    })
}

/// What the agent goes by.
pub(crate) fn taken(report: &AgentReport) -> Option<Taken> {
    let seal = report.seal.as_ref()?;
    let role = Role { serves: !report.needs_lease, seal: seal.kept };
    FencingEpoch::from_wire(seal.epoch).map(|epoch| Taken { epoch, role })
}

/// One report for each region that the agent probed. Levels that are not ours are left out.
pub(crate) fn reports(agent: &RegionName, report: &AgentReport) -> Vec<Report> {
    let mut by_region: BTreeMap<RegionName, Report> = BTreeMap::new();
    for probe in &report.probes {
        let (Ok(region), Some(level)) = (RegionName::new(&probe.region), Level::named(&probe.level)) else {
            continue;
        };
        let good = if probe.good { Probe::Good } else { Probe::Failed };
        let report = by_region.entry(region.clone()).or_insert_with(|| Report {
            observer: agent.clone(),
            region,
            samples: Vec::new(),
            slipped: false,
        });
        report.samples.push((level, good));
    }
    by_region.into_values().collect()
}

#[cfg(test)]
mod tests {
    use leeward_proto::region::ProbeReport;

    use super::*;
    use crate::fuzzing::{config, shared};

    fn report(agent: &str, region: &str, level: &str) -> AgentReport {
        let probe = ProbeReport { region: region.into(), level: level.into(), ..ProbeReport::default() };
        AgentReport { agent: agent.into(), probes: vec![probe], ..AgentReport::default() }
    }

    #[tokio::test]
    async fn a_strangers_names_leave_no_series_behind() {
        let shared = shared(&config());
        let series = || shared.metrics.text(&[], &[]).lines().count();
        let before = series();

        for (agent, region, level) in [("x", "a", "tcp"), ("a", "x", "tcp"), ("a", "b", "x")] {
            let _ = take(&shared, report(agent, region, level)).await;
        }

        assert_eq!(series(), before);
    }
}
