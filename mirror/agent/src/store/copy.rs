//! Keeps the local copy up with what the topic has, beside the link's thread: it waits for the disk.

use std::sync::Arc;

use leeward_model::with_causes;
use tokio::time::Instant;
use tracing::warn;

use super::{Fact, Facts, Local, MapTopic, SharedStored, Stored};
use crate::{
    LinkError,
    clock::wall,
    limits::{COPY_BEHIND_MAX, COPY_DURABLE_EVERY},
};

/// The local copy, as the one who writes sees it.
#[derive(Debug)]
pub(crate) struct LocalCopy {
    local: Arc<Local>,
    /// What the topic has and the copy could not take yet, in order.
    behind: Facts,
    /// Whether the copy with what is behind is all that the topic has. One that lacks something is left as it is: a map with a
    /// hole translates wrongly.
    whole: bool,
    /// When what the copy took is to survive the end of the process; `None` while all of it does.
    due: Option<Instant>,
}

impl LocalCopy {
    /// Makes the copy what the topic has. Where that fails, the link goes on without.
    pub(crate) async fn of(local: Arc<Local>, stored: Stored) -> Self {
        let copy = local.clone();
        let whole = match aside(move || copy.become_copy_of(&stored)).await {
            Ok(()) => true,
            Err(error) => {
                warn!(error = with_causes(&error), "local copy of the map is not written");
                false
            }
        };
        Self { local, behind: Facts::new(), whole, due: None }
    }

    /// Takes what the topic has.
    pub(super) async fn take(&mut self, facts: &[Fact]) {
        if !self.whole {
            return;
        }
        if self.behind.len() + facts.len() > COPY_BEHIND_MAX && !self.behind.is_empty() {
            warn!("local copy of the map is left behind until the link begins again");
            self.behind.clear();
            self.whole = false;
            return;
        }
        self.behind.extend_from_slice(facts);
        let due = *self.due.get_or_insert_with(|| Instant::now() + COPY_DURABLE_EVERY);
        self.write(due <= Instant::now()).await;
    }

    /// When [`LocalCopy::settle`] is to be called.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Makes what was taken survive the end of the process.
    pub(super) async fn settle(&mut self) {
        if self.due.is_some() {
            self.write(true).await;
        }
    }

    async fn write(&mut self, durably: bool) {
        let (local, facts) = (self.local.clone(), std::mem::take(&mut self.behind));
        let (facts, outcome) = aside(move || {
            let outcome = local.write(&facts, durably);
            (facts, outcome)
        })
        .await;
        match outcome {
            Ok(()) if durably => self.due = None,
            Ok(()) => {}
            Err(error) => {
                warn!(error = with_causes(&error), "local copy of the map is not written");
                self.behind = facts;
                self.due = Some(Instant::now() + COPY_DURABLE_EVERY);
            }
        }
    }

    /// Everything that the topic had, and a durable note that a topic is being filled with it: one that is filled in part only is
    /// not the truth.
    pub(super) async fn begin_filling(&mut self) -> Result<Facts, LinkError> {
        if !self.whole {
            return Err(self.local.lacking());
        }
        self.write(true).await;
        if !self.behind.is_empty() {
            return Err(self.local.lacking());
        }
        let local = self.local.clone();
        aside(move || {
            local.note_filling(true)?;
            Ok(local.load()?.facts())
        })
        .await
    }

    pub(super) async fn end_filling(&self) -> Result<(), LinkError> {
        let local = self.local.clone();
        aside(move || local.note_filling(false)).await
    }
}

/// Where the map topic is empty and the local copy is not, writes the copy to the topic. Where that, or the same in a running
/// link, had ended before its end, it is done again; what the topic has counts before what the copy has.
pub(crate) async fn fill_from_copy(
    local: &Local,
    topic: &MapTopic,
    stored: &SharedStored,
) -> Result<(), LinkError> {
    if !stored.lock().is_empty() && !local.is_filling()? {
        return Ok(());
    }
    let mut copy = local.load()?;
    for (topic, partition, record) in stored.lock().facts() {
        copy.apply(topic, partition, record);
    }
    let facts = copy.facts();
    if !facts.is_empty() {
        warn!(topic = %topic.name(), records = facts.len(), "map topic lacks what the local copy has: it is written to it");
        local.note_filling(true)?;
        topic.write(facts, wall().as_millis()).await?;
        local.note_filling(false)?;
        *stored.lock() = copy;
    }
    Ok(())
}

/// Runs what waits for the disk on another thread.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("it does not panic, and is not cancelled once it runs")
}
