//! What goes wrong at every try is said once, and again only while it lasts for long.

use leeward_model::Instant;

use crate::limits::COMPLAINT_EVERY;

/// What was said last of one thing that is tried again and again.
#[derive(Debug, Default)]
pub(crate) struct Complaint {
    said: Option<(String, Instant)>,
}

impl Complaint {
    /// Whether a failure is to be said now: it is another one than before, or was said [`COMPLAINT_EVERY`] ago.
    pub(crate) fn is_due(&mut self, text: &str, now: Instant) -> bool {
        let known = self.said.as_ref();
        if known.is_some_and(|(said, at)| said == text && now.since(*at) < COMPLAINT_EVERY) {
            return false;
        }
        self.said = Some((text.to_owned(), now));
        true
    }

    /// Notes that it went well; whether failures were said before.
    pub(crate) fn ends(&mut self) -> bool {
        self.said.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_failure_that_lasts_is_said_once_and_again_after_a_while() {
        let begun = Instant::from_start(Duration::from_secs(5));
        let almost = COMPLAINT_EVERY.saturating_sub(Duration::from_micros(1));
        let mut complaint = Complaint::default();

        assert!(complaint.is_due("refused", begun));
        assert!(!complaint.is_due("refused", begun.after(almost)));
        assert!(complaint.is_due("refused", begun.after(COMPLAINT_EVERY)));
        assert!(!complaint.is_due("refused", begun.after(COMPLAINT_EVERY + Duration::from_secs(1))));
    }

    #[test]
    fn another_failure_and_one_behind_a_success_are_said_at_once() {
        let now = Instant::ZERO;
        let mut complaint = Complaint::default();

        assert!(!complaint.ends());
        assert!(complaint.is_due("refused", now));
        assert!(complaint.is_due("no certificate", now));
        assert!(complaint.ends());
        assert!(complaint.is_due("no certificate", now));
    }
}
