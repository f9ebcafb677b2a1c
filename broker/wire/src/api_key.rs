//! The numbers of Kafka's APIs, and which header goes with which version.

/// No version is flexible.
const NEVER: i16 = i16::MAX;

macro_rules! api_keys {
    ($($name:ident = $code:literal, flexible $flexible_from:expr;)+) => {
        /// What a request asks for. Not all of them have messages here: see [`SPOKEN`](crate::api::SPOKEN).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i16)]
        pub enum ApiKey {
            $($name = $code,)+
        }

        impl ApiKey {
            /// All keys, by number.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The number on the wire.
            pub const fn code(self) -> i16 {
                self as i16
            }

            /// The key with this number.
            pub const fn from_code(code: i16) -> Option<Self> {
                match code {
                    $($code => Some(Self::$name),)+
                    _ => None,
                }
            }

            /// Kafka's name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }

            /// First version with compact lengths and tagged fields.
            pub const fn flexible_from(self) -> i16 {
                match self {
                    $(Self::$name => $flexible_from,)+
                }
            }
        }
    };
}

api_keys! {
    Produce = 0, flexible 9;
    Fetch = 1, flexible 12;
    ListOffsets = 2, flexible 6;
    Metadata = 3, flexible 9;
    LeaderAndIsr = 4, flexible 4;
    StopReplica = 5, flexible 2;
    UpdateMetadata = 6, flexible 6;
    ControlledShutdown = 7, flexible 3;
    OffsetCommit = 8, flexible 8;
    OffsetFetch = 9, flexible 6;
    FindCoordinator = 10, flexible 3;
    JoinGroup = 11, flexible 6;
    Heartbeat = 12, flexible 4;
    LeaveGroup = 13, flexible 4;
    SyncGroup = 14, flexible 4;
    DescribeGroups = 15, flexible 5;
    ListGroups = 16, flexible 3;
    SaslHandshake = 17, flexible NEVER;
    ApiVersions = 18, flexible 3;
    CreateTopics = 19, flexible 5;
    DeleteTopics = 20, flexible 4;
    DeleteRecords = 21, flexible 2;
    InitProducerId = 22, flexible 2;
    OffsetForLeaderEpoch = 23, flexible 4;
    AddPartitionsToTxn = 24, flexible 3;
    AddOffsetsToTxn = 25, flexible 3;
    EndTxn = 26, flexible 3;
    WriteTxnMarkers = 27, flexible 1;
    TxnOffsetCommit = 28, flexible 3;
    DescribeAcls = 29, flexible 2;
    CreateAcls = 30, flexible 2;
    DeleteAcls = 31, flexible 2;
    DescribeConfigs = 32, flexible 4;
    AlterConfigs = 33, flexible 2;
    AlterReplicaLogDirs = 34, flexible 2;
    DescribeLogDirs = 35, flexible 2;
    SaslAuthenticate = 36, flexible 2;
    CreatePartitions = 37, flexible 2;
    CreateDelegationToken = 38, flexible 2;
    RenewDelegationToken = 39, flexible 2;
    ExpireDelegationToken = 40, flexible 2;
    DescribeDelegationToken = 41, flexible 2;
    DeleteGroups = 42, flexible 2;
    ElectLeaders = 43, flexible 2;
    IncrementalAlterConfigs = 44, flexible 1;
    AlterPartitionReassignments = 45, flexible 0;
    ListPartitionReassignments = 46, flexible 0;
    OffsetDelete = 47, flexible NEVER;
    DescribeClientQuotas = 48, flexible 1;
    AlterClientQuotas = 49, flexible 1;
    DescribeUserScramCredentials = 50, flexible 0;
    AlterUserScramCredentials = 51, flexible 0;
    Vote = 52, flexible 0;
    BeginQuorumEpoch = 53, flexible 1;
    EndQuorumEpoch = 54, flexible 1;
    DescribeQuorum = 55, flexible 0;
    AlterPartition = 56, flexible 0;
    UpdateFeatures = 57, flexible 0;
    Envelope = 58, flexible 0;
    FetchSnapshot = 59, flexible 0;
    DescribeCluster = 60, flexible 0;
    DescribeProducers = 61, flexible 0;
    BrokerRegistration = 62, flexible 0;
    BrokerHeartbeat = 63, flexible 0;
    UnregisterBroker = 64, flexible 0;
    DescribeTransactions = 65, flexible 0;
    ListTransactions = 66, flexible 0;
    AllocateProducerIds = 67, flexible 0;
    ConsumerGroupHeartbeat = 68, flexible 0;
    ConsumerGroupDescribe = 69, flexible 0;
    ControllerRegistration = 70, flexible 0;
    GetTelemetrySubscriptions = 71, flexible 0;
    PushTelemetry = 72, flexible 0;
    AssignReplicasToDirs = 73, flexible 0;
    ListConfigResources = 74, flexible 0;
    DescribeTopicPartitions = 75, flexible 0;
    ShareGroupHeartbeat = 76, flexible 0;
    ShareGroupDescribe = 77, flexible 0;
    ShareFetch = 78, flexible 0;
    ShareAcknowledge = 79, flexible 0;
    AddRaftVoter = 80, flexible 0;
    RemoveRaftVoter = 81, flexible 0;
    UpdateRaftVoter = 82, flexible 0;
    InitializeShareGroupState = 83, flexible 0;
    ReadShareGroupState = 84, flexible 0;
    WriteShareGroupState = 85, flexible 0;
    DeleteShareGroupState = 86, flexible 0;
    ReadShareGroupStateSummary = 87, flexible 0;
    StreamsGroupHeartbeat = 88, flexible 0;
    StreamsGroupDescribe = 89, flexible 0;
    DescribeShareGroupOffsets = 90, flexible 0;
    AlterShareGroupOffsets = 91, flexible 0;
    DeleteShareGroupOffsets = 92, flexible 0;
}

impl ApiKey {
    /// True when requests of `version` have tagged fields in their header (header version 2).
    pub const fn request_header_is_flexible(self, version: i16) -> bool {
        version >= self.flexible_from()
    }

    /// True when responses of `version` have tagged fields in their header (header version 1). Those of `ApiVersions`
    /// never have: its reader does not know yet what the other side speaks.
    pub const fn response_header_is_flexible(self, version: i16) -> bool {
        !matches!(self, Self::ApiVersions) && version >= self.flexible_from()
    }
}

impl std::fmt::Display for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
