//! `leeward check`: whether a policy's clusters can be reached as it says, and whether who we are there may do what each
//! role has to. Changes nothing anywhere.

mod report;
mod rights;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use leeward_client::{Allowed, ClientConfig, Cluster, ClusterError, ConnectError, Sasl, TopicSelection};
use leeward_model::{GroupName, TopicName, with_causes};
use leeward_policies::{Kafka, Region, Topology};

use self::{
    report::{RegionCheck, Report, Right, RoleRights, Step, Verdict},
    rights::{Kind, Need, Resource, Side, needs},
};
use super::serve::{failover, kafka, site::Site};
use crate::{
    args::{CheckArguments, Output, Role, ServeArguments},
    exit::Exit,
    settings::Settings,
    tls,
};

/// How long one cluster may take to be reached, and to answer one question.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(10);

/// Existing topics that are asked about beside the ones that patterns stand for; the others are like them.
const TOPICS_ASKED_MAX: usize = 1000;

/// Stands for the names that a pattern has and nobody uses yet.
const SAMPLE: &str = "leeward-check";

/// The brokers' default that a fence changes.
const DEFAULT_LEVER: &str = "message.max.bytes";

/// Roles that talk to clusters.
const ROLES: [Role; 4] = [Role::Controller, Role::Agent, Role::Mirror, Role::Gateway];

/// Carries out the verb.
///
/// # Errors
///
/// Where the policy cannot be read, or a secret is not there.
pub(crate) async fn run(arguments: &CheckArguments, settings: &Settings) -> anyhow::Result<Exit> {
    let Some(policy) = super::policy::one_topology(&arguments.policy)? else {
        return Ok(Exit::InvalidPolicy);
    };
    let serve = ServeArguments {
        policy: arguments.policy.clone(),
        data: PathBuf::new(),
        roles: arguments.roles.clone(),
        region: arguments.region.clone(),
    };
    let site = Site::new(policy, settings.clone(), tls::transport(settings)?, &serve)?;
    let (mut regions, mut embedded) = (Vec::new(), Vec::new());
    for region in site.topology.data_regions() {
        if matches!(region.kafka, Some(Kafka::Embedded(_))) {
            embedded.push(region.name.to_string());
        } else {
            regions.push(check_region(&site, region).await?);
        }
    }
    tell_same_clusters(&mut regions);
    let report = Report { topology: site.topology.metadata.name.to_string(), regions, embedded };
    match arguments.output {
        Output::Table => print!("{}", report.text()),
        Output::Json => println!("{:#}", serde_json::to_value(&report)?),
    }
    Ok(report.exit())
}

async fn check_region(site: &Site, region: &Region) -> anyhow::Result<RegionCheck> {
    let mut config = kafka::client(site, region, "check").await?;
    config.timeouts.connect = config.timeouts.connect.min(ANSWER_WAIT_MAX);
    config.timeouts.request = config.timeouts.request.min(ANSWER_WAIT_MAX);
    config.timeouts.operation = config.timeouts.operation.min(ANSWER_WAIT_MAX);
    let principal = principal(&config);
    let mut check = RegionCheck {
        region: region.name.to_string(),
        principal: principal.clone(),
        reachable: Step::Good(format!("at {}", config.bootstrap.join(","))),
        tls: if config.security.tls.is_some() { Step::Good(String::new()) } else { Step::Off },
        sasl: config.security.sasl.as_ref().map_or(Step::Off, |sasl| Step::Good(sasl.mechanism().to_owned())),
        cluster_id: Step::NotReached,
        found: None,
        roles: Vec::new(),
    };
    let pinned = config.expected_cluster_id.is_some();
    match Cluster::connect(config).await {
        Err(error) => failed(&mut check, &error),
        Ok(cluster) => {
            let id = cluster.cluster_id();
            check.found = Some(id.clone());
            check.cluster_id = Step::Good(if pinned {
                format!("{id}, pinned")
            } else {
                format!("{id}; pin it with `clusterId`")
            });
            let pairs = ROLES.into_iter().filter(|role| site.roles.contains(role));
            for role in pairs {
                let needed = needed(site, region, role);
                check.roles.push(role_rights(&cluster, &site.topology, role, needed, &principal).await);
            }
        }
    }
    Ok(check)
}

/// Two regions that are one cluster survive nothing, and no link runs between them.
fn tell_same_clusters(regions: &mut [RegionCheck]) {
    for at in 1..regions.len() {
        let (before, from) = regions.split_at_mut(at);
        let region = &mut from[0];
        let Some(id) = &region.found else { continue };
        if let Some(same) = before.iter().find(|other| other.found.as_ref() == Some(id)) {
            let (this, other) = (&region.region, &same.region);
            region.cluster_id =
                Step::Failed(format!("{id} is region {other}'s too: give {this} a cluster of its own"));
        }
    }
}

fn needed(site: &Site, region: &Region, role: Role) -> Vec<Need> {
    let side = match &site.region {
        None => Side::Both,
        Some(own) if *own == region.name => Side::Own,
        Some(_) => Side::Other,
    };
    let seals = failover::seals_writes(&site.topology) && failover::seals_default(&site.topology);
    needs(role, side, &site.topology, seals)
}

/// Who the cluster takes us for.
fn principal(config: &ClientConfig) -> String {
    let user = match &config.security.sasl {
        Some(Sasl::Plain(login) | Sasl::ScramSha256(login) | Sasl::ScramSha512(login)) => &login.username,
        None if config.security.tls.as_ref().is_some_and(|tls| tls.client.is_some()) => {
            return "User:SUBJECT OF THE CERTIFICATE".to_owned();
        }
        None => "ANONYMOUS",
    };
    format!("User:{user}")
}

/// Puts a failure where it belongs: what came before it went well.
fn failed(check: &mut RegionCheck, error: &ClusterError) {
    let why = Step::Failed(with_causes(error));
    let connecting = match error {
        ClusterError::Unreachable { source: Some(source), .. } => Some(&**source),
        ClusterError::Connect { source, .. } => Some(source),
        ClusterError::WrongCluster { .. } => {
            check.cluster_id = why;
            return;
        }
        _ => None,
    };
    let reached = |step: &Step| if *step == Step::Off { Step::Off } else { Step::NotReached };
    match connecting {
        Some(ConnectError::WrongCluster { .. }) => check.cluster_id = why,
        Some(ConnectError::Mechanism { .. } | ConnectError::Login { .. } | ConnectError::Scram { .. }) => {
            check.sasl = why;
        }
        Some(ConnectError::Tls { .. } | ConnectError::TlsConfig(_)) => {
            check.sasl = reached(&check.sasl);
            check.tls = why;
        }
        _ => {
            (check.tls, check.sasl) = (reached(&check.tls), reached(&check.sasl));
            check.reachable = why;
        }
    }
}

async fn role_rights(
    cluster: &Cluster,
    topology: &Topology,
    role: Role,
    needed: Vec<Need>,
    principal: &str,
) -> RoleRights {
    let name = format!("{role:?}").to_lowercase();
    let mut rights = Vec::new();
    for need in needed {
        match ask(cluster, topology, &need, principal).await {
            Ok(found) => rights.extend(found),
            Err(error) => return RoleRights { role: name, rights, failed: Some(with_causes(&error)) },
        }
    }
    RoleRights { role: name, rights, failed: None }
}

async fn ask(
    cluster: &Cluster,
    topology: &Topology,
    need: &Need,
    principal: &str,
) -> Result<Vec<Right>, ClusterError> {
    if need.resource.kind == Kind::Cluster {
        let reads = cluster.may_describe_broker_configs(DEFAULT_LEVER).await?;
        let changes = cluster.may_alter_broker_configs().await?;
        return Ok(right_each(need, principal, |operation| match operation {
            leeward_client::Operation::DescribeConfigs => (verdict(reads), Vec::new()),
            _ => (verdict(changes), Vec::new()),
        }));
    }
    let allowed: BTreeMap<String, Allowed> = match need.resource.kind {
        Kind::Group => {
            let name = sample(&need.resource);
            let allowed = cluster.allowed_with_group(&GroupName::new(&name)).await?;
            BTreeMap::from([(name, allowed)])
        }
        Kind::Topic | Kind::Cluster => {
            let names = topic_names(cluster, topology, &need.resource).await?;
            let allowed = cluster.allowed_with_topics(&names).await?;
            allowed.into_iter().map(|(name, allowed)| (name.to_string(), allowed)).collect()
        }
    };
    Ok(right_each(need, principal, |operation| judge(&allowed, operation)))
}

/// What the answers for several names come to, and the names that lack the right.
fn judge(
    allowed: &BTreeMap<String, Allowed>,
    operation: leeward_client::Operation,
) -> (Verdict, Vec<String>) {
    let names = |is: &dyn Fn(&Allowed) -> bool| -> Vec<String> {
        allowed.iter().filter(|(_, allowed)| is(allowed)).map(|(name, _)| name.clone()).collect()
    };
    let missing = names(&|allowed| allowed.allows(operation) == Some(false));
    if !missing.is_empty() {
        return (Verdict::Missing, missing);
    }
    let hidden = names(&|allowed| *allowed == Allowed::Hidden);
    if !hidden.is_empty() {
        return (Verdict::Hidden, hidden);
    }
    let told = allowed.values().any(|allowed| allowed.allows(operation).is_some());
    (if told { Verdict::Present } else { Verdict::NotTold }, Vec::new())
}

fn verdict(allowed: bool) -> Verdict {
    if allowed { Verdict::Present } else { Verdict::Missing }
}

fn right_each(
    need: &Need,
    principal: &str,
    judge: impl Fn(leeward_client::Operation) -> (Verdict, Vec<String>),
) -> Vec<Right> {
    let right = |operation: &leeward_client::Operation| {
        let (verdict, missing) = judge(*operation);
        Right::new(&need.resource, *operation, need.why, verdict, missing, principal)
    };
    need.operations.iter().map(right).collect()
}

/// A name that the resource has.
fn sample(resource: &Resource) -> String {
    match (resource.prefixed, resource.name.as_str()) {
        (true, prefix) => format!("{prefix}{SAMPLE}"),
        (false, "*") => SAMPLE.to_owned(),
        (false, name) => name.to_owned(),
    }
}

/// Topics to ask about: a sample, and those that exist.
async fn topic_names(
    cluster: &Cluster,
    topology: &Topology,
    resource: &Resource,
) -> Result<Vec<TopicName>, ClusterError> {
    let existing = cluster.metadata(TopicSelection::All).await?;
    let selected = |name: &TopicName| {
        let ours = name.as_str().starts_with(TopicName::OWN_PREFIX);
        let meant =
            if resource.prefixed { name.as_str().starts_with(&resource.name) } else { resource.name == "*" };
        meant && (ours || topology.spec.replication.topics.matches(name))
    };
    let existing = existing.topics.into_values().map(|topic| topic.name).filter(selected);
    let sample = TopicName::new(&sample(resource)).ok();
    Ok(sample.into_iter().chain(existing.take(TOPICS_ASKED_MAX)).collect())
}

#[cfg(test)]
mod tests {
    use leeward_model::ClusterId;

    use super::*;

    fn region() -> RegionCheck {
        RegionCheck {
            region: "a".to_owned(),
            principal: "User:mirror".to_owned(),
            reachable: Step::Good(String::new()),
            tls: Step::Good(String::new()),
            sasl: Step::Good(String::new()),
            cluster_id: Step::NotReached,
            found: Some(ClusterId::new("one".to_owned())),
            roles: Vec::new(),
        }
    }

    #[test]
    fn two_regions_that_are_one_cluster_are_told() {
        let mut regions = [region(), RegionCheck { region: "b".to_owned(), ..region() }];

        tell_same_clusters(&mut regions);

        assert_eq!(regions[0].cluster_id, Step::NotReached);
        let why = "one is region a's too: give b a cluster of its own".to_owned();
        assert_eq!(regions[1].cluster_id, Step::Failed(why));
    }

    #[test]
    fn a_region_that_was_not_reached_has_no_rights_that_are_known() {
        let report = report_of(RegionCheck { found: None, ..region() });

        let text = report.text();

        assert!(text.contains("rights could not be asked for in 1 of 1 regions"), "{text}");
        assert!(!text.contains("no right is missing"), "{text}");
    }

    fn report_of(region: RegionCheck) -> Report {
        Report { topology: "t".to_owned(), regions: vec![region], embedded: Vec::new() }
    }

    #[test]
    fn a_missing_right_comes_with_the_words_that_give_it() {
        let resource = Resource { kind: Kind::Topic, name: "orders.".to_owned(), prefixed: true };
        let operation = leeward_client::Operation::Write;
        let missing = vec!["orders.new".to_owned()];
        let right = Right::new(&resource, operation, "why", Verdict::Missing, missing, "User:mirror");
        let mut region = region();
        region.roles.push(RoleRights { role: "mirror".to_owned(), rights: vec![right], failed: None });
        let report = report_of(region);

        let text = report.text();

        let add = "--add --allow-principal 'User:mirror' --operation Write --topic 'orders.' --resource-pattern-type prefixed";
        assert!(text.contains(add) && text.contains("seen at orders.new"), "{text}");
        assert_eq!(report.exit(), Exit::NotPermitted);
    }

    #[test]
    fn what_is_hidden_is_neither_missing_nor_there() {
        let allowed = BTreeMap::from([
            ("orders.a".to_owned(), Allowed::Hidden),
            ("orders.b".to_owned(), Allowed::Told(1 << 11)),
        ]);

        let (writes, without) = judge(&allowed, leeward_client::Operation::Write);
        let (alters, unseen) = judge(&allowed, leeward_client::Operation::AlterConfigs);

        assert_eq!((writes, without.len()), (Verdict::Missing, 2));
        assert_eq!((alters, unseen), (Verdict::Hidden, vec!["orders.a".to_owned()]));
    }

    #[test]
    fn a_refused_login_is_the_logins_and_not_the_networks() {
        let mut region = region();
        let address = leeward_client::Address::parse("k1:9092").expect("an address");
        let login = ConnectError::Login {
            address,
            username: "mirror".to_owned(),
            code: leeward_wire::ErrorCode::SASL_AUTHENTICATION_FAILED,
            message: None,
        };

        failed(&mut region, &ClusterError::Unreachable { tried: 1, source: Some(Box::new(login)) });

        assert!(matches!(region.sasl, Step::Failed(_)) && matches!(region.reachable, Step::Good(_)));
        assert_eq!(report_of(region).exit(), Exit::NotPermitted);
    }
}
