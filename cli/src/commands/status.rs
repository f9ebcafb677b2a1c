//! `leeward status`: one look, or one for each change.

use comfy_table::{Table, presets::NOTHING};
use leeward_proto::control::{StatusReply, StatusRequest, WatchRequest};
use serde_json::json;

use crate::{
    args::{Output, StatusArguments},
    client,
    exit::Exit,
    out,
    settings::Settings,
    terminal::{self, Block},
};

/// Carries out the verb.
///
/// # Errors
///
/// Where the controller does not answer.
pub(crate) async fn run(arguments: &StatusArguments, settings: &Settings) -> anyhow::Result<Exit> {
    let mut controller = client::controller(settings).await?;
    if !arguments.watch {
        print(&client::answered(controller.status(StatusRequest {})).await?, arguments.output);
        return Ok(Exit::Done);
    }
    let mut changes = controller.watch(WatchRequest {}).await?.into_inner();
    let in_place = arguments.output == Output::Table && terminal::is_live();
    let mut block = Block::default();
    while let Some(status) = changes.message().await? {
        if in_place {
            let lines: Vec<_> = table(&status).lines().map(|line| line.trim_end().to_owned()).collect();
            block.draw(&mut std::io::stdout(), terminal::size(), &lines)?;
        } else {
            print(&status, arguments.output);
        }
        if out::is_closed() {
            break;
        }
    }
    Ok(Exit::Done)
}

fn print(status: &StatusReply, output: Output) {
    match output {
        Output::Table => print!("{}", table(status)),
        Output::Json => println!("{}", as_json(status)),
    }
}

/// A table for people.
pub(crate) fn table(status: &StatusReply) -> String {
    let mut text = format!(
        "{}  declared {}, acting {}   epoch {}   phase {}   automation {}   worst-case RTO {}\n",
        status.topology,
        status.declared_primary,
        status.acting_primary,
        status.epoch,
        status.phase,
        status.automation,
        seconds(status.worst_case_rto_millis),
    );
    if !status.held_reason.is_empty() {
        text += &format!("held: {}\n", status.held_reason);
        text += "      `leeward retry` tries the step again, `leeward abort` gives up, `leeward approve` where a person's leave is missing\n";
    }
    let mut regions = rows(["REGION", "ROLE", "STATE", "WRITES", "LEASE", "CLUSTER"]);
    for region in &status.regions {
        regions.add_row([
            region.name.clone(),
            region.acting_role.clone(),
            region.health.clone(),
            if region.writable { "yes" } else { "no" }.to_owned(),
            if region.lease_remaining_millis == 0 {
                "-".to_owned()
            } else {
                seconds(region.lease_remaining_millis)
            },
            region.cluster_id.clone(),
        ]);
    }
    let mut links = rows(["LINK", "STATE", "RPO", "LAG RECORDS", "ACTIVE", "STOPPED"]);
    for link in &status.links {
        links.add_row([
            link.name.clone(),
            link.state.clone(),
            u64::try_from(link.rpo_millis).map_or_else(|_| "unknown".to_owned(), seconds),
            link.lag_records.to_string(),
            link.partitions_active.to_string(),
            link.partitions_failed.to_string(),
        ]);
    }
    text += &format!("{regions}\n{links}\n");
    if !status.gateways.is_empty() {
        let mut gateways = rows(["GATEWAY", "ADDRESS", "FORWARDS TO", "EPOCH", "BUFFERED"]);
        for gateway in &status.gateways {
            gateways.add_row([
                gateway.name.clone(),
                gateway.address.clone(),
                if gateway.forwarding_to.is_empty() { "nobody" } else { &gateway.forwarding_to }.to_owned(),
                gateway.epoch.to_string(),
                format!(
                    "{} records, {} of {} B",
                    gateway.buffered_records, gateway.buffered_bytes, gateway.capacity_bytes
                ),
            ]);
        }
        text += &format!("{gateways}\n");
        for gateway in &status.gateways {
            let said = gateway.held.iter().map(|held| format!("gateway {}: held: {held}\n", gateway.name));
            text.extend(said);
            let unsaid = gateway.held_partitions.saturating_sub(gateway.held.len() as u64);
            if unsaid > 0 {
                text += &format!("gateway {}: held: {unsaid} more partitions\n", gateway.name);
            }
        }
    }
    for gate in &status.gates {
        let mark = if gate.ok { "ok" } else { "closed" };
        text += &format!("gate {}: {mark} {}\n", gate.gate, gate.why);
    }
    for name in &status.dns {
        text += &format!("dns {name}\n");
    }
    text
}

fn rows<const N: usize>(head: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(head);
    table
}

/// Milliseconds as seconds.
pub(crate) fn seconds(millis: u64) -> String {
    format!("{:.1}s", millis as f64 / 1000.0)
}

fn as_json(status: &StatusReply) -> serde_json::Value {
    json!({
        "topology": status.topology,
        "declaredPrimary": status.declared_primary,
        "actingPrimary": status.acting_primary,
        "epoch": status.epoch,
        "phase": status.phase,
        "heldReason": status.held_reason,
        "automation": status.automation,
        "worstCaseRtoMillis": status.worst_case_rto_millis,
        "regions": status.regions.iter().map(|region| json!({
            "name": region.name,
            "declaredRole": region.declared_role,
            "actingRole": region.acting_role,
            "health": region.health,
            "writable": region.writable,
            "clusterId": region.cluster_id,
            "leaseRemainingMillis": region.lease_remaining_millis,
            "verdicts": region.verdicts.iter().map(|verdict| json!({
                "observer": verdict.observer,
                "level": verdict.level,
                "verdict": verdict.verdict,
                "cause": verdict.cause,
            })).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "links": status.links.iter().map(|link| json!({
            "name": link.name,
            "source": link.source,
            "target": link.target,
            "state": link.state,
            "rpoMillis": link.rpo_millis,
            "lagRecords": link.lag_records,
            "partitionsActive": link.partitions_active,
            "partitionsFailed": link.partitions_failed,
        })).collect::<Vec<_>>(),
        "gateways": status.gateways.iter().map(|gateway| json!({
            "name": gateway.name,
            "address": gateway.address,
            "epoch": gateway.epoch,
            "forwardingTo": gateway.forwarding_to,
            "bufferedBytes": gateway.buffered_bytes,
            "capacityBytes": gateway.capacity_bytes,
            "bufferedRecords": gateway.buffered_records,
            "heldPartitions": gateway.held_partitions,
            "held": gateway.held,
        })).collect::<Vec<_>>(),
        "gates": status.gates.iter().map(|gate| json!({"gate": gate.gate, "ok": gate.ok, "why": gate.why}))
            .collect::<Vec<_>>(),
        "dns": status.dns,
    })
}
