//! Watching that a managed name goes on answering what was published: others can write to a zone too.

use std::time::Duration;

use leeward_model::{RegionName, TopologyName};
use prometheus::{IntGaugeVec, Opts, Registry};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Published, RedirectError, ResolverView, Rfc2136Redirector};

/// What one look at a name saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    pub published: Published,
    /// Where the name should point: by this process's last move or the epoch beside it, whichever is later. `None`
    /// before any move.
    pub expected: Option<RegionName>,
    /// The targets at the primary server, as text.
    pub answer: Vec<String>,
    pub resolvers: Vec<ResolverView>,
}

impl Sighting {
    /// Whether the authoritative answer is not what was published: somebody changed it without the epoch.
    pub fn drifted(&self) -> bool {
        self.expected.is_some() && self.published.region != self.expected
    }
}

/// What the world sees, as metrics.
#[derive(Clone, Debug)]
pub struct DnsMetrics {
    topology: String,
    target: IntGaugeVec,
    resolver_agrees: IntGaugeVec,
}

impl DnsMetrics {
    /// # Errors
    ///
    /// Where the registry has metrics of these names already.
    pub fn register(registry: &Registry, topology: &TopologyName) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str, last: &str| {
            let gauge = IntGaugeVec::new(Opts::new(name, help), &["topology", "name", last])?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        Ok(Self {
            topology: topology.to_string(),
            target: gauge("leeward_dns_target", "Whether the name answers this region's targets.", "region")?,
            resolver_agrees: gauge(
                "leeward_dns_resolver_agrees",
                "Whether this resolver answers what was published.",
                "resolver",
            )?,
        })
    }

    fn record(&self, redirector: &Rfc2136Redirector, sighting: &Sighting) {
        let name = redirector.managed().text();
        for region in redirector.managed().regions() {
            let answers = sighting.published.region.as_ref() == Some(region);
            let labels = [self.topology.as_str(), name, region.as_str()];
            self.target.with_label_values(&labels).set(answers.into());
        }
        for view in &sighting.resolvers {
            let labels = [self.topology.as_str(), name, &view.resolver.to_string()];
            self.resolver_agrees.with_label_values(&labels).set(view.agrees.into());
        }
    }
}

/// Looks at a name every `every`, until `stop`; `on` hears of each change of what is seen, drift among them.
///
/// It only tells: putting the name back is a decision, and two writers that correct each other would never end.
pub async fn watch(
    redirector: &Rfc2136Redirector,
    metrics: &DnsMetrics,
    every: Duration,
    stop: &CancellationToken,
    mut on: impl FnMut(&Result<Sighting, RedirectError>),
) {
    let name = redirector.managed().text();
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = None;
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let seen = redirector.look().await;
        if let Ok(sighting) = &seen {
            metrics.record(redirector, sighting);
        }
        if last.as_ref() == Some(&seen) {
            continue;
        }
        match &seen {
            Ok(sighting) if sighting.drifted() => {
                warn!(name, expected = ?sighting.expected, answer = ?sighting.answer, "name was changed by somebody else");
            }
            Ok(sighting) => info!(name, region = ?sighting.published.region, "name answers"),
            Err(error) => warn!(name, %error, "name cannot be looked at"),
        }
        on(&seen);
        last = Some(seen);
    }
}
