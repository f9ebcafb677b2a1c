//! `leeward link` and `leeward group`: what a mirror agent knows.

use comfy_table::{Table, presets::NOTHING};
use leeward_proto::link::{LinkReply, LinkRequest, StartRequest, TranslateRequest, translate_reply::Answer};
use serde_json::json;

use crate::{
    args::{GroupCommand, LinkCommand, Output},
    client,
    exit::Exit,
    settings::Settings,
};

/// Carries out `leeward link`.
///
/// # Errors
///
/// Where the agent does not answer or does not run the link.
pub(crate) async fn run(command: &LinkCommand, settings: &Settings) -> anyhow::Result<Exit> {
    match command {
        LinkCommand::Describe { link, agent, output } => {
            let mut mirror = client::mirror(settings, link, agent.as_deref()).await?;
            let reply = mirror.status(LinkRequest { link: link.clone() }).await?.into_inner();
            match output {
                Output::Table => print!("{}", table(&reply)),
                Output::Json => println!("{}", as_json(&reply)),
            }
            Ok(Exit::Done)
        }
        LinkCommand::BeginAnew { link, agent } => begin_anew(link, agent.as_deref(), settings).await,
    }
}

async fn begin_anew(link: &str, agent: Option<&str>, settings: &Settings) -> anyhow::Result<Exit> {
    let mut mirror = client::mirror(settings, link, agent).await?;
    let before = mirror.status(LinkRequest { link: link.to_owned() }).await?.into_inner();
    let request = StartRequest {
        link: link.to_owned(),
        epoch: before.epoch,
        topics_made_anew: true,
        ..StartRequest::default()
    };
    mirror.start(request).await?;
    println!(
        "link {link} begins again under epoch {}: `leeward link describe {link}` shows its partitions",
        before.epoch
    );
    Ok(Exit::Done)
}

/// Carries out `leeward group`.
///
/// # Errors
///
/// Where the agent does not answer or does not run the link.
pub(crate) async fn run_group(command: &GroupCommand, settings: &Settings) -> anyhow::Result<Exit> {
    match command {
        GroupCommand::Translate { link, topic, partition, offset, to_source, agent } => {
            let mut mirror = client::mirror(settings, link, agent.as_deref()).await?;
            let request = TranslateRequest {
                link: link.clone(),
                topic: topic.clone(),
                partition: *partition,
                offset: *offset,
                to_source: *to_source,
            };
            match mirror.translate(request).await?.into_inner().answer {
                Some(Answer::Offset(offset)) => {
                    println!("{offset}");
                    Ok(Exit::Done)
                }
                Some(Answer::NotThereBecause(reason)) => {
                    eprintln!("{topic}-{partition} offset {offset}: {reason}");
                    Ok(Exit::Failed)
                }
                None => anyhow::bail!("agent of link {link} answered nothing"),
            }
        }
        GroupCommand::List { link, agent } => {
            let mut mirror = client::mirror(settings, link, agent.as_deref()).await?;
            let reply = mirror.groups(LinkRequest { link: link.clone() }).await?.into_inner();
            let mut table = Table::new();
            table.load_style(NOTHING).set_header([
                "GROUP",
                "TOPIC",
                "PARTITION",
                "SOURCE",
                "TARGET",
                "STATE",
            ]);
            for position in reply.groups {
                table.add_row([
                    position.group,
                    position.topic,
                    position.partition.to_string(),
                    position.source_offset.to_string(),
                    position.target_offset.to_string(),
                    position.state,
                ]);
            }
            println!("{table}");
            Ok(Exit::Done)
        }
    }
}

fn table(reply: &LinkReply) -> String {
    let rpo = u64::try_from(reply.rpo_millis).map_or_else(|_| "unknown".to_owned(), super::status::seconds);
    let mut text = format!(
        "{}  {} -> {}   {}   epoch {}   RPO {rpo}   lag {} records\n",
        reply.link, reply.source, reply.target, reply.state, reply.epoch, reply.lag_records
    );
    if !reply.groups_by.is_empty() {
        text += &match reply.groups_why.as_str() {
            "" => format!("groups: {}\n", reply.groups_by),
            why => format!("groups: {}, because {why}\n", reply.groups_by),
        };
    }
    if !reply.failure.is_empty() {
        text += &format!("failure: {}\n", reply.failure);
    }
    for drift in &reply.drifts {
        let (source, target) = (drift.source_partitions, drift.target_partitions);
        text += &format!("{}: {source} partitions at the source, {target} at the target\n", drift.topic);
    }
    for refused in &reply.refusals {
        let (topic, change, reason) = (&refused.target_topic, &refused.change, &refused.reason);
        text += &format!("{topic}: the target refuses {change}: {reason}\n");
    }
    let mut partitions = Table::new();
    partitions.load_style(NOTHING).set_header([
        "PARTITION",
        "STATE",
        "FETCHED",
        "SENT",
        "ACKED",
        "CHECKPOINT",
        "SOURCE END",
        "TARGET END",
        "RUNS",
        "WHY",
    ]);
    for partition in &reply.partitions {
        partitions.add_row([
            format!("{}-{}", partition.topic, partition.partition),
            partition.state.clone(),
            partition.fetched_to.to_string(),
            partition.sent_to.to_string(),
            partition.acknowledged_to.to_string(),
            partition.checkpointed_to.to_string(),
            partition.source_end.to_string(),
            partition.target_end.to_string(),
            partition.runs.to_string(),
            partition.stop_reason.clone(),
        ]);
    }
    text += &format!("{partitions}\n");
    if reply.partitions.iter().any(|partition| partition.state == "stopped") {
        text += &format!(
            "A stopped partition waits for a decision. To mirror it from the source's first record on again, delete its \
             topic at the target, then `leeward link begin-anew {}`.\n",
            reply.link
        );
    }
    text
}

fn as_json(reply: &LinkReply) -> serde_json::Value {
    json!({
        "link": reply.link,
        "source": reply.source,
        "target": reply.target,
        "state": reply.state,
        "epoch": reply.epoch,
        "rpoMillis": reply.rpo_millis,
        "lagRecords": reply.lag_records,
        "groupsBy": reply.groups_by,
        "groupsWhy": reply.groups_why,
        "failure": reply.failure,
        "topicsCompared": reply.topics_compared,
        "partitionDrifts": reply.drifts.iter().map(|drift| json!({
            "topic": drift.topic,
            "sourcePartitions": drift.source_partitions,
            "targetPartitions": drift.target_partitions,
        })).collect::<Vec<_>>(),
        "refusals": reply.refusals.iter().map(|refused| json!({
            "targetTopic": refused.target_topic,
            "change": refused.change,
            "reason": refused.reason,
        })).collect::<Vec<_>>(),
        "partitions": reply.partitions.iter().map(|partition| json!({
            "topic": partition.topic,
            "partition": partition.partition,
            "state": partition.state,
            "stopReason": partition.stop_reason,
            "fetchedTo": partition.fetched_to,
            "sentTo": partition.sent_to,
            "acknowledgedTo": partition.acknowledged_to,
            "checkpointedTo": partition.checkpointed_to,
            "sourceEnd": partition.source_end,
            "targetEnd": partition.target_end,
            "runs": partition.runs,
        })).collect::<Vec<_>>(),
    })
}
