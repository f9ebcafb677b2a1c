//! Requests that concern several groups: split by the broker that keeps each, sent, and put together again in the order
//! asked. And the list of groups, of which every broker has a part.

use std::collections::{BTreeMap, VecDeque};

use futures::future::join_all;
use leeward_client::Cluster;
use leeward_model::GroupName;
use leeward_wire::api::{
    DeleteGroupsRequest, DeleteGroupsResponse, DeleteGroupsResponseGroup, DescribeGroupsRequest,
    DescribeGroupsResponse, DescribeGroupsResponseGroup, ListGroupsRequest, ListGroupsResponse,
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchResponse, OffsetFetchResponseGroup, RequestBody,
    ResponseBody,
};
use leeward_wire::{ErrorCode, Request};
use tokio::time::Instant;

use super::upstream::{NoAnswer, Upstream, send};
use crate::limits::{COORDINATORS_SOUGHT_AT_ONCE, RELAY_TIMEOUT};

/// Answers what is about several groups; `None` for a request about one or none, which one broker can answer as it came.
pub(super) async fn answer(
    upstream: &mut Upstream,
    body: &RequestBody,
    version: i16,
) -> Result<Option<ResponseBody>, NoAnswer> {
    let answer = match body {
        RequestBody::ListGroups(request) => ResponseBody::ListGroups(list(upstream, request, version).await?),
        RequestBody::DescribeGroups(request) if request.groups.len() > 1 => {
            ResponseBody::DescribeGroups(several(upstream, request, version).await?)
        }
        RequestBody::DeleteGroups(request) if request.groups_names.len() > 1 => {
            ResponseBody::DeleteGroups(several(upstream, request, version).await?)
        }
        RequestBody::OffsetFetch(request) if request.groups.len() > 1 => {
            let answer = several(upstream, request, version).await?;
            ResponseBody::OffsetFetch(without_leader_epochs(answer))
        }
        _ => return Ok(None),
    };
    Ok(Some(answer))
}

/// A request that names groups, and an answer that has something to tell of each.
trait OfGroups: Request + Sync {
    type Wanted: Clone + Send + Sync;
    type Told: Send;

    fn wanted(&self) -> &[Self::Wanted];
    fn group(wanted: &Self::Wanted) -> &str;
    /// The request for some of its groups.
    fn part(&self, wanted: Vec<Self::Wanted>) -> Self;

    fn told(answer: Self::Response) -> Vec<Self::Told>;
    /// The group that something is told of, and its error.
    fn outcome(told: &Self::Told) -> (&str, i16);
    fn refused(group: &str, code: ErrorCode) -> Self::Told;
    fn answer(told: Vec<Self::Told>) -> Self::Response;
}

/// Asks each group's coordinator. A group whose coordinator is not reached has its error, the others their answers.
async fn several<R: OfGroups>(
    upstream: &mut Upstream,
    request: &R,
    version: i16,
) -> Result<R::Response, NoAnswer> {
    upstream
        .within(async |upstream, cluster| {
            let kept_by = coordinators::<R>(upstream, &cluster, request.wanted()).await;
            let Split { by_broker, refused: mut told } = split::<R>(request.wanted(), kept_by);
            let parts = by_broker.iter().map(async |(broker, wanted)| {
                let connection = upstream.broker(&cluster, *broker).await?;
                send(&connection, &request.part(wanted.clone()), version, RELAY_TIMEOUT).await
            });
            for (wanted, answer) in by_broker.values().zip(join_all(parts).await) {
                match answer {
                    Ok(answer) => told.extend(R::told(answer)),
                    Err(NoAnswer) => told.extend(
                        wanted
                            .iter()
                            .map(|wanted| R::refused(R::group(wanted), ErrorCode::COORDINATOR_NOT_AVAILABLE)),
                    ),
                }
            }
            for (group, code) in told.iter().map(R::outcome) {
                if is_of_no_coordinator(code) {
                    cluster.forget_coordinator(&GroupName::new(group));
                }
            }
            Ok(R::answer(join::<R>(request.wanted(), told)))
        })
        .await
}

/// Leader epochs of one region mean nothing in the other.
pub(super) fn without_leader_epochs(mut answer: OffsetFetchResponse) -> OffsetFetchResponse {
    for partition in answer.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
        partition.committed_leader_epoch = -1;
    }
    let topics = answer.groups.iter_mut().flat_map(|group| &mut group.topics);
    for partition in topics.flat_map(|topic| &mut topic.partitions) {
        partition.committed_leader_epoch = -1;
    }
    answer
}

/// Whether an error says that a group's coordinator is to be looked up again.
pub(super) fn is_of_no_coordinator(code: i16) -> bool {
    [ErrorCode::NOT_COORDINATOR, ErrorCode::COORDINATOR_NOT_AVAILABLE].contains(&ErrorCode::new(code))
}

/// The broker that keeps each group, or why there is none.
async fn coordinators<R: OfGroups>(
    upstream: &Upstream,
    cluster: &Cluster,
    wanted: &[R::Wanted],
) -> Vec<Result<i32, ErrorCode>> {
    let deadline = Instant::now() + RELAY_TIMEOUT;
    let mut kept_by = Vec::with_capacity(wanted.len());
    for some in wanted.chunks(COORDINATORS_SOUGHT_AT_ONCE) {
        let sought = some.iter().map(async |wanted| {
            let found = upstream.coordinator(cluster, R::group(wanted));
            let found = tokio::time::timeout_at(deadline, found).await;
            found.unwrap_or(Err(ErrorCode::COORDINATOR_NOT_AVAILABLE))
        });
        kept_by.extend(join_all(sought).await);
    }
    kept_by
}

/// Groups of a request by the broker that keeps them; what is told of those that nobody keeps.
struct Split<R: OfGroups> {
    by_broker: BTreeMap<i32, Vec<R::Wanted>>,
    refused: Vec<R::Told>,
}

fn split<R: OfGroups>(wanted: &[R::Wanted], kept_by: Vec<Result<i32, ErrorCode>>) -> Split<R> {
    let mut split = Split { by_broker: BTreeMap::new(), refused: Vec::new() };
    for (wanted, kept_by) in wanted.iter().zip(kept_by) {
        match kept_by {
            Ok(broker) => split.by_broker.entry(broker).or_default().push(wanted.clone()),
            Err(code) => split.refused.push(R::refused(R::group(wanted), code)),
        }
    }
    split
}

/// Puts in the order asked what was told. A group that nothing was told of has an error; one that was named twice is told
/// as often as it was answered.
fn join<R: OfGroups>(wanted: &[R::Wanted], told: Vec<R::Told>) -> Vec<R::Told> {
    let mut by_group: BTreeMap<String, VecDeque<R::Told>> = BTreeMap::new();
    for told in told {
        let (group, _) = R::outcome(&told);
        by_group.entry(group.to_owned()).or_default().push_back(told);
    }
    let mut joined = Vec::with_capacity(wanted.len());
    for group in wanted.iter().map(R::group) {
        match by_group.get_mut(group) {
            Some(told) => joined.extend(told.pop_front()),
            None => joined.push(R::refused(group, ErrorCode::UNKNOWN_SERVER_ERROR)),
        }
    }
    joined
}

/// The groups of all brokers.
async fn list(
    upstream: &mut Upstream,
    request: &ListGroupsRequest,
    version: i16,
) -> Result<ListGroupsResponse, NoAnswer> {
    upstream
        .within(async |upstream, cluster| {
            let map = cluster.map();
            if map.brokers.is_empty() {
                return Err(NoAnswer);
            }
            let parts = map.brokers.keys().map(async |broker| {
                let connection = upstream.broker(&cluster, *broker).await?;
                send(&connection, request, version, RELAY_TIMEOUT).await
            });
            Ok(all_groups(join_all(parts).await))
        })
        .await
}

/// Puts lists together, each group once. A client that sees several brokers asks each, and has groups of some beside errors
/// of others; here it sees one broker, so it is told the first error beside the groups that were found: a list that has gaps
/// and no error would look like deleted groups.
fn all_groups(parts: Vec<Result<ListGroupsResponse, NoAnswer>>) -> ListGroupsResponse {
    let mut error_code = ErrorCode::NONE.code();
    let mut groups = BTreeMap::new();
    for part in parts {
        let part = part.unwrap_or_else(|NoAnswer| ListGroupsResponse {
            error_code: ErrorCode::COORDINATOR_NOT_AVAILABLE.code(),
            ..ListGroupsResponse::default()
        });
        if error_code == ErrorCode::NONE.code() {
            error_code = part.error_code;
        }
        for group in part.groups {
            groups.entry(group.group_id.clone()).or_insert(group);
        }
    }
    ListGroupsResponse { error_code, groups: groups.into_values().collect(), ..ListGroupsResponse::default() }
}

impl OfGroups for DescribeGroupsRequest {
    type Wanted = String;
    type Told = DescribeGroupsResponseGroup;

    fn wanted(&self) -> &[String] {
        &self.groups
    }

    fn group(wanted: &String) -> &str {
        wanted
    }

    fn part(&self, groups: Vec<String>) -> Self {
        Self { groups, include_authorized_operations: self.include_authorized_operations }
    }

    fn told(answer: DescribeGroupsResponse) -> Vec<Self::Told> {
        answer.groups
    }

    fn outcome(told: &Self::Told) -> (&str, i16) {
        (&told.group_id, told.error_code)
    }

    fn refused(group: &str, code: ErrorCode) -> Self::Told {
        Self::Told { group_id: group.to_owned(), error_code: code.code(), ..Self::Told::default() }
    }

    fn answer(groups: Vec<Self::Told>) -> DescribeGroupsResponse {
        DescribeGroupsResponse { groups, ..DescribeGroupsResponse::default() }
    }
}

impl OfGroups for DeleteGroupsRequest {
    type Wanted = String;
    type Told = DeleteGroupsResponseGroup;

    fn wanted(&self) -> &[String] {
        &self.groups_names
    }

    fn group(wanted: &String) -> &str {
        wanted
    }

    fn part(&self, groups_names: Vec<String>) -> Self {
        Self { groups_names }
    }

    fn told(answer: DeleteGroupsResponse) -> Vec<Self::Told> {
        answer.results
    }

    fn outcome(told: &Self::Told) -> (&str, i16) {
        (&told.group_id, told.error_code)
    }

    fn refused(group: &str, code: ErrorCode) -> Self::Told {
        Self::Told { group_id: group.to_owned(), error_code: code.code() }
    }

    fn answer(results: Vec<Self::Told>) -> DeleteGroupsResponse {
        DeleteGroupsResponse { results, ..DeleteGroupsResponse::default() }
    }
}

impl OfGroups for OffsetFetchRequest {
    type Wanted = OffsetFetchRequestGroup;
    type Told = OffsetFetchResponseGroup;

    fn wanted(&self) -> &[OffsetFetchRequestGroup] {
        &self.groups
    }

    fn group(wanted: &OffsetFetchRequestGroup) -> &str {
        &wanted.group_id
    }

    fn part(&self, groups: Vec<OffsetFetchRequestGroup>) -> Self {
        Self { groups, require_stable: self.require_stable, ..Self::default() }
    }

    fn told(answer: OffsetFetchResponse) -> Vec<Self::Told> {
        answer.groups
    }

    fn outcome(told: &Self::Told) -> (&str, i16) {
        (&told.group_id, told.error_code)
    }

    fn refused(group: &str, code: ErrorCode) -> Self::Told {
        Self::Told { group_id: group.to_owned(), topics: Vec::new(), error_code: code.code() }
    }

    fn answer(groups: Vec<Self::Told>) -> OffsetFetchResponse {
        OffsetFetchResponse { groups, ..OffsetFetchResponse::default() }
    }
}

#[cfg(test)]
mod tests {
    use leeward_wire::api::ListGroupsResponseGroup;

    use super::*;

    #[test]
    fn groups_are_split_by_the_broker_that_keeps_them() {
        let wanted = names(&["a", "b", "c"]);

        let split = split::<DeleteGroupsRequest>(&wanted, vec![Ok(2), Ok(1), Ok(2)]);

        assert_eq!(split.by_broker, BTreeMap::from([(1, names(&["b"])), (2, names(&["a", "c"]))]));
        assert!(split.refused.is_empty());
    }

    #[test]
    fn a_group_that_nobody_keeps_is_refused_alone() {
        let wanted = names(&["a", "b"]);
        let kept_by = vec![Err(ErrorCode::GROUP_AUTHORIZATION_FAILED), Ok(1)];

        let split = split::<DeleteGroupsRequest>(&wanted, kept_by);

        assert_eq!(split.by_broker, BTreeMap::from([(1, names(&["b"]))]));
        assert_eq!(outcomes(&split.refused), [("a", ErrorCode::GROUP_AUTHORIZATION_FAILED.code())]);
    }

    #[test]
    fn answers_come_in_the_order_asked() {
        let told = vec![deleted("b", 0), deleted("c", 68), deleted("a", 0)];

        let joined = join::<DeleteGroupsRequest>(&names(&["a", "b", "c"]), told);

        assert_eq!(outcomes(&joined), [("a", 0), ("b", 0), ("c", 68)]);
    }

    #[test]
    fn a_group_that_nothing_was_told_of_has_an_error() {
        let joined = join::<DeleteGroupsRequest>(&names(&["a", "b"]), vec![deleted("b", 0)]);

        assert_eq!(outcomes(&joined), [("a", ErrorCode::UNKNOWN_SERVER_ERROR.code()), ("b", 0)]);
    }

    #[test]
    fn a_group_named_twice_is_told_as_often_as_it_was_answered() {
        let joined =
            join::<DeleteGroupsRequest>(&names(&["a", "b", "a"]), vec![deleted("a", 0), deleted("b", 0)]);

        assert_eq!(outcomes(&joined), [("a", 0), ("b", 0)]);
    }

    #[test]
    fn a_part_of_a_request_for_positions_keeps_what_is_asked_of_each_group() {
        let asked = |group: &str| OffsetFetchRequestGroup {
            group_id: group.to_owned(),
            topics: None,
            ..OffsetFetchRequestGroup::default()
        };
        let whole = OffsetFetchRequest {
            groups: vec![asked("a"), asked("b")],
            require_stable: true,
            ..OffsetFetchRequest::default()
        };

        let part = whole.part(vec![asked("b")]);

        assert_eq!(part, OffsetFetchRequest { groups: vec![asked("b")], ..whole });
    }

    #[test]
    fn a_list_has_the_groups_of_all_brokers_each_once() {
        let all = all_groups(vec![Ok(listed(0, &["b", "c"])), Ok(listed(0, &["a", "b"]))]);

        assert_eq!(all, listed(0, &["a", "b", "c"]));
    }

    #[test]
    fn a_list_with_gaps_has_the_first_error() {
        let loading = ErrorCode::COORDINATOR_LOAD_IN_PROGRESS.code();

        let all = all_groups(vec![Ok(listed(0, &["a"])), Ok(listed(loading, &[])), Err(NoAnswer)]);

        assert_eq!(all, listed(loading, &["a"]));
    }

    #[test]
    fn a_list_of_brokers_that_are_not_reached_is_an_error() {
        let all = all_groups(vec![Err(NoAnswer), Err(NoAnswer)]);

        assert_eq!(all, listed(ErrorCode::COORDINATOR_NOT_AVAILABLE.code(), &[]));
    }

    fn names(groups: &[&str]) -> Vec<String> {
        groups.iter().map(|group| (*group).to_owned()).collect()
    }

    fn deleted(group: &str, error_code: i16) -> DeleteGroupsResponseGroup {
        DeleteGroupsResponseGroup { group_id: group.to_owned(), error_code }
    }

    fn outcomes(told: &[DeleteGroupsResponseGroup]) -> Vec<(&str, i16)> {
        told.iter().map(DeleteGroupsRequest::outcome).collect()
    }

    fn listed(error_code: i16, groups: &[&str]) -> ListGroupsResponse {
        let groups = groups.iter().map(|group| ListGroupsResponseGroup {
            group_id: (*group).to_owned(),
            ..ListGroupsResponseGroup::default()
        });
        ListGroupsResponse { error_code, groups: groups.collect(), ..ListGroupsResponse::default() }
    }
}
