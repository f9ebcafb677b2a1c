//! Carries out one effect and says how it ended. Every effect is safe to repeat.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use leeward_failover_core::{Effect, FinalPosition, Outcome, Tail};
use leeward_model::{FencingEpoch, LinkName, RegionName, TopicName, with_causes};
use leeward_proto::link::{GroupPosition, LinkReply};
use tokio::time::{Instant, sleep, timeout};
use tracing::warn;

use crate::{
    cluster::{Cluster, QuarantineTopic},
    fencer::Fencer,
    gateways::Gateways,
    limits::{
        CATCH_UP_LOOK_EVERY, CATCH_UP_TIMEOUT, CAUGHT_UP_WITHIN, MEMBERS_MISSED_WITHIN, STEP_TIMEOUT,
        STOPPED_PATIENCE,
    },
    links::{GoesOn, Links, crossed, stopped},
    metrics::Metrics,
    promoter,
    redirector::Redirector,
    verifier,
};

/// A region as effects use it.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) cluster: Arc<dyn Cluster>,
    pub(crate) fencer: Fencer,
}

/// Everything that effects need.
#[derive(Debug)]
pub(crate) struct Performer {
    pub(crate) sites: BTreeMap<RegionName, Site>,
    pub(crate) links: Links,
    pub(crate) gateways: Arc<Gateways>,
    pub(crate) redirectors: Vec<Arc<dyn Redirector>>,
    pub(crate) drain_max: Duration,
    pub(crate) metrics: Arc<Metrics>,
}

type Attempt = Result<Outcome, String>;

/// A mirror says so of a position that it may not write.
const GROUP_LIVES_THERE: &str = "skipped-active";
/// And so of one that it could not write yet; of one that moved since it was written, too.
const WAITING: &str = "waiting";

fn told(error: impl std::error::Error) -> String {
    with_causes(&error)
}

impl Performer {
    /// Never fails to answer: what goes wrong is an outcome too.
    pub(crate) async fn perform(&self, effect: Effect) -> Outcome {
        let attempt = match effect {
            Effect::CutGateways { epoch, .. } => Ok(Outcome::GatewaysCut(self.gateways.cut(epoch).await)),
            Effect::MoveGateways { region, epoch } => {
                self.gateways.follow(&region, epoch).await;
                Ok(Outcome::Done)
            }
            Effect::SealRegion { region, .. } => self.seal(&region).await,
            Effect::UnsealRegion { region, .. } => self.unseal(&region).await,
            Effect::DrainLink { source, target, epoch, drain } => {
                let sealed = self.links.seal(&source, &target, epoch, &drain, self.drain_max).await;
                sealed.map(|positions| Outcome::LinkDrained { positions }).map_err(told)
            }
            Effect::Promote { region, fence } => bounded(STEP_TIMEOUT, self.promote(&region, &fence)).await,
            Effect::UpdateDns { region, epoch } => {
                bounded(redirect_bound(&self.redirectors), self.redirect(&region, epoch)).await
            }
            Effect::Verify { region, epoch } => bounded(STEP_TIMEOUT, self.verify(&region, epoch)).await,
            Effect::Quarantine { region, survivor, epoch, tails } => {
                self.quarantine(&region, &survivor, epoch, &tails).await
            }
            Effect::RecreateTopics { region, .. } => self.recreate(&region).await,
            Effect::StartLink { source, target, epoch, resume } => {
                bounded(STEP_TIMEOUT, self.start_link(&source, &target, epoch, &resume)).await
            }
            Effect::AwaitCaughtUp { source, target, .. } => self.await_caught_up(&source, &target).await,
        };
        attempt.unwrap_or_else(|error| Outcome::Failed { error })
    }

    fn site(&self, region: &RegionName) -> Result<&Site, String> {
        self.sites.get(region).ok_or_else(|| format!("no cluster is known for region {region}"))
    }

    async fn seal(&self, region: &RegionName) -> Attempt {
        self.site(region)?.fencer.seal().await.map(Outcome::Sealed).map_err(told)
    }

    async fn unseal(&self, region: &RegionName) -> Attempt {
        self.site(region)?.fencer.unseal(|| true).await.map(|_| Outcome::Done).map_err(told)
    }

    async fn promote(&self, region: &RegionName, fence: &leeward_failover_core::FenceProof) -> Attempt {
        let site = self.site(region)?;
        let promoted =
            promoter::promote(region, fence, &self.links, site.cluster.as_ref(), &site.fencer).await;
        promoted
            .map(|promotion| Outcome::Promoted { topics: promotion.topics, groups: promotion.groups })
            .map_err(told)
    }

    async fn redirect(&self, region: &RegionName, epoch: FencingEpoch) -> Attempt {
        for redirector in &self.redirectors {
            let began = Instant::now();
            let moved = redirector.redirect(region, epoch).await;
            self.metrics.dns_updated(redirector.provider(), began.elapsed(), moved.is_ok());
            moved.map_err(told)?;
        }
        Ok(Outcome::Done)
    }

    async fn verify(&self, region: &RegionName, epoch: FencingEpoch) -> Attempt {
        let cluster = self.site(region)?.cluster.as_ref();
        let verified = verifier::verify(region, epoch, cluster, &self.redirectors).await;
        verified.map(|()| Outcome::Done).map_err(told)
    }

    async fn quarantine(
        &self,
        region: &RegionName,
        survivor: &RegionName,
        epoch: FencingEpoch,
        tails: &[Tail],
    ) -> Attempt {
        let (from, into) = (&self.site(region)?.cluster, &self.site(survivor)?.cluster);
        let name = format!("{}_quarantine.{region}.{epoch}", TopicName::OWN_PREFIX);
        let topic = TopicName::new(&name).map_err(told)?;
        let headers = vec![
            ("leeward-region".to_owned(), region.to_string()),
            ("leeward-epoch".to_owned(), epoch.to_string()),
        ];
        let quarantine = QuarantineTopic { topic, headers };
        let mut records = 0;
        for tail in tails {
            let copied = from.copy_tail(tail, into.as_ref(), &quarantine).await;
            records += copied.map_err(told)?;
        }
        Ok(Outcome::Quarantined { records })
    }

    /// The mirror makes the topics anew, with the survivor's partitions and configs.
    async fn recreate(&self, region: &RegionName) -> Attempt {
        let Site { cluster, fencer } = self.site(region)?;
        let topics = fencer.protected_topics().await.map_err(told)?;
        cluster.delete_topics(&topics).await.map_err(told)?;
        fencer.made_anew(&topics).map_err(told)?;
        Ok(Outcome::Done)
    }

    async fn start_link(
        &self,
        source: &RegionName,
        target: &RegionName,
        epoch: FencingEpoch,
        resume: &[FinalPosition],
    ) -> Attempt {
        let goes_on = if resume.is_empty() { GoesOn::OnNewTopics } else { GoesOn::OnItsInverse };
        let begun = self.links.begin(source, target, epoch, goes_on).await;
        begun.map(|()| Outcome::Done).map_err(told)
    }

    async fn await_caught_up(&self, source: &RegionName, target: &RegionName) -> Attempt {
        let begun_at = Instant::now();
        let caught_up = async {
            // Topics that were made anew may not be known to the link yet, so what it says of itself is not enough.
            let ends = self.site(source)?.fencer.log_ends().await.map_err(told)?;
            loop {
                let reply = self.links.status(source, target).await.map_err(told)?;
                let within = u64::try_from(reply.rpo_millis)
                    .is_ok_and(|millis| Duration::from_millis(millis) <= CAUGHT_UP_WITHIN);
                let has_all = reply.state == "running" && ends.iter().all(|end| crossed(&reply, end));
                if has_all && within && self.groups_are_carried((source, target), &reply, begun_at).await {
                    return Ok(Outcome::Done);
                }
                let stopped = stopped(&LinkName::between(source, target), &reply);
                if let Some(stopped) = stopped.filter(|_| begun_at.elapsed() >= STOPPED_PATIENCE) {
                    return Err(told(stopped));
                }
                sleep(CATCH_UP_LOOK_EVERY).await;
            }
        };
        timeout(CATCH_UP_TIMEOUT, caught_up)
            .await
            .unwrap_or_else(|_| Err(format!("not caught up within {CATCH_UP_TIMEOUT:?}")))
    }

    /// Whether no group keeps its position from being carried over because it has members at the target. A region that died with
    /// members still counts them when it is back, until it misses them; who is there longer lives there.
    async fn groups_are_carried(
        &self,
        (source, target): (&RegionName, &RegionName),
        reply: &LinkReply,
        begun_at: Instant,
    ) -> bool {
        if begun_at.elapsed() >= MEMBERS_MISSED_WITHIN {
            return true;
        }
        if !reply.groups_known {
            return false;
        }
        match self.links.groups(source, target).await {
            Ok(groups) => !groups.iter().any(waits_to_be_carried),
            Err(error) => {
                warn!(%source, %target, error = with_causes(&error), "groups are not waited for: the mirror does not tell them");
                true
            }
        }
    }
}

/// Whether the target has no position of a group, or an old one, for want of its members' leave or of a mirror's try.
fn waits_to_be_carried(position: &GroupPosition) -> bool {
    position.state == GROUP_LIVES_THERE || position.state == WAITING && position.target_offset < 0
}

/// Names are moved one after the other, and each may wait for its resolvers.
pub(crate) fn redirect_bound(redirectors: &[Arc<dyn Redirector>]) -> Duration {
    let waits = redirectors.iter().map(|redirector| redirector.confirm_within());
    waits.fold(STEP_TIMEOUT, Duration::saturating_add)
}

async fn bounded(bound: Duration, step: impl Future<Output = Attempt>) -> Attempt {
    timeout(bound, step).await.unwrap_or_else(|_| Err(format!("took longer than {bound:?}")))
}
