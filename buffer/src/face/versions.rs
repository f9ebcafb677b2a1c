//! Which APIs the gateway speaks, in which versions: no topic ids, since those differ between regions.

use bytes::Bytes;
use leeward_wire::api::{
    ApiVersionsRequest, ApiVersionsResponse, ApiVersionsResponseKey, RequestBody, ResponseBody,
};
use leeward_wire::{ApiKey, ErrorCode, RequestHeader};

use super::Face;
use super::asked::Asked;

/// API, first and last version. Metadata ends where it becomes compact: librdkafka, which makes room for four times an
/// answer's bytes, cannot read one of a dozen topics with a partition each from there on, but where they have ids.
const SPOKEN: &[(ApiKey, i16, i16)] = &[
    (ApiKey::Produce, 3, 12),
    (ApiKey::Fetch, 4, 12),
    (ApiKey::ListOffsets, 1, 7),
    (ApiKey::Metadata, 0, 8),
    (ApiKey::OffsetCommit, 2, 9),
    (ApiKey::OffsetFetch, 1, 9),
    (ApiKey::FindCoordinator, 0, 5),
    (ApiKey::JoinGroup, 0, 9),
    (ApiKey::Heartbeat, 0, 4),
    (ApiKey::LeaveGroup, 0, 5),
    (ApiKey::SyncGroup, 0, 5),
    (ApiKey::DescribeGroups, 0, 5),
    (ApiKey::ListGroups, 0, 5),
    (ApiKey::ApiVersions, 0, 4),
    (ApiKey::CreateTopics, 2, 7),
    (ApiKey::DeleteTopics, 1, 5),
    (ApiKey::DeleteRecords, 0, 2),
    (ApiKey::InitProducerId, 0, 5),
    (ApiKey::AddPartitionsToTxn, 0, 3),
    (ApiKey::AddOffsetsToTxn, 0, 3),
    (ApiKey::EndTxn, 0, 4),
    (ApiKey::TxnOffsetCommit, 0, 4),
    (ApiKey::DescribeConfigs, 1, 4),
    (ApiKey::AlterConfigs, 0, 2),
    (ApiKey::IncrementalAlterConfigs, 0, 1),
    (ApiKey::CreatePartitions, 0, 3),
    (ApiKey::DeleteGroups, 0, 2),
    (ApiKey::OffsetDelete, 0, 0),
    (ApiKey::DescribeCluster, 0, 1),
];

/// APIs that the gateway answers from what it knows.
const OWN: &[ApiKey] = &[
    ApiKey::Produce,
    ApiKey::Metadata,
    ApiKey::FindCoordinator,
    ApiKey::ApiVersions,
    ApiKey::InitProducerId,
    ApiKey::DescribeCluster,
];

pub(super) fn speaks(api: ApiKey, version: i16) -> bool {
    let known = SPOKEN.iter().find(|(key, _, _)| *key == api);
    known.is_some_and(|(_, first, last)| (*first..=*last).contains(&version))
}

/// A request whose body need not be readable: its reader may be newer than we are.
pub(super) fn asked(header: RequestHeader) -> Asked {
    let body = RequestBody::ApiVersions(ApiVersionsRequest::default());
    Asked { header, raw: Bytes::new(), body }
}

/// What both the gateway and all regions that were reached speak.
pub(super) fn answer(face: &Face, version: i16) -> (i16, ResponseBody) {
    let regions: Vec<_> = face.hub.regions.values().filter_map(|region| region.versions()).collect();
    let api_keys = SPOKEN
        .iter()
        .filter_map(|(api, first, last)| {
            let mut range = (*first, *last);
            for versions in regions.iter().filter(|_| !OWN.contains(api)) {
                let (min, max) = *versions.get(api)?;
                range = (range.0.max(min), range.1.min(max));
            }
            (range.0 <= range.1).then_some(ApiVersionsResponseKey {
                api_key: api.code(),
                min_version: range.0,
                max_version: range.1,
            })
        })
        .collect();
    let known = speaks(ApiKey::ApiVersions, version);
    let code = if known { ErrorCode::NONE } else { ErrorCode::UNSUPPORTED_VERSION };
    let response =
        ApiVersionsResponse { error_code: code.code(), api_keys, ..ApiVersionsResponse::default() };
    (if known { version } else { 0 }, ResponseBody::ApiVersions(response))
}
