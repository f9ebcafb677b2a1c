//! What a check found, for people and for machines.

use std::fmt::Write;

use leeward_client::Operation;
use leeward_model::ClusterId;
use serde::Serialize;

use super::rights::Resource;
use crate::exit::Exit;

/// A step on the way to a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", content = "why", rename_all = "kebab-case")]
pub(super) enum Step {
    Good(String),
    /// Not asked for by the policy.
    Off,
    Failed(String),
    /// An earlier step failed.
    NotReached,
}

/// Whether a right is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Verdict {
    Present,
    Missing,
    /// Cannot be seen before another right is there that brings `Describe`.
    Hidden,
    /// The cluster does not tell: nothing there allows or forbids.
    NotTold,
}

impl Verdict {
    /// Whether something has to be added, as far as is seen.
    fn is_wanting(self) -> bool {
        matches!(self, Self::Missing | Self::Hidden)
    }
}

/// One right that a role needs.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Right {
    pub(super) resource: String,
    pub(super) operation: &'static str,
    pub(super) verdict: Verdict,
    pub(super) why: &'static str,
    /// Names that it was missing or hidden for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) missing_for: Vec<String>,
    /// The words that give it to whoever we are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) add: Option<String>,
}

/// Names that one line shows; the rest is counted.
const NAMES_SHOWN_MAX: usize = 3;

impl Right {
    pub(super) fn new(
        resource: &Resource,
        operation: Operation,
        why: &'static str,
        verdict: Verdict,
        missing_for: Vec<String>,
        principal: &str,
    ) -> Self {
        let add = verdict.is_wanting().then(|| {
            format!(
                "--add --allow-principal '{principal}' --operation {} {}",
                operation.name(),
                resource.words()
            )
        });
        Self { resource: resource.told(), operation: operation.name(), verdict, why, missing_for, add }
    }
}

/// A role at one region.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RoleRights {
    pub(super) role: String,
    pub(super) rights: Vec<Right>,
    /// Why its rights could not be asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) failed: Option<String>,
}

/// One region's cluster.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RegionCheck {
    pub(super) region: String,
    pub(super) principal: String,
    pub(super) reachable: Step,
    pub(super) tls: Step,
    pub(super) sasl: Step,
    pub(super) cluster_id: Step,
    /// The cluster that answered.
    #[serde(skip)]
    pub(super) found: Option<ClusterId>,
    pub(super) roles: Vec<RoleRights>,
}

/// All regions.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    pub(super) topology: String,
    pub(super) regions: Vec<RegionCheck>,
    /// Regions that Leeward runs itself: nothing has to be there.
    pub(super) embedded: Vec<String>,
}

impl Report {
    /// Not permitted where something is refused, failed where something does not work at all.
    pub(super) fn exit(&self) -> Exit {
        let failed = |step: &Step| matches!(step, Step::Failed(_));
        let broken = |region: &RegionCheck| {
            [&region.reachable, &region.tls, &region.cluster_id].into_iter().any(failed)
                || region.roles.iter().any(|role| role.failed.is_some())
        };
        let refused = |region: &RegionCheck| {
            let mut rights = region.roles.iter().flat_map(|role| &role.rights);
            failed(&region.sasl) || rights.any(|right| right.verdict.is_wanting())
        };
        if self.regions.iter().any(broken) {
            Exit::Failed
        } else if self.regions.iter().any(refused) {
            Exit::NotPermitted
        } else {
            Exit::Done
        }
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |words: String| writeln!(text, "{words}").expect("a text can be written to");
        for region in &self.regions {
            line(format!("{}  region {} as {}", self.topology, region.region, region.principal));
            let steps = [
                ("reachable", &region.reachable),
                ("TLS", &region.tls),
                ("SASL", &region.sasl),
                ("cluster id", &region.cluster_id),
            ];
            for (what, step) in steps {
                match step {
                    Step::Good(how) => line(format!("  ok       {what} {how}").trim_end().to_owned()),
                    Step::Off => line(format!("  -        {what} not asked for")),
                    Step::Failed(why) => line(format!("  FAILED   {what}: {why}")),
                    Step::NotReached => line(format!("  -        {what} not reached")),
                }
            }
            for role in &region.roles {
                role_lines(role, &mut line);
            }
        }
        for region in &self.embedded {
            line(format!("{}  region {region} is embedded: nothing is asked there", self.topology));
        }
        let unasked = self.regions.iter().filter(|region| region.found.is_none()).count();
        if unasked > 0 {
            line(format!("rights could not be asked for in {unasked} of {} regions", self.regions.len()));
        }
        line(match self.count(Verdict::Missing) {
            0 if unasked > 0 => "no right is known to be missing".to_owned(),
            0 => "no right is missing".to_owned(),
            1 => "1 right is missing".to_owned(),
            missing => format!("{missing} rights are missing"),
        });
        match self.count(Verdict::Hidden) {
            0 => {}
            hidden => line(format!("{hidden} more cannot be seen before those are there")),
        }
        text
    }

    fn count(&self, verdict: Verdict) -> usize {
        let roles = self.regions.iter().flat_map(|region| &region.roles);
        roles.flat_map(|role| &role.rights).filter(|right| right.verdict == verdict).count()
    }
}

fn role_lines(role: &RoleRights, line: &mut impl FnMut(String)) {
    line(format!("  {}", role.role));
    if let Some(why) = &role.failed {
        line(format!("    FAILED   rights cannot be asked for: {why}"));
    }
    for right in &role.rights {
        let what = format!("{} {}: {}", right.operation, right.resource, right.why);
        match right.verdict {
            Verdict::Present => line(format!("    ok       {what}")),
            Verdict::NotTold => line(format!("    not told {what}")),
            Verdict::Missing | Verdict::Hidden => {
                let word = if right.verdict == Verdict::Missing { "MISSING " } else { "hidden  " };
                line(format!("    {word} {what}"));
                if right.missing_for.iter().any(|name| !right.resource.ends_with(name.as_str())) {
                    let shown: Vec<_> = right.missing_for.iter().take(NAMES_SHOWN_MAX).cloned().collect();
                    let more = right.missing_for.len() - shown.len();
                    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
                    line(format!("             seen at {}{more}", shown.join(", ")));
                }
                if let Some(add) = &right.add {
                    line(format!("             kafka-acls --bootstrap-server ... {add}"));
                }
            }
        }
    }
}
