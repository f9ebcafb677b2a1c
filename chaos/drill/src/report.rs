//! A drill's result: what was expected, what was measured, what it rests on. Written as `report.json`,
//! `report.html` and `junit.xml`.

mod charts;
mod html;
mod junit;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::checker::{GroupTally, Judgement};
use leeward_faults::Evidence;

/// Name and version of `report.json`'s shape.
pub const REPORT_SCHEMA: &str = "leeward/report/v1";

/// How a drill ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Every expectation was met, and every fault bit.
    Pass,
    /// A budget was broken.
    Fail,
    /// Something needed for a judgement is missing: a fault bit nothing, or the drill did not run to its end.
    Inconclusive,
}

/// One line of the drill's `expect`, measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expectation {
    pub name: String,
    pub budget: String,
    pub measured: String,
    pub verdict: Verdict,
}

/// One bar of the waterfall. Times are microseconds since the drill began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phase {
    pub name: String,
    pub from: u64,
    pub to: u64,
}

/// What one kind of client went through.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClientView {
    /// `gateway`, `direct`, `java direct`...
    pub name: String,
    pub acked: u64,
    pub failed: u64,
    /// Longest time without an acknowledgement.
    pub silence_max_micros: u64,
    pub latency_p50_micros: u64,
    pub latency_p99_micros: u64,
    pub latency_max_micros: u64,
    /// Acknowledgements in each tenth of a second since the drill began.
    pub acks_by_tenth: Vec<u32>,
    /// What else there is to say of it.
    pub note: String,
}

/// A point of a curve: microseconds since the drill began, and a value.
pub type Point = (u64, f64);

/// Something that happened, from whoever saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happening {
    /// Microseconds since the drill began.
    pub at: u64,
    pub source: String,
    pub code: String,
    pub text: String,
}

/// Bounds that the controller stated on a loss.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatedLoss {
    pub records_min: u64,
    /// `None`: no upper bound while the old region is dark.
    pub records_max: Option<u64>,
    pub exact: bool,
}

/// The old region's tail as the quarantine topic keeps it, beside what was acknowledged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantineTally {
    /// Records of the load in it.
    pub records: u64,
    /// Acknowledged records that are lost to the survivor's topics, and kept here.
    pub lost_and_kept: u64,
    /// Acknowledged records that are in neither place.
    pub lost_and_gone: u64,
    /// Acknowledged by the old region past the gateway, stated as not crossed, and in the survivor's topics all the same.
    pub crossed: u64,
    /// Copies beyond the first.
    pub doubled: u64,
}

/// A drill's result, whole.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    pub schema: String,
    pub drill: String,
    pub topology: String,
    pub verdict: Verdict,
    /// Why the verdict is not `pass`, in a sentence each.
    pub reasons: Vec<String>,
    pub seed: u64,
    /// RFC 3339, UTC.
    pub started_at: String,
    pub took_micros: u64,
    pub expectations: Vec<Expectation>,
    pub rto_micros: Option<u64>,
    pub rto_budget_micros: Option<u64>,
    pub rpo_max_millis: Option<u64>,
    pub rpo_budget_millis: Option<u64>,
    /// When the first fault was injected, and when the last one was taken back.
    pub fault_window: Option<(u64, u64)>,
    pub phases: Vec<Phase>,
    pub clients: Vec<ClientView>,
    /// RPO exposure in milliseconds.
    pub rpo_curve: Vec<Point>,
    /// Bytes in the buffer.
    pub buffer_curve: Vec<Point>,
    pub judgement: Judgement,
    pub groups: Vec<GroupTally>,
    /// What the controller said was lost, in its own words.
    pub loss_statement: Vec<String>,
    /// The same in numbers: each statement about an emergency failover, in its order.
    #[serde(default)]
    pub losses: Vec<StatedLoss>,
    /// What the survivor keeps of the old region's tail; `None` where there is none to look at.
    #[serde(default)]
    pub quarantine: Option<QuarantineTally>,
    pub faults: Vec<Evidence>,
    pub happenings: Vec<Happening>,
    /// Sum behind the worst-case RTO.
    pub rto_arithmetic: Vec<(String, u64)>,
    pub environment: Vec<(String, String)>,
}

/// Why a report was not written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error("report cannot be written to {path}")]
    Write { path: PathBuf, source: io::Error },
    #[error("report cannot be read from {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} is no report of ours")]
    Parse { path: PathBuf, source: serde_json::Error },
    #[error("report cannot be put into words")]
    Serialize { source: serde_json::Error },
}

impl Report {
    /// Writes `report.json`, `report.html` and `junit.xml` into `folder`, which is made where missing.
    ///
    /// # Errors
    ///
    /// [`ReportError::Write`], [`ReportError::Serialize`].
    pub fn write(&self, folder: &Path) -> Result<(), ReportError> {
        let json = serde_json::to_vec_pretty(self).map_err(|source| ReportError::Serialize { source })?;
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| ReportError::Write { path, source }
        };
        fs::create_dir_all(folder).map_err(failed(folder))?;
        for (name, content) in [
            ("report.json", json),
            ("report.html", html::render(self).into_bytes()),
            ("junit.xml", junit::render(self).into_bytes()),
        ] {
            let path = folder.join(name);
            fs::write(&path, content).map_err(failed(&path))?;
        }
        Ok(())
    }

    /// Reads a `report.json` back.
    ///
    /// # Errors
    ///
    /// [`ReportError::Read`], [`ReportError::Parse`].
    pub fn read(path: &Path) -> Result<Self, ReportError> {
        let text = fs::read(path).map_err(|source| ReportError::Read { path: path.to_owned(), source })?;
        serde_json::from_slice(&text).map_err(|source| ReportError::Parse { path: path.to_owned(), source })
    }

    /// Derives the verdict from the expectations and the faults' evidence.
    pub fn conclude(&mut self) {
        for fault in self.faults.iter().filter(|fault| !fault.bit) {
            self.reasons.push(format!("fault `{}` on {} bit nothing", fault.fault, fault.target));
        }
        if self.judgement.unexplained > 0 {
            let count = self.judgement.unexplained;
            self.reasons.push(format!("{count} records in the logs were never sent"));
        }
        let says_nothing = !self.reasons.is_empty();
        let unmeasured =
            self.expectations.iter().filter(|expectation| expectation.verdict == Verdict::Inconclusive);
        self.reasons.extend(unmeasured.map(|expectation| {
            format!("{} could not be measured: {}", expectation.name, expectation.measured)
        }));
        let broken: Vec<_> = self
            .expectations
            .iter()
            .filter(|expectation| expectation.verdict == Verdict::Fail)
            .map(|expectation| {
                format!("{}: {}, budget {}", expectation.name, expectation.measured, expectation.budget)
            })
            .collect();
        // What is broken is so, whatever else could not be measured.
        self.verdict = match (says_nothing, broken.is_empty()) {
            (false, false) => Verdict::Fail,
            (false, true) if self.reasons.is_empty() => Verdict::Pass,
            (true, _) | (false, true) => Verdict::Inconclusive,
        };
        self.reasons.extend(broken);
    }
}
