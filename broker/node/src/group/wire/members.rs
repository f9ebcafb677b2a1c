//! JoinGroup, SyncGroup, Heartbeat and LeaveGroup.

use leeward_model::GroupName;
use leeward_wire::{
    ErrorCode,
    api::{
        HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, JoinGroupResponseMember,
        LeaveGroupRequest, LeaveGroupResponse, LeaveGroupResponseMember, SyncGroupRequest, SyncGroupResponse,
    },
};

use crate::group::{
    Caller, Heartbeat, Identity, Join, JoinReply, Leave, LeaveReply, Protocol, Sync, SyncReply,
    record::from_millis,
};

/// First version whose new dynamic members come back with the id they are given.
const MEMBER_ID_REQUIRED_FROM: i16 = 4;
/// First version whose client understands that a leader need not assign.
const SKIP_ASSIGNMENT_FROM: i16 = 9;
/// First version that can say "no protocol".
const NO_PROTOCOL_FROM: i16 = 7;
/// First version with several members in one LeaveGroup.
const LEAVE_BATCH_FROM: i16 = 3;

/// Reads a JoinGroup; `new_id_suffix` is random.
pub fn join(request: JoinGroupRequest, version: i16, caller: Caller, new_id_suffix: String) -> Join {
    let session_timeout = from_millis(request.session_timeout_ms);
    let says_rebalance_timeout = request.rebalance_timeout_ms >= 0;
    let protocols = request.protocols.into_iter();
    Join {
        group: GroupName::from(request.group_id),
        id_required: version >= MEMBER_ID_REQUIRED_FROM && request.group_instance_id.is_none(),
        member: Identity { id: request.member_id, instance_id: request.group_instance_id },
        caller,
        new_id_suffix,
        session_timeout,
        rebalance_timeout: if says_rebalance_timeout {
            from_millis(request.rebalance_timeout_ms)
        } else {
            session_timeout
        },
        protocol_type: request.protocol_type,
        protocols: protocols
            .map(|protocol| Protocol { name: protocol.name, metadata: protocol.metadata })
            .collect(),
        may_skip_assignment: version >= SKIP_ASSIGNMENT_FROM,
    }
}

pub fn join_response(reply: JoinReply, version: i16) -> JoinGroupResponse {
    let member = |member: crate::group::JoinedMember| JoinGroupResponseMember {
        member_id: member.member.id,
        group_instance_id: member.member.instance_id,
        metadata: member.metadata,
    };
    JoinGroupResponse {
        throttle_time_ms: 0,
        error_code: reply.error.code(),
        generation_id: reply.generation,
        protocol_type: reply.protocol_type,
        protocol_name: if version >= NO_PROTOCOL_FROM {
            reply.protocol
        } else {
            Some(reply.protocol.unwrap_or_default())
        },
        leader: reply.leader,
        skip_assignment: reply.skip_assignment,
        member_id: reply.member_id,
        members: reply.members.into_iter().map(member).collect(),
    }
}

pub fn sync(request: SyncGroupRequest) -> Sync {
    let assignments = request.assignments.into_iter();
    Sync {
        group: GroupName::from(request.group_id),
        member: Identity { id: request.member_id, instance_id: request.group_instance_id },
        generation: request.generation_id,
        protocol_type: request.protocol_type,
        protocol: request.protocol_name,
        assignments: assignments.map(|given| (given.member_id, given.assignment)).collect(),
    }
}

pub fn sync_response(reply: SyncReply) -> SyncGroupResponse {
    SyncGroupResponse {
        throttle_time_ms: 0,
        error_code: reply.error.code(),
        protocol_type: reply.protocol_type,
        protocol_name: reply.protocol,
        assignment: reply.assignment,
    }
}

pub fn heartbeat(request: HeartbeatRequest) -> Heartbeat {
    Heartbeat {
        group: GroupName::from(request.group_id),
        member: Identity { id: request.member_id, instance_id: request.group_instance_id },
        generation: request.generation_id,
    }
}

pub fn heartbeat_response(error: ErrorCode) -> HeartbeatResponse {
    HeartbeatResponse { throttle_time_ms: 0, error_code: error.code() }
}

pub fn leave(request: LeaveGroupRequest, version: i16) -> Leave {
    let members = if version >= LEAVE_BATCH_FROM {
        let members = request.members.into_iter();
        members
            .map(|member| Identity { id: member.member_id, instance_id: member.group_instance_id })
            .collect()
    } else {
        vec![Identity { id: request.member_id, instance_id: None }]
    };
    Leave { group: GroupName::from(request.group_id), members }
}

pub fn leave_response(reply: LeaveReply, version: i16) -> LeaveGroupResponse {
    if version < LEAVE_BATCH_FROM {
        let of_member = reply.members.first().map_or(ErrorCode::NONE, |(_, error)| *error);
        let error = if reply.error.is_none() { of_member } else { reply.error };
        return LeaveGroupResponse { error_code: error.code(), ..LeaveGroupResponse::default() };
    }
    let member = |(member, error): (Identity, ErrorCode)| LeaveGroupResponseMember {
        member_id: member.id,
        group_instance_id: member.instance_id,
        error_code: error.code(),
    };
    LeaveGroupResponse {
        throttle_time_ms: 0,
        error_code: reply.error.code(),
        members: reply.members.into_iter().map(member).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left() -> LeaveReply {
        let member = Identity { id: "m".into(), instance_id: None };
        LeaveReply { error: ErrorCode::NONE, members: vec![(member, ErrorCode::UNKNOWN_MEMBER_ID)] }
    }

    #[test]
    fn an_old_client_that_leaves_reads_its_own_outcome_at_the_top() {
        let response = leave_response(left(), 2);

        assert_eq!((response.error_code, response.members.len()), (ErrorCode::UNKNOWN_MEMBER_ID.code(), 0));
    }

    #[test]
    fn a_batch_of_leavers_has_its_outcomes_inside() {
        let response = leave_response(left(), 3);

        assert_eq!((response.error_code, response.members.len()), (0, 1));
    }

    #[test]
    fn only_versions_that_can_say_no_protocol_do() {
        let refused = || JoinReply::refused("m", ErrorCode::UNKNOWN_MEMBER_ID);

        assert_eq!(join_response(refused(), 6).protocol_name.as_deref(), Some(""));
        assert_eq!(join_response(refused(), 7).protocol_name, None);
    }

    #[test]
    fn a_client_that_knows_one_timeout_uses_it_for_both() {
        let request = JoinGroupRequest { session_timeout_ms: 7_000, ..JoinGroupRequest::default() };

        let join = join(request, 0, Caller::default(), String::new());

        assert_eq!(join.rebalance_timeout, join.session_timeout);
    }
}
