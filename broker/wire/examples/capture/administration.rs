//! Transactions, configurations, access rules, and taking everything away.

use bytes::Bytes;
use leeward_wire::Uuid;
use leeward_wire::api::*;

use crate::session::{Result, Session};
use crate::{GROUP, TIMEOUT_MS, TOPIC, TRANSACTION};

const RESOURCE_TOPIC: i8 = 2;

pub(crate) fn transactions(session: &mut Session) -> Result<()> {
    let mut producer = InitProducerIdResponse::default();
    for version in session.versions::<InitProducerIdRequest>() {
        producer = session.ask(
            version,
            &InitProducerIdRequest {
                transactional_id: Some(TRANSACTION.into()),
                transaction_timeout_ms: TIMEOUT_MS,
                ..Default::default()
            },
        )?;
    }
    let (producer_id, producer_epoch) = (producer.producer_id, producer.producer_epoch);
    for version in *session.versions::<AddPartitionsToTxnRequest>().start()..=3 {
        session.ask(
            version,
            &AddPartitionsToTxnRequest {
                v3_and_below_transactional_id: TRANSACTION.into(),
                v3_and_below_producer_id: producer_id,
                v3_and_below_producer_epoch: producer_epoch,
                v3_and_below_topics: vec![AddPartitionsToTxnRequestTopic {
                    name: TOPIC.into(),
                    partitions: vec![0, 1],
                }],
                ..Default::default()
            },
        )?;
    }
    session.each(&AddOffsetsToTxnRequest {
        transactional_id: TRANSACTION.into(),
        producer_id,
        producer_epoch,
        group_id: GROUP.into(),
    })?;
    session.each(&TxnOffsetCommitRequest {
        transactional_id: TRANSACTION.into(),
        producer_id,
        producer_epoch,
        group_id: GROUP.into(),
        topics: vec![TxnOffsetCommitRequestTopic {
            name: TOPIC.into(),
            partitions: vec![TxnOffsetCommitRequestPartition { committed_offset: 1, ..Default::default() }],
        }],
        ..Default::default()
    })?;
    session
        .each(&DescribeTransactionsRequest { transactional_ids: vec![TRANSACTION.into(), "none".into()] })?;
    session.each(&ListTransactionsRequest::default())?;
    session.each(&EndTxnRequest {
        transactional_id: TRANSACTION.into(),
        producer_id,
        producer_epoch,
        committed: true,
    })?;
    session.each(&WriteTxnMarkersRequest {
        markers: vec![WriteTxnMarkersRequestMarker {
            producer_id: 4711,
            transaction_result: false,
            topics: vec![WriteTxnMarkersRequestTopic { name: TOPIC.into(), partition_indexes: vec![99] }],
            ..Default::default()
        }],
    })
}

pub(crate) fn configs(session: &mut Session) -> Result<()> {
    session.each(&DescribeConfigsRequest {
        resources: vec![DescribeConfigsRequestResource {
            resource_type: RESOURCE_TOPIC,
            resource_name: TOPIC.into(),
            configuration_keys: Some(vec!["retention.ms".into(), "max.message.bytes".into()]),
        }],
        include_synonyms: true,
        ..Default::default()
    })?;
    let value = Some("3600000".to_owned());
    session.each(&IncrementalAlterConfigsRequest {
        resources: vec![IncrementalAlterConfigsRequestResource {
            resource_type: RESOURCE_TOPIC,
            resource_name: TOPIC.into(),
            configs: vec![IncrementalAlterConfigsRequestConfig {
                name: "retention.ms".into(),
                config_operation: 0,
                value: value.clone(),
            }],
        }],
        ..Default::default()
    })?;
    session.each(&AlterConfigsRequest {
        resources: vec![AlterConfigsRequestResource {
            resource_type: RESOURCE_TOPIC,
            resource_name: TOPIC.into(),
            configs: vec![AlterConfigsRequestConfig { name: "retention.ms".into(), value }],
        }],
        ..Default::default()
    })
}

pub(crate) fn acls(session: &mut Session) -> Result<()> {
    session.each(&CreateAclsRequest {
        creations: vec![CreateAclsRequestCreation {
            resource_type: RESOURCE_TOPIC,
            resource_name: TOPIC.into(),
            resource_pattern_type: 3,
            principal: "User:golden".into(),
            host: "*".into(),
            operation: 3,
            permission_type: 3,
        }],
    })?;
    session.each(&DescribeAclsRequest {
        resource_type_filter: RESOURCE_TOPIC,
        pattern_type_filter: 3,
        operation: 1,
        permission_type: 1,
        ..Default::default()
    })?;
    session.each(&DeleteAclsRequest {
        filters: vec![DeleteAclsRequestFilter {
            resource_type_filter: RESOURCE_TOPIC,
            pattern_type_filter: 3,
            operation: 1,
            permission_type: 1,
            ..Default::default()
        }],
    })
}

pub(crate) fn removals(session: &mut Session, topic_id: Uuid) -> Result<()> {
    session.each(&OffsetDeleteRequest {
        group_id: GROUP.into(),
        topics: vec![OffsetDeleteRequestTopic {
            name: TOPIC.into(),
            partitions: vec![OffsetDeleteRequestPartition { partition_index: 1 }],
        }],
    })?;
    session.each(&DeleteGroupsRequest { groups_names: vec![GROUP.into(), "none".into()] })?;
    for version in session.versions::<DeleteTopicsRequest>() {
        let mut request = DeleteTopicsRequest { timeout_ms: TIMEOUT_MS, ..Default::default() };
        if version < 6 {
            request.topic_names = vec![format!("{TOPIC}-{}", version + 1), "none".into()];
        } else {
            request.topics = vec![
                DeleteTopicsRequestTopic { name: None, topic_id },
                DeleteTopicsRequestTopic { name: Some("none".into()), ..Default::default() },
            ];
        }
        session.ask(version, &request)?;
    }
    for version in session.versions::<SaslHandshakeRequest>() {
        session.ask(version, &SaslHandshakeRequest { mechanism: "PLAIN".into() })?;
        session.reconnect()?;
    }
    for version in session.versions::<SaslAuthenticateRequest>() {
        session.ask(version, &SaslAuthenticateRequest { auth_bytes: Bytes::from_static(b"\0a\0b") })?;
        session.reconnect()?;
    }
    Ok(())
}
