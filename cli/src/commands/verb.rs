//! `leeward failover`, `switchover`, `failback`: three verbs, never aliases of each other.

use leeward_proto::control::{FailoverSummary, LossStatement, PlanReply, VerbReply, VerbRequest};
use serde_json::json;

use crate::{
    args::{FailoverArguments, Output, VerbArguments},
    client,
    exit::Exit,
    settings::Settings,
};

/// `leeward failover`.
///
/// # Errors
///
/// Where the controller does not answer.
pub(crate) async fn failover(arguments: &FailoverArguments, settings: &Settings) -> anyhow::Result<Exit> {
    let loss = match arguments.accept_loss.as_deref().map(Loss::read).transpose() {
        Ok(loss) => loss,
        Err(wrong) => {
            eprintln!("{wrong}");
            return Ok(Exit::Usage);
        }
    };
    let mut controller = client::controller(settings).await?;
    let mut request = request(&arguments.verb);
    let Some(accepted) = loss else {
        let plan = controller.plan(request).await?.into_inner();
        print_plan(&plan);
        eprintln!(
            "refusing without a named loss: repeat with --accept-loss TIME, or --accept-loss unbounded"
        );
        return Ok(if arguments.verb.dry_run { Exit::Done } else { Exit::Usage });
    };
    match accepted {
        Loss::Unbounded => request.accept_unbounded_loss = true,
        Loss::Millis(millis) => request.accept_loss_millis = millis,
    }
    if arguments.verb.dry_run {
        print_plan(&controller.plan(request).await?.into_inner());
        return Ok(Exit::Done);
    }
    Ok(conclude(&controller.failover(request).await?.into_inner(), arguments.verb.output))
}

/// `leeward switchover`.
///
/// # Errors
///
/// Where the controller does not answer.
pub(crate) async fn switchover(arguments: &VerbArguments, settings: &Settings) -> anyhow::Result<Exit> {
    let mut controller = client::controller(settings).await?;
    if arguments.dry_run {
        print_plan(&controller.plan(request(arguments)).await?.into_inner());
        return Ok(Exit::Done);
    }
    Ok(conclude(&controller.switchover(request(arguments)).await?.into_inner(), arguments.output))
}

/// `leeward failback`.
///
/// # Errors
///
/// Where the controller does not answer.
pub(crate) async fn failback(arguments: &VerbArguments, settings: &Settings) -> anyhow::Result<Exit> {
    let mut controller = client::controller(settings).await?;
    if arguments.dry_run {
        print_plan(&controller.plan(request(arguments)).await?.into_inner());
        return Ok(Exit::Done);
    }
    Ok(conclude(&controller.failback(request(arguments)).await?.into_inner(), arguments.output))
}

fn request(arguments: &VerbArguments) -> VerbRequest {
    VerbRequest {
        to: arguments.to.clone(),
        expected_epoch: arguments.expected_epoch,
        idempotency_key: uuid::Uuid::new_v4().to_string(),
        accept_loss_millis: 0,
        accept_unbounded_loss: false,
        reason: arguments.reason.clone(),
    }
}

/// What `--accept-loss` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss {
    Unbounded,
    Millis(u64),
}

impl Loss {
    /// `3s`, `250ms`, `2m` or `unbounded`.
    fn read(text: &str) -> Result<Self, String> {
        let wrong = || format!("--accept-loss `{text}` is no time; write `3s`, `250ms`, `2m` or `unbounded`");
        if text == "unbounded" {
            return Ok(Self::Unbounded);
        }
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let number: f64 = text[..digits].parse().map_err(|_| wrong())?;
        let unit = match &text[digits..] {
            "ms" => 1.0,
            "s" => 1000.0,
            "m" => 60_000.0,
            _ => return Err(wrong()),
        };
        Ok(Self::Millis((number * unit).ceil() as u64))
    }
}

fn conclude(reply: &VerbReply, output: Output) -> Exit {
    match output {
        Output::Json => println!(
            "{}",
            json!({
                "outcome": reply.outcome,
                "epoch": reply.epoch,
                "reason": reply.reason,
                "phases": reply.summary.iter().flat_map(|summary| &summary.phases).map(|phase| json!({
                    "phase": phase.phase,
                    "startedAfterMicros": phase.started_after_micros,
                    "tookMicros": phase.took_micros,
                })).collect::<Vec<_>>(),
            })
        ),
        Output::Table => {
            if let Some(summary) = &reply.summary {
                print_summary(summary);
            }
            let reason = if reply.reason.is_empty() { "" } else { ": " };
            println!("{} at epoch {}{reason}{}", reply.outcome, reply.epoch, reply.reason);
        }
    }
    match reply.outcome.as_str() {
        "finished" => Exit::Done,
        _ if reply.reason.contains("under way") => Exit::Busy,
        _ => Exit::Failed,
    }
}

fn print_summary(summary: &FailoverSummary) {
    for phase in &summary.phases {
        println!("  {:<12} {:>9.3}s", phase.phase, phase.took_micros as f64 / 1e6);
    }
    println!("  fence {}: {}", summary.fence, summary.fence_seen.join("; "));
    if let Some(loss) = &summary.loss {
        println!("  {}", loss_in_words(loss));
    }
}

fn print_plan(plan: &PlanReply) {
    for step in &plan.steps {
        println!("  {step}");
    }
    if let Some(loss) = &plan.loss {
        println!("  {}", loss_in_words(loss));
    }
    for gate in &plan.gates {
        println!("  gate {}: {} {}", gate.gate, if gate.ok { "ok" } else { "closed" }, gate.why);
    }
    println!("  worst-case RTO {:.1}s", plan.worst_case_rto_millis as f64 / 1000.0);
    if !plan.refusal.is_empty() {
        println!("  would be refused: {}", plan.refusal);
    }
}

/// A loss statement in one line: bounds, never one number where there is an interval.
pub(crate) fn loss_in_words(loss: &LossStatement) -> String {
    let what = if loss.exact { "lost" } else { "data at risk" };
    format!("{what}: {}", loss.bounds_in_words())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_without_a_unit_is_no_time() {
        assert!(Loss::read("3").is_err());
    }

    #[test]
    fn a_loss_in_seconds_may_have_decimals() {
        assert_eq!(Loss::read("3.2s"), Ok(Loss::Millis(3200)));
    }
}
