//! Whether a link's map topic takes what is written to it, for those who look at the link.

use std::sync::Arc;

use leeward_model::TopicName;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::limits::MAP_UNWRITTEN_MAX;

#[derive(Debug, Default)]
struct Writing {
    /// When what is being written was first tried; `None` while nothing is.
    since: Option<Instant>,
    why: Option<String>,
}

/// Shared between whoever writes and whoever shows.
#[derive(Clone, Debug)]
pub(crate) struct SharedWriting {
    topic: TopicName,
    writing: Arc<Mutex<Writing>>,
}

impl SharedWriting {
    pub(crate) fn of(topic: TopicName) -> Self {
        Self { topic, writing: Arc::default() }
    }

    pub(super) fn begin(&self) {
        self.writing.lock().since.get_or_insert_with(Instant::now);
    }

    /// Remembers why it failed, and says whether that is news.
    pub(super) fn fail(&self, why: String) -> bool {
        let why = Some(why);
        let mut writing = self.writing.lock();
        let news = writing.why != why;
        writing.why = why;
        news
    }

    /// Forgets what failed, and says whether anything had.
    pub(super) fn end(&self) -> bool {
        std::mem::take(&mut *self.writing.lock()).why.is_some()
    }

    /// What is wrong, where it has lasted.
    pub(crate) fn failure(&self) -> Option<String> {
        let writing = self.writing.lock();
        writing.since.filter(|since| since.elapsed() > MAP_UNWRITTEN_MAX)?;
        let why = writing.why.as_deref().unwrap_or("its broker does not answer");
        Some(format!("map topic {} is not written: {why}", self.topic))
    }
}
