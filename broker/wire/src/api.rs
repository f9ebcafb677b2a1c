//! The messages, one module per API: fields are named as in Kafka, in snake case.

pub mod add_offsets_to_txn;
pub mod add_partitions_to_txn;
pub mod alter_configs;
pub mod api_versions;
pub mod create_acls;
pub mod create_partitions;
pub mod create_topics;
pub mod delete_acls;
pub mod delete_groups;
pub mod delete_records;
pub mod delete_topics;
pub mod describe_acls;
pub mod describe_cluster;
pub mod describe_configs;
pub mod describe_groups;
pub mod describe_producers;
pub mod describe_transactions;
pub mod end_txn;
pub mod fetch;
pub mod find_coordinator;
pub mod heartbeat;
pub mod incremental_alter_configs;
pub mod init_producer_id;
pub mod join_group;
pub mod leave_group;
pub mod list_groups;
pub mod list_offsets;
pub mod list_transactions;
pub mod metadata;
pub mod offset_commit;
pub mod offset_delete;
pub mod offset_fetch;
pub mod offset_for_leader_epoch;
pub mod produce;
pub mod sasl_authenticate;
pub mod sasl_handshake;
pub mod sync_group;
pub mod txn_offset_commit;
pub mod write_txn_markers;

pub use add_offsets_to_txn::*;
pub use add_partitions_to_txn::*;
pub use alter_configs::*;
pub use api_versions::*;
pub use create_acls::*;
pub use create_partitions::*;
pub use create_topics::*;
pub use delete_acls::*;
pub use delete_groups::*;
pub use delete_records::*;
pub use delete_topics::*;
pub use describe_acls::*;
pub use describe_cluster::*;
pub use describe_configs::*;
pub use describe_groups::*;
pub use describe_producers::*;
pub use describe_transactions::*;
pub use end_txn::*;
pub use fetch::*;
pub use find_coordinator::*;
pub use heartbeat::*;
pub use incremental_alter_configs::*;
pub use init_producer_id::*;
pub use join_group::*;
pub use leave_group::*;
pub use list_groups::*;
pub use list_offsets::*;
pub use list_transactions::*;
pub use metadata::*;
pub use offset_commit::*;
pub use offset_delete::*;
pub use offset_fetch::*;
pub use offset_for_leader_epoch::*;
pub use produce::*;
pub use sasl_authenticate::*;
pub use sasl_handshake::*;
pub use sync_group::*;
pub use txn_offset_commit::*;
pub use write_txn_markers::*;

use bytes::BytesMut;

use crate::{ApiKey, DecodeError, EncodeError, Message, Reader, Request};

/// Enums over the bodies of all APIs.
macro_rules! bodies {
    ($($key:ident($request:ident, $response:ident),)+) => {
        /// The body of any request.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum RequestBody {
            $($key($request),)+
        }

        /// The body of any response.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum ResponseBody {
            $($key($response),)+
        }

        /// The APIs that have messages here.
        pub const SPOKEN: &[ApiKey] = &[$(ApiKey::$key,)+];

        /// The versions of an API's messages; `None` when it has none here.
        pub const fn versions(api: ApiKey) -> Option<(i16, i16)> {
            match api {
                $(ApiKey::$key => Some((<$request as Request>::MIN_VERSION, <$request as Request>::MAX_VERSION)),)+
                _ => None,
            }
        }

        impl RequestBody {
            /// Reads the body of a request to `api`.
            ///
            /// # Errors
            ///
            /// [`DecodeError`] when the API or version has no message here, or the bytes are not that message.
            pub fn decode(api: ApiKey, version: i16, input: &mut Reader) -> Result<Self, DecodeError> {
                match api {
                    $(ApiKey::$key => $request::decode(input, version).map(Self::$key),)+
                    _ => Err(input.no_message(api)),
                }
            }

            /// The API that the request is for.
            pub const fn api(&self) -> ApiKey {
                match self {
                    $(Self::$key(_) => ApiKey::$key,)+
                }
            }

            /// Appends the body in `version`.
            ///
            /// # Errors
            ///
            /// [`EncodeError`] as in [`Message::encode`].
            pub fn encode(&self, version: i16, out: &mut BytesMut) -> Result<(), EncodeError> {
                match self {
                    $(Self::$key(body) => body.encode(version, out),)+
                }
            }
        }

        impl ResponseBody {
            /// Reads the body of a response to `api`.
            ///
            /// # Errors
            ///
            /// [`DecodeError`] when the API or version has no message here, or the bytes are not that message.
            pub fn decode(api: ApiKey, version: i16, input: &mut Reader) -> Result<Self, DecodeError> {
                match api {
                    $(ApiKey::$key => $response::decode(input, version).map(Self::$key),)+
                    _ => Err(input.no_message(api)),
                }
            }

            /// The API that the response is for.
            pub const fn api(&self) -> ApiKey {
                match self {
                    $(Self::$key(_) => ApiKey::$key,)+
                }
            }

            /// Appends the body in `version`.
            ///
            /// # Errors
            ///
            /// [`EncodeError`] as in [`Message::encode`].
            pub fn encode(&self, version: i16, out: &mut BytesMut) -> Result<(), EncodeError> {
                match self {
                    $(Self::$key(body) => body.encode(version, out),)+
                }
            }
        }
    };
}

/// Hands the table of APIs to a macro.
macro_rules! for_each_api {
    ($callback:ident) => {
        $callback! {
            Produce(ProduceRequest, ProduceResponse),
            Fetch(FetchRequest, FetchResponse),
            ListOffsets(ListOffsetsRequest, ListOffsetsResponse),
            Metadata(MetadataRequest, MetadataResponse),
            OffsetCommit(OffsetCommitRequest, OffsetCommitResponse),
            OffsetFetch(OffsetFetchRequest, OffsetFetchResponse),
            FindCoordinator(FindCoordinatorRequest, FindCoordinatorResponse),
            JoinGroup(JoinGroupRequest, JoinGroupResponse),
            Heartbeat(HeartbeatRequest, HeartbeatResponse),
            LeaveGroup(LeaveGroupRequest, LeaveGroupResponse),
            SyncGroup(SyncGroupRequest, SyncGroupResponse),
            DescribeGroups(DescribeGroupsRequest, DescribeGroupsResponse),
            ListGroups(ListGroupsRequest, ListGroupsResponse),
            SaslHandshake(SaslHandshakeRequest, SaslHandshakeResponse),
            ApiVersions(ApiVersionsRequest, ApiVersionsResponse),
            CreateTopics(CreateTopicsRequest, CreateTopicsResponse),
            DeleteTopics(DeleteTopicsRequest, DeleteTopicsResponse),
            DeleteRecords(DeleteRecordsRequest, DeleteRecordsResponse),
            InitProducerId(InitProducerIdRequest, InitProducerIdResponse),
            OffsetForLeaderEpoch(OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse),
            AddPartitionsToTxn(AddPartitionsToTxnRequest, AddPartitionsToTxnResponse),
            AddOffsetsToTxn(AddOffsetsToTxnRequest, AddOffsetsToTxnResponse),
            EndTxn(EndTxnRequest, EndTxnResponse),
            WriteTxnMarkers(WriteTxnMarkersRequest, WriteTxnMarkersResponse),
            TxnOffsetCommit(TxnOffsetCommitRequest, TxnOffsetCommitResponse),
            DescribeAcls(DescribeAclsRequest, DescribeAclsResponse),
            CreateAcls(CreateAclsRequest, CreateAclsResponse),
            DeleteAcls(DeleteAclsRequest, DeleteAclsResponse),
            DescribeConfigs(DescribeConfigsRequest, DescribeConfigsResponse),
            AlterConfigs(AlterConfigsRequest, AlterConfigsResponse),
            SaslAuthenticate(SaslAuthenticateRequest, SaslAuthenticateResponse),
            CreatePartitions(CreatePartitionsRequest, CreatePartitionsResponse),
            DeleteGroups(DeleteGroupsRequest, DeleteGroupsResponse),
            IncrementalAlterConfigs(IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse),
            OffsetDelete(OffsetDeleteRequest, OffsetDeleteResponse),
            DescribeCluster(DescribeClusterRequest, DescribeClusterResponse),
            DescribeProducers(DescribeProducersRequest, DescribeProducersResponse),
            DescribeTransactions(DescribeTransactionsRequest, DescribeTransactionsResponse),
            ListTransactions(ListTransactionsRequest, ListTransactionsResponse),
        }
    };
}

for_each_api!(bodies);

#[cfg(test)]
pub(crate) use for_each_api;
