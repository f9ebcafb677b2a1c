//! `DescribeConfigs`, `AlterConfigs` and `IncrementalAlterConfigs`.

use std::sync::Arc;

use leeward_wire::ErrorCode;
use leeward_wire::api::{
    AlterConfigsRequest, AlterConfigsResponse, AlterConfigsResponseResource, DescribeConfigsRequest,
    DescribeConfigsRequestResource, DescribeConfigsResponse, DescribeConfigsResponseEntry,
    DescribeConfigsResponseResult, DescribeConfigsResponseSynonym, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse, IncrementalAlterConfigsResponseResource,
};

use super::{blocking, outcome};
use crate::catalogue::Contents;
use crate::cluster::{Cluster, check_topic_setting, unknown_topic};
use crate::settings::{BrokerSettings, Key, Overrides, Source, TOPIC_KEYS, broker_key, list, topic_key};
use crate::validate::Refused;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

/// Whose settings.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Resource {
    Topic(String),
    /// This broker's own.
    Broker,
    /// All brokers' defaults.
    Cluster,
}

fn resource(cluster: &Cluster, kind: i8, name: &str) -> Result<Resource, Refused> {
    match kind {
        TOPIC if cluster.topic(name).is_some() => Ok(Resource::Topic(name.to_owned())),
        TOPIC => Err(unknown_topic(name)),
        BROKER if name.is_empty() => Ok(Resource::Cluster),
        BROKER if name.parse() == Ok(cluster.config.node_id) => Ok(Resource::Broker),
        BROKER => Err(Refused::new(
            ErrorCode::INVALID_REQUEST,
            format!(
                "Unexpected broker id, expected {} or empty string, but received {name}",
                cluster.config.node_id
            ),
        )),
        other => {
            let message = format!("this cluster has no settings of resource type {other}");
            Err(Refused::new(ErrorCode::INVALID_REQUEST, message))
        }
    }
}

/// Tells settings with their sources.
pub(crate) fn describe(cluster: &Cluster, request: &DescribeConfigsRequest) -> DescribeConfigsResponse {
    let results = request.resources.iter().map(|asked| {
        let found = resource(cluster, asked.resource_type, &asked.resource_name);
        let found = found.map(|resource| entries(cluster, &resource, asked, request.include_synonyms));
        let (error, message, configs) = match found {
            Ok(entries) => (ErrorCode::NONE, None, entries),
            Err(refused) => (refused.error, Some(refused.message), Vec::new()),
        };
        DescribeConfigsResponseResult {
            error_code: error.code(),
            error_message: message,
            resource_type: asked.resource_type,
            resource_name: asked.resource_name.clone(),
            configs,
        }
    });
    DescribeConfigsResponse { throttle_time_ms: 0, results: results.collect() }
}

fn entries(
    cluster: &Cluster,
    resource: &Resource,
    asked: &DescribeConfigsRequestResource,
    synonyms: bool,
) -> Vec<DescribeConfigsResponseEntry> {
    let brokers = cluster.broker_settings();
    let all = match resource {
        Resource::Topic(name) => {
            let overrides = cluster.topic_overrides(name).unwrap_or_default();
            let entry = |key: &'static Key| entry(key.name, key, &brokers.levels(key, &overrides), synonyms);
            TOPIC_KEYS.iter().map(entry).collect()
        }
        Resource::Broker => broker_entries(cluster, &brokers, synonyms),
        Resource::Cluster => brokers
            .cluster
            .iter()
            .filter_map(|(name, value)| {
                Some(entry(name, broker_key(name)?, &[(name, value.as_str(), Source::Cluster)], synonyms))
            })
            .collect(),
    };
    let wanted = |entry: &DescribeConfigsResponseEntry| match &asked.configuration_keys {
        Some(names) if !names.is_empty() => names.contains(&entry.name),
        _ => true,
    };
    all.into_iter().filter(wanted).collect()
}

fn broker_entries(
    cluster: &Cluster,
    brokers: &BrokerSettings,
    synonyms: bool,
) -> Vec<DescribeConfigsResponseEntry> {
    let none = Overrides::new();
    let settable = TOPIC_KEYS
        .iter()
        .filter_map(|key| Some(entry(key.broker_name?, key, &brokers.levels(key, &none), synonyms)));
    let config = &cluster.config;
    let fixed = [
        ("auto.create.topics.enable", config.auto_create_topics.to_string(), 1),
        ("broker.id", config.node_id.to_string(), 3),
        ("default.replication.factor", "1".to_owned(), 3),
        ("node.id", config.node_id.to_string(), 3),
        ("num.partitions", config.default_partitions.to_string(), 3),
        ("offsets.topic.replication.factor", "1".to_owned(), 4),
        ("socket.request.max.bytes", config.request_bytes_max.to_string(), 3),
    ];
    let fixed = fixed.into_iter().map(|(name, value, kind)| DescribeConfigsResponseEntry {
        name: name.to_owned(),
        value: Some(value),
        read_only: true,
        config_source: STATIC_BROKER,
        config_type: kind,
        documentation: None,
        ..DescribeConfigsResponseEntry::default()
    });
    settable.chain(fixed).collect()
}

/// Kafka's number for what stands in a broker's own configuration file.
const STATIC_BROKER: i8 = 4;

fn entry(
    name: &str,
    key: &Key,
    levels: &[(&str, &str, Source)],
    with_synonyms: bool,
) -> DescribeConfigsResponseEntry {
    let (_, value, source) = levels[0];
    let synonym = |(name, value, source): &(&str, &str, Source)| DescribeConfigsResponseSynonym {
        name: (*name).to_owned(),
        value: Some((*value).to_owned()),
        source: *source as i8,
    };
    DescribeConfigsResponseEntry {
        name: name.to_owned(),
        value: Some(value.to_owned()),
        config_source: source as i8,
        synonyms: if with_synonyms { levels.iter().map(synonym).collect() } else { Vec::new() },
        config_type: key.wire_type(),
        documentation: None,
        ..DescribeConfigsResponseEntry::default()
    }
}

/// What to do with one setting.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Change {
    Set(String),
    Delete,
    Append(String),
    Subtract(String),
}

/// Replaces all settings of resources.
pub(crate) async fn alter(cluster: &Arc<Cluster>, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let cluster = cluster.clone();
    blocking(move || {
        let responses = request.resources.into_iter().map(|asked| {
            let changes = asked.configs.into_iter().map(|config| match config.value {
                Some(value) => (config.name, Change::Set(value)),
                None => (config.name, Change::Delete),
            });
            let changes: Vec<(String, Change)> = changes.collect();
            let altered = resource(&cluster, asked.resource_type, &asked.resource_name)
                .and_then(|resource| apply(&cluster, &resource, &changes, true, request.validate_only));
            let (error_code, error_message) = outcome(altered);
            AlterConfigsResponseResource {
                error_code,
                error_message,
                resource_type: asked.resource_type,
                resource_name: asked.resource_name,
            }
        });
        AlterConfigsResponse { throttle_time_ms: 0, responses: responses.collect() }
    })
    .await
}

/// Changes single settings of resources.
pub(crate) async fn alter_incrementally(
    cluster: &Arc<Cluster>,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let cluster = cluster.clone();
    blocking(move || {
        let responses = request.resources.into_iter().map(|asked| {
            let changes = asked.configs.into_iter().map(|config| {
                let change = operation(config.config_operation, config.value)?;
                Ok((config.name, change))
            });
            let changes: Result<Vec<(String, Change)>, Refused> = changes.collect();
            let altered = resource(&cluster, asked.resource_type, &asked.resource_name)
                .and_then(|resource| apply(&cluster, &resource, &changes?, false, request.validate_only));
            let (error_code, error_message) = outcome(altered);
            IncrementalAlterConfigsResponseResource {
                error_code,
                error_message,
                resource_type: asked.resource_type,
                resource_name: asked.resource_name,
            }
        });
        IncrementalAlterConfigsResponse { throttle_time_ms: 0, responses: responses.collect() }
    })
    .await
}

fn operation(number: i8, value: Option<String>) -> Result<Change, Refused> {
    match (number, value) {
        (0, Some(value)) => Ok(Change::Set(value)),
        (1, _) => Ok(Change::Delete),
        (2, Some(value)) => Ok(Change::Append(value)),
        (3, Some(value)) => Ok(Change::Subtract(value)),
        (0 | 2 | 3, None) => Err(Refused::new(ErrorCode::INVALID_REQUEST, "the setting needs a value")),
        _ => Err(Refused::new(ErrorCode::INVALID_REQUEST, format!("unknown operation {number}"))),
    }
}

fn apply(
    cluster: &Cluster,
    resource: &Resource,
    changes: &[(String, Change)],
    replace: bool,
    validate_only: bool,
) -> Result<(), Refused> {
    let change = |contents: &mut Contents| {
        let mut settings = Overrides::new();
        let brokers = contents.brokers.clone();
        let of_resource = settings_of(contents, resource)?;
        if !replace {
            settings.clone_from(of_resource);
        }
        for (name, change) in changes {
            change_one(resource, &brokers, &mut settings, name, change)?;
        }
        *of_resource = settings;
        Ok(())
    };
    if validate_only {
        let mut scratch = cluster.contents();
        return change(&mut scratch);
    }
    cluster.change_settings(change)
}

fn settings_of<'a>(contents: &'a mut Contents, resource: &Resource) -> Result<&'a mut Overrides, Refused> {
    match resource {
        Resource::Topic(name) => {
            let entry = contents.topics.get_mut(name).ok_or_else(|| unknown_topic(name))?;
            Ok(&mut entry.settings)
        }
        Resource::Broker => Ok(&mut contents.brokers.own),
        Resource::Cluster => Ok(&mut contents.brokers.cluster),
    }
}

fn change_one(
    resource: &Resource,
    brokers: &BrokerSettings,
    settings: &mut Overrides,
    name: &str,
    change: &Change,
) -> Result<(), Refused> {
    let key = match resource {
        Resource::Topic(_) => topic_key(name),
        Resource::Broker | Resource::Cluster => broker_key(name),
    };
    let Some(key) = key else {
        let message = format!("{name} is not a setting that can be changed here");
        return Err(Refused::new(ErrorCode::INVALID_CONFIG, message));
    };
    let value = match change {
        Change::Delete => {
            settings.remove(name);
            return Ok(());
        }
        Change::Set(value) => value.clone(),
        Change::Append(_) | Change::Subtract(_) if !key.is_list() => {
            let message = format!("{name} is not a list");
            return Err(Refused::new(ErrorCode::INVALID_CONFIG, message));
        }
        Change::Append(items) => {
            let old = current(key, brokers, settings, name);
            let more = list(items).filter(|item| list(&old).all(|there| there != *item));
            list(&old).chain(more).collect::<Vec<_>>().join(",")
        }
        Change::Subtract(items) => {
            let old = current(key, brokers, settings, name);
            let left = list(&old).filter(|item| list(items).all(|gone| gone != *item));
            left.collect::<Vec<_>>().join(",")
        }
    };
    match resource {
        Resource::Topic(_) => check_topic_setting(name, &value)?,
        Resource::Broker | Resource::Cluster => {
            key.check(&value).map_err(|message| Refused::new(ErrorCode::INVALID_CONFIG, message))?;
        }
    }
    settings.insert(name.to_owned(), value);
    Ok(())
}

/// The value in force, were `settings` the resource's.
fn current(key: &'static Key, brokers: &BrokerSettings, settings: &Overrides, name: &str) -> String {
    let inherited = || brokers.levels(key, &Overrides::new())[0].1.to_owned();
    settings.get(name).cloned().unwrap_or_else(inherited)
}
