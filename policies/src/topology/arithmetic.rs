//! The worst case of a failover by arithmetic.
//!
//! `detect.every x (1 + failAfter x rounds of a probe) + detect.every x rounds of the agents + fencing.lease + drain + promote +
//! max over records (dns.ttl + confirm.timeout)`
//!
//! A region that is lost may answer no packet at all, so each probe is counted with all the time that it may hang. Steps are
//! counted as done at the first try, and the survivor's agent as heard. The time that a person takes to approve or to
//! start a failover is not in it.

use std::{fmt, time::Duration};

use super::{Automation, DnsRecord, Failover};
use crate::{
    limits::{AGENT_ROUNDS_MAX, DRAIN_MAX, PROMOTE_MAX},
    read::duration_text,
};

/// One bounded step of a failover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RtoTerm {
    /// What happens meanwhile.
    pub name: &'static str,
    pub duration: Duration,
    /// Where the number is from, where it is not a single field: `2s x 3`.
    pub from: Option<String>,
    /// The field to change, below `spec/`; `None` where it is fixed.
    pub path: Option<String>,
}

/// The worst case from the last good acknowledgement to the first new one, term by term.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RtoArithmetic {
    pub terms: Vec<RtoTerm>,
    pub total: Duration,
    /// A wait that no arithmetic bounds: a person's.
    pub unbounded: Option<&'static str>,
}

impl RtoArithmetic {
    /// The sum for a failover section.
    pub fn of(failover: &Failover) -> Self {
        let detect = &failover.detect;
        let mut terms = vec![
            RtoTerm {
                name: "detect",
                duration: detect.loss_seen_within(),
                from: Some(format!("{} x {}", duration_text(detect.every), detect.rounds_until_seen())),
                path: Some("failover/detect/every".to_owned()),
            },
            RtoTerm {
                name: "agents",
                duration: detect.every.saturating_mul(AGENT_ROUNDS_MAX),
                from: Some(format!("{} x {AGENT_ROUNDS_MAX}", duration_text(detect.every))),
                path: None,
            },
            term("fence lease", failover.fencing.lease, Some("failover/fencing/lease".to_owned())),
            term("drain", DRAIN_MAX, None),
            term("promote", PROMOTE_MAX, None),
        ];
        let slowest = failover.dns.iter().enumerate().max_by_key(|(_, record)| moved_after(record));
        if let Some((index, record)) = slowest {
            terms.push(term("dns ttl", record.ttl, Some(format!("failover/dns/{index}/ttl"))));
            let path = format!("failover/dns/{index}/confirm/timeout");
            terms.push(term("confirm", record.confirm.timeout, Some(path)));
        }
        let total = terms.iter().fold(Duration::ZERO, |sum, term| sum.saturating_add(term.duration));
        let unbounded = match failover.automation {
            Automation::Auto => None,
            Automation::Approve => Some("the approval"),
            Automation::Manual | Automation::Observe => Some("the person who starts it"),
        };
        Self { terms, total, unbounded }
    }

    /// The longest term that a field sets.
    pub fn largest_adjustable(&self) -> Option<&RtoTerm> {
        self.terms.iter().filter(|term| term.path.is_some()).max_by_key(|term| term.duration)
    }
}

fn term(name: &'static str, duration: Duration, path: Option<String>) -> RtoTerm {
    RtoTerm { name, duration, from: None, path }
}

fn moved_after(record: &DnsRecord) -> Duration {
    record.ttl.saturating_add(record.confirm.timeout)
}

impl fmt::Display for RtoArithmetic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, term) in self.terms.iter().enumerate() {
            let plus = if index == 0 { "" } else { " + " };
            write!(f, "{plus}{} {}", term.name, duration_text(term.duration))?;
            if let Some(from) = &term.from {
                write!(f, " ({from})")?;
            }
        }
        write!(f, " = {}", duration_text(self.total))?;
        match self.unbounded {
            Some(person) => write!(f, ", and {person}"),
            None => Ok(()),
        }
    }
}
