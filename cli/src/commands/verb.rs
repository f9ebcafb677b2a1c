//! `leeward failover`, `switchover`, `failback`: three verbs, never aliases of each other.

use leeward_proto::control::{FailoverSummary, LossStatement, PlanReply, VerbReply, VerbRequest};
use serde_json::json;

use crate::{
    args::{FailbackArguments, FailoverArguments, Output, SteerArguments, VerbArguments},
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
    let mut request = request_to("failover", &arguments.verb);
    match loss {
        // What would be done once the loss is named.
        Some(Loss::Unbounded) | None => request.accept_unbounded_loss = true,
        Some(Loss::Millis(millis)) => request.accept_loss_millis = millis,
    }
    if arguments.verb.dry_run {
        return plan(request, arguments.verb.steer.output, settings).await;
    }
    if loss.is_none() {
        plan(request, arguments.verb.steer.output, settings).await?;
        eprintln!(
            "refusing without a named loss: repeat with --accept-loss TIME, or --accept-loss unbounded"
        );
        return Ok(Exit::Usage);
    }
    let mut controller = client::controller(settings).await?;
    let reply = client::carried_out(controller.failover(request)).await?;
    Ok(conclude(reply.as_ref(), arguments.verb.steer.output))
}

/// `leeward switchover`.
///
/// # Errors
///
/// Where the controller does not answer.
pub(crate) async fn switchover(arguments: &VerbArguments, settings: &Settings) -> anyhow::Result<Exit> {
    let request = request_to("switchover", arguments);
    if arguments.dry_run {
        return plan(request, arguments.steer.output, settings).await;
    }
    let mut controller = client::controller(settings).await?;
    let reply = client::carried_out(controller.switchover(request)).await?;
    Ok(conclude(reply.as_ref(), arguments.steer.output))
}

/// `leeward failback`.
///
/// # Errors
///
/// Where the controller does not answer.
pub(crate) async fn failback(arguments: &FailbackArguments, settings: &Settings) -> anyhow::Result<Exit> {
    let request =
        VerbRequest { standby_only: arguments.standby_only, ..request_to("failback", &arguments.verb) };
    if arguments.verb.dry_run {
        return plan(request, arguments.verb.steer.output, settings).await;
    }
    let mut controller = client::controller(settings).await?;
    let reply = client::carried_out(controller.failback(request)).await?;
    Ok(conclude(reply.as_ref(), arguments.verb.steer.output))
}

/// `leeward approve`, `retry`, `abort`, `pause` and `resume`.
///
/// # Errors
///
/// Where the controller does not answer.
pub(crate) async fn steer(
    verb: &str,
    arguments: &SteerArguments,
    settings: &Settings,
) -> anyhow::Result<Exit> {
    let request = request(verb, arguments);
    let mut controller = client::controller(settings).await?;
    let reply = client::carried_out(controller.steer(request)).await?;
    Ok(conclude(reply.as_ref(), arguments.output))
}

fn request(verb: &str, arguments: &SteerArguments) -> VerbRequest {
    VerbRequest {
        verb: verb.to_owned(),
        expected_epoch: arguments.expected_epoch,
        idempotency_key: uuid::Uuid::new_v4().to_string(),
        reason: arguments.reason.clone(),
        ..VerbRequest::default()
    }
}

fn request_to(verb: &str, arguments: &VerbArguments) -> VerbRequest {
    VerbRequest { to: arguments.to.clone(), ..request(verb, &arguments.steer) }
}

/// Says what would be done; fails where it would be refused.
async fn plan(request: VerbRequest, output: Output, settings: &Settings) -> anyhow::Result<Exit> {
    let plan = client::answered(client::controller(settings).await?.plan(request)).await?;
    match output {
        Output::Json => println!("{}", plan_as_json(&plan)),
        Output::Table => print_plan(&plan),
    }
    Ok(if plan.refusal.is_empty() { Exit::Done } else { Exit::Failed })
}

fn plan_as_json(plan: &PlanReply) -> serde_json::Value {
    json!({
        "steps": plan.steps,
        "dataAtRiskMillis": plan.loss.as_ref().map(|loss| loss.time_millis_max),
        "gates": plan.gates.iter().map(|gate| json!({"gate": gate.gate, "ok": gate.ok, "why": gate.why}))
            .collect::<Vec<_>>(),
        "worstCaseRtoMillis": plan.worst_case_rto_millis,
        "refusal": plan.refusal,
    })
}

/// What `--accept-loss` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss {
    Unbounded,
    Millis(u64),
}

impl Loss {
    /// `3s`, `250ms`, `2m`, `1h` or `unbounded`.
    fn read(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("--accept-loss `{text}` is no time; write `3s`, `250ms`, `2m`, `1h` or `unbounded`");
        if text == "unbounded" {
            return Ok(Self::Unbounded);
        }
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let number: f64 = text[..digits].parse().map_err(|_| wrong())?;
        let unit = match &text[digits..] {
            "ms" => 1.0,
            "s" => 1000.0,
            "m" => 60_000.0,
            "h" => 3_600_000.0,
            _ => return Err(wrong()),
        };
        let millis = (number * unit).ceil() as u64;
        if millis == 0 {
            return Err("--accept-loss 0: a failover may lose something; `leeward switchover` loses nothing"
                .to_owned());
        }
        Ok(Self::Millis(millis))
    }
}

fn conclude(reply: Option<&VerbReply>, output: Output) -> Exit {
    let Some(reply) = reply else { return Exit::Interrupted };
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
    if !summary.fence.is_empty() {
        println!("  fence {}: {}", summary.fence, summary.fence_seen.join("; "));
    }
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
    fn no_loss_at_all_is_no_failover() {
        assert!(Loss::read("0s").unwrap_err().contains("switchover"));
    }

    #[test]
    fn a_loss_in_seconds_may_have_decimals() {
        assert_eq!(Loss::read("3.2s"), Ok(Loss::Millis(3200)));
    }
}
