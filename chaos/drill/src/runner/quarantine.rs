//! Looks into the quarantine topics: what the old region had and the survivor did not get must be there, once.

use std::collections::BTreeSet;

use leeward_client::TopicSelection;
use leeward_model::TopicName;
use tokio::time::timeout;

use super::Running;
use crate::{
    ledger::{Found, Ledger, StreamName},
    limits::LOOK_WAIT_MAX,
    load::{LookError, look_quarantined},
    report::QuarantineTally,
};

/// How the topics begin that keep tails.
const QUARANTINE: &str = "_quarantine.";

impl Running {
    /// `None` where no quarantine topic is there, or the acting primary cannot be asked.
    pub(super) async fn quarantine(&self, found: &[Found]) -> Option<QuarantineTally> {
        let looked = timeout(LOOK_WAIT_MAX, self.quarantined()).await;
        let kept = match looked {
            Ok(Ok(kept)) => kept?,
            Ok(Err(error)) => {
                tracing::debug!(%error, "quarantine cannot be read");
                return None;
            }
            Err(_) => return None,
        };
        Some(self.notes.with(|notes| tally(&notes.ledger, found, &kept, self.outage_at)))
    }

    async fn quarantined(&self) -> Result<Option<Vec<Found>>, LookError> {
        let cluster = self.region_client(&self.acting()).await?;
        let prefix = format!("{}{QUARANTINE}", TopicName::OWN_PREFIX);
        let topics = cluster.metadata(TopicSelection::All).await?.topics.into_keys();
        let topics: Vec<_> = topics.filter(|topic| topic.as_str().starts_with(&prefix)).collect();
        if topics.is_empty() {
            return Ok(None);
        }
        Ok(Some(look_quarantined(&cluster, &topics).await?))
    }
}

/// `outage_at`: whatever was acknowledged behind it was acknowledged by the survivor, and may be in the tail as well, as
/// the copy that the old region took and never answered for.
fn tally(ledger: &Ledger, found: &[Found], kept: &[Found], outage_at: Option<u64>) -> QuarantineTally {
    let places = |records: &[Found]| -> BTreeSet<(StreamName, u64)> {
        records.iter().map(|record| (record.stream.clone(), record.number)).collect()
    };
    let (there, aside) = (places(found), places(kept));
    let mut tally = QuarantineTally {
        records: kept.len() as u64,
        doubled: (kept.len() - aside.len()) as u64,
        ..QuarantineTally::default()
    };
    for (stream, sent) in ledger.streams() {
        for (number, sent) in (0..).zip(sent) {
            let Some(acked_at) = sent.acked_at else { continue };
            let by_the_old = outage_at.is_some_and(|outage_at| acked_at < outage_at);
            let record = (stream.clone(), number);
            match (there.contains(&record), aside.contains(&record)) {
                (false, true) => tally.lost_and_kept += 1,
                (false, false) => tally.lost_and_gone += 1,
                (true, true) if by_the_old && stream.route.starts_with("direct") => tally.crossed += 1,
                (true, _) => {}
            }
        }
    }
    tally
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> StreamName {
        StreamName { route: "direct".to_owned(), topic: "orders".to_owned(), partition: 0 }
    }

    fn found(number: u64) -> Found {
        Found { stream: stream(), number, offset: 0 }
    }

    #[test]
    fn each_acknowledged_record_is_in_one_place_or_counted() {
        let mut ledger = Ledger::default();
        for at in 0..5 {
            let number = ledger.sent(&stream(), at);
            ledger.acked(&stream(), number, at);
        }

        let there = [found(0), found(1), found(4)];
        let aside = [found(1), found(2), found(2), found(4)];
        let tally = tally(&ledger, &there, &aside, Some(4));

        let wanted =
            QuarantineTally { records: 4, lost_and_kept: 1, lost_and_gone: 1, crossed: 1, doubled: 1 };
        assert_eq!(tally, wanted);
    }
}
