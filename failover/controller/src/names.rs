//! Managed names between failovers: published once before the first of them, and watched for strangers' changes.

use std::{sync::Arc, time::Duration};

use leeward_failover_core::Phase;
use leeward_model::{FencingEpoch, RegionName};
use tokio::time::sleep;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::{
    api::Shared,
    clock::Clock,
    config::ControllerConfig,
    events::NewEvent,
    limits::{NAME_LOOK_EVERY, STEP_TIMEOUT},
    redirector::Redirector,
};

/// Begins one task for each name.
pub(crate) fn start(config: &ControllerConfig, shared: &Shared, clock: Clock, tasks: &TaskTracker) {
    if config.redirectors.is_empty() {
        return;
    }
    let metrics = shared.metrics.dns(&config.topology);
    for redirector in &config.redirectors {
        let (redirector, shared, metrics) = (Arc::clone(redirector), shared.clone(), metrics.clone());
        tasks.spawn(async move {
            publish_first(redirector.as_ref(), &shared).await;
            let mut tell = |seen: &Result<crate::Sighting, crate::RedirectError>| {
                let epoch = shared.brain.view.borrow().status.epoch;
                if let Some(event) = event(redirector.name(), seen) {
                    shared.events.add(event, epoch, clock.now().wall);
                }
            };
            redirector.watch(&metrics, &shared.shutdown, &mut tell).await;
        });
    }
}

/// The region that serves while nothing is going on: what a name that was never published should answer.
fn resting(shared: &Shared) -> Option<(RegionName, FencingEpoch)> {
    let view = shared.brain.view.borrow();
    let status = &view.status;
    let rests = status.operation.is_none() && !matches!(status.phase, Phase::Held(_));
    rests.then(|| status.serving.clone()).flatten().map(|serving| (serving, status.epoch))
}

/// A name that has no epoch yet gets the journal's; compare-and-set keeps this from undoing anything later.
async fn publish_first(redirector: &dyn Redirector, shared: &Shared) {
    while !shared.shutdown.is_cancelled() {
        match redirector.published().await {
            Ok(published) if published.epoch.is_some() => return,
            Ok(_) => {
                if let Some((region, epoch)) = resting(shared) {
                    let bound = STEP_TIMEOUT + redirector.confirm_within();
                    let moving = tokio::time::timeout(bound, redirector.redirect(&region, epoch)).await;
                    match moving {
                        Ok(Ok(_)) => info!(name = redirector.name(), %region, "name published"),
                        Ok(Err(error)) => warn!(name = redirector.name(), %error, "name was not published"),
                        Err(_) => warn!(name = redirector.name(), "name was not published in time"),
                    }
                }
            }
            Err(error) => warn!(name = redirector.name(), %error, "name cannot be looked at"),
        }
        pause(shared, NAME_LOOK_EVERY).await;
    }
}

async fn pause(shared: &Shared, wait: Duration) {
    tokio::select! {
        biased;
        () = shared.shutdown.cancelled() => {}
        () = sleep(wait) => {}
    }
}

fn event(name: &str, seen: &Result<crate::Sighting, crate::RedirectError>) -> Option<NewEvent> {
    match seen {
        Ok(sighting) if sighting.drifted() => {
            let text = format!("{name} was changed by somebody else: it answers {:?}", sighting.answer);
            Some(NewEvent::new("dns-drifted", text).with("name", name))
        }
        Ok(_) => None,
        Err(error) => Some(NewEvent::new("dns-unseen", error.to_string()).with("name", name)),
    }
}
