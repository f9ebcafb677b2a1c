//! DescribeGroups, ListGroups and FindCoordinator.

use leeward_model::GroupName;
use leeward_wire::{
    ErrorCode,
    api::{
        DescribeGroupsRequest, DescribeGroupsResponse, DescribeGroupsResponseGroup,
        DescribeGroupsResponseMember, FindCoordinatorRequest, FindCoordinatorResponse,
        FindCoordinatorResponseCoordinator, ListGroupsRequest, ListGroupsResponse, ListGroupsResponseGroup,
    },
};

use crate::group::{Description, GroupCoordinator, MemberDescription};

/// First version of DescribeGroups that says that a group is not there.
const NOT_FOUND_FROM: i16 = 6;
/// First version of FindCoordinator with several keys.
const KEYS_FROM: i16 = 4;
/// What anybody may do with a group where nobody forbids it: the bits of READ, DELETE and DESCRIBE.
const ALL_OPERATIONS: i32 = (1 << 3) | (1 << 6) | (1 << 8);
/// By which operations are left out.
const NO_OPERATIONS: i32 = i32::MIN;
/// The only kind of groups here.
const CLASSIC: &str = "classic";
/// State of a group that is not there.
const DEAD: &str = "Dead";

pub fn describe_groups(
    request: &DescribeGroupsRequest,
    version: i16,
    coordinator: &GroupCoordinator,
) -> DescribeGroupsResponse {
    let operations = if request.include_authorized_operations { ALL_OPERATIONS } else { NO_OPERATIONS };
    let groups = request.groups.iter().map(|name| {
        let described = match coordinator.describe(&GroupName::new(name)) {
            Some(description) => description_of(name, description),
            None => not_there(name, version),
        };
        DescribeGroupsResponseGroup { authorized_operations: operations, ..described }
    });
    DescribeGroupsResponse { throttle_time_ms: 0, groups: groups.collect() }
}

fn description_of(name: &str, description: Description) -> DescribeGroupsResponseGroup {
    let member = |member: MemberDescription| DescribeGroupsResponseMember {
        member_id: member.member.id,
        group_instance_id: member.member.instance_id,
        client_id: member.caller.client_id,
        client_host: member.caller.client_host,
        member_metadata: member.metadata,
        member_assignment: member.assignment,
    };
    DescribeGroupsResponseGroup {
        group_id: name.to_owned(),
        group_state: description.state.to_owned(),
        protocol_type: description.protocol_type,
        protocol_data: description.protocol,
        members: description.members.into_iter().map(member).collect(),
        ..DescribeGroupsResponseGroup::default()
    }
}

fn not_there(name: &str, version: i16) -> DescribeGroupsResponseGroup {
    let (error, message) = if version >= NOT_FOUND_FROM {
        (ErrorCode::GROUP_ID_NOT_FOUND, Some(format!("Group {name} not found.")))
    } else {
        (ErrorCode::NONE, None)
    };
    DescribeGroupsResponseGroup {
        error_code: error.code(),
        error_message: message,
        group_id: name.to_owned(),
        group_state: DEAD.to_owned(),
        ..DescribeGroupsResponseGroup::default()
    }
}

/// Says `error` for every group.
pub fn describe_refused(request: &DescribeGroupsRequest, error: ErrorCode) -> DescribeGroupsResponse {
    let groups = request.groups.iter().map(|name| DescribeGroupsResponseGroup {
        error_code: error.code(),
        group_id: name.clone(),
        ..DescribeGroupsResponseGroup::default()
    });
    DescribeGroupsResponse { throttle_time_ms: 0, groups: groups.collect() }
}

/// Lists groups; an empty filter lets all pass.
pub fn list_groups(request: &ListGroupsRequest, coordinator: &GroupCoordinator) -> ListGroupsResponse {
    let passes = |filter: &[String], value: &str| {
        filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(value))
    };
    let groups = coordinator.list().filter(|group| {
        passes(&request.states_filter, group.state) && passes(&request.types_filter, CLASSIC)
    });
    let groups = groups.map(|group| ListGroupsResponseGroup {
        group_id: group.group.as_str().to_owned(),
        protocol_type: group.protocol_type,
        group_state: group.state.to_owned(),
        group_type: CLASSIC.to_owned(),
    });
    ListGroupsResponse { groups: groups.collect(), ..ListGroupsResponse::default() }
}

/// The broker that keeps a group or a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    pub node_id: i32,
    pub host: String,
    pub port: i32,
}

/// Answers a FindCoordinator; `locate` is given the key and its type: 0 for groups, 1 for transactions.
pub fn find_coordinator(
    request: &FindCoordinatorRequest,
    version: i16,
    locate: impl Fn(&str, i8) -> Result<Located, ErrorCode>,
) -> FindCoordinatorResponse {
    let find = |key: &str| {
        let (at, error) = match locate(key, request.key_type) {
            Ok(at) => (at, ErrorCode::NONE),
            Err(error) => (Located { node_id: -1, host: String::new(), port: -1 }, error),
        };
        FindCoordinatorResponseCoordinator {
            key: key.to_owned(),
            node_id: at.node_id,
            host: at.host,
            port: at.port,
            error_code: error.code(),
            error_message: (!error.is_none()).then(|| error.to_string()),
        }
    };
    if version >= KEYS_FROM {
        let coordinators = request.coordinator_keys.iter().map(|key| find(key)).collect();
        return FindCoordinatorResponse { coordinators, ..FindCoordinatorResponse::default() };
    }
    let found = find(&request.key);
    FindCoordinatorResponse {
        error_code: found.error_code,
        error_message: found.error_message,
        node_id: found.node_id,
        host: found.host,
        port: found.port,
        ..FindCoordinatorResponse::default()
    }
}
