//! Events and commands as a trace shows them: without their bytes.

use leeward_mirror_core::partition::{Command, Event};

use crate::trace;

/// `None` while nobody asks for a trace, and for an answer without records.
pub(super) fn heard(event: &Event) -> Option<String> {
    if !trace::is_wanted() {
        return None;
    }
    match event {
        Event::Fetched(fetched) if fetched.records.is_empty() => None,
        Event::Fetched(fetched) => Some(format!(
            "Fetched from {} ({} bytes), stable {}",
            fetched.from,
            fetched.records.len(),
            fetched.last_stable
        )),
        other => Some(format!("{other:?}")),
    }
}

pub(super) fn said(command: &Command) -> String {
    match command {
        Command::Produce { batch, records } => format!(
            "Produce {batch:?}: epoch {}, sequence {}, {} records",
            records.producer_epoch(),
            records.base_sequence(),
            records.record_count()
        ),
        other => format!("{other:?}"),
    }
}
