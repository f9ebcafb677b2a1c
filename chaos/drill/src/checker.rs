//! Compares the ledger with what the logs hold: lost, duplicated, out of order. It knows nothing of mirrors, gateways
//! or failovers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ledger::{Found, Ledger, StreamName};

/// How many lost records a report lists one by one.
const LOST_LISTED_MAX: usize = 20;

/// What became of one stream, or of many added together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    pub sent: u64,
    pub acked: u64,
    /// Different records of this stream that stand in the log.
    pub found: u64,
    /// Acknowledged and nowhere.
    pub lost: u64,
    /// Copies beyond the first.
    pub duplicated: u64,
    /// First copies that stand behind a record that was sent later.
    pub reordered: u64,
    /// Found though never acknowledged: allowed, the sender was never told.
    pub unacked_found: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.acked += other.acked;
        self.found += other.found;
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
        self.unacked_found += other.unacked_found;
    }
}

/// One lost record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostRecord {
    pub stream: StreamName,
    pub number: u64,
    /// Microseconds since the drill began.
    pub acked_at: u64,
}

/// The checker's result.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Judgement {
    pub by_route: BTreeMap<String, Tally>,
    pub by_stream: Vec<(StreamName, Tally)>,
    /// The first of the lost, by stream.
    pub lost: Vec<LostRecord>,
    /// Records that claim a stream or a number that was never sent: the checker or the log is wrong.
    pub unexplained: u64,
}

/// Judges what `found` holds, which lists each partition in the order of its log.
pub fn judge(ledger: &Ledger, found: &[Found]) -> Judgement {
    let mut copies: BTreeMap<&StreamName, Vec<u64>> = BTreeMap::new();
    for record in found {
        copies.entry(&record.stream).or_default().push(record.number);
    }
    let mut judgement = Judgement::default();
    for (stream, sent) in ledger.streams() {
        let numbers = copies.remove(stream).unwrap_or_default();
        let mut seen = vec![false; sent.len()];
        let mut tally = Tally { sent: sent.len() as u64, ..Tally::default() };
        let mut highest = None;
        for number in numbers {
            let Some(seen) = seen.get_mut(number as usize) else {
                judgement.unexplained += 1;
                continue;
            };
            if std::mem::replace(seen, true) {
                tally.duplicated += 1;
                continue;
            }
            tally.found += 1;
            tally.reordered += u64::from(highest.is_some_and(|highest| number < highest));
            highest = highest.max(Some(number));
        }
        for (number, (sent, seen)) in sent.iter().zip(&seen).enumerate() {
            match (sent.acked_at, seen) {
                (Some(_), true) => tally.acked += 1,
                (Some(acked_at), false) => {
                    tally.acked += 1;
                    tally.lost += 1;
                    if judgement.lost.len() < LOST_LISTED_MAX {
                        let number = number as u64;
                        judgement.lost.push(LostRecord { stream: stream.clone(), number, acked_at });
                    }
                }
                (None, true) => tally.unacked_found += 1,
                (None, false) => {}
            }
        }
        judgement.by_route.entry(stream.route.clone()).or_default().add(&tally);
        judgement.by_stream.push((stream.clone(), tally));
    }
    judgement.unexplained += copies.values().map(|numbers| numbers.len() as u64).sum::<u64>();
    judgement
}

/// What a consumer group saw of one stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupTally {
    pub group: String,
    pub read: u64,
    /// Read again after it had been read before: what a restart from an older position costs.
    pub re_read: u64,
    /// Stands in the log before the group's last position and was never read.
    pub skipped: u64,
}

/// Judges what a group read, in the order in which it read, against what stands in the log.
pub fn judge_group(group: &str, read: &[Found], in_log: &[Found]) -> GroupTally {
    let mut seen: BTreeMap<(&StreamName, u64), u64> = BTreeMap::new();
    let mut last_offset: BTreeMap<(&str, i32), i64> = BTreeMap::new();
    for record in read {
        *seen.entry((&record.stream, record.number)).or_default() += 1;
        let place = (record.stream.topic.as_str(), record.stream.partition);
        last_offset.entry(place).and_modify(|last| *last = record.offset.max(*last)).or_insert(record.offset);
    }
    let skipped = in_log
        .iter()
        .filter(|record| {
            let place = (record.stream.topic.as_str(), record.stream.partition);
            last_offset.get(&place).is_some_and(|last| record.offset <= *last)
                && !seen.contains_key(&(&record.stream, record.number))
        })
        .count() as u64;
    GroupTally {
        group: group.to_owned(),
        read: read.len() as u64,
        re_read: seen.values().map(|times| times - 1).sum(),
        skipped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> StreamName {
        StreamName { route: "gateway".to_owned(), topic: "orders".to_owned(), partition: 0 }
    }

    fn ledger_of(acked: &[bool]) -> Ledger {
        let mut ledger = Ledger::default();
        for (at, acked) in (0..).zip(acked) {
            let number = ledger.sent(&stream(), at);
            if *acked {
                ledger.acked(&stream(), number, at + 1);
            }
        }
        ledger
    }

    fn found(numbers: &[u64]) -> Vec<Found> {
        (0..)
            .zip(numbers)
            .map(|(offset, number)| Found { stream: stream(), number: *number, offset })
            .collect()
    }

    #[test]
    fn an_acknowledged_record_that_is_nowhere_is_lost() {
        let judgement = judge(&ledger_of(&[true, true, true]), &found(&[0, 2]));

        assert_eq!(judgement.by_route["gateway"].lost, 1);
        assert_eq!(judgement.lost[0].number, 1);
    }

    #[test]
    fn a_record_that_was_never_acknowledged_cannot_be_lost() {
        let judgement = judge(&ledger_of(&[true, false]), &found(&[0]));

        assert_eq!(judgement.by_route["gateway"].lost, 0);
    }

    #[test]
    fn a_second_copy_is_a_duplicate_and_not_out_of_order() {
        let judgement = judge(&ledger_of(&[true, true]), &found(&[0, 1, 0]));

        let tally = &judgement.by_route["gateway"];
        assert_eq!((tally.duplicated, tally.reordered), (1, 0));
    }

    #[test]
    fn a_first_copy_behind_a_later_record_is_out_of_order() {
        let judgement = judge(&ledger_of(&[true, true, true]), &found(&[0, 2, 1]));

        assert_eq!(judgement.by_route["gateway"].reordered, 1);
    }

    #[test]
    fn a_record_that_nobody_sent_is_unexplained() {
        let judgement = judge(&ledger_of(&[true]), &found(&[0, 7]));

        assert_eq!(judgement.unexplained, 1);
    }

    #[test]
    fn a_group_that_jumps_over_a_record_skips_it() {
        let log = found(&[0, 1, 2]);
        let read = [log[0].clone(), log[2].clone()];

        let tally = judge_group("billing", &read, &log);

        assert_eq!((tally.skipped, tally.re_read), (1, 0));
    }
}
