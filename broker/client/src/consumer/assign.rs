//! The range assignor: shares partitions topic by topic among the members that want the topic.

use std::collections::BTreeMap;

use leeward_wire::consumer_protocol::{ConsumerProtocolAssignment, ConsumerProtocolTopicPartitions};

/// Name of the assignor, which all members of a group must share.
pub(super) const RANGE: &str = "range";

/// Gives each member its partitions: of each topic, members in order of their ids get neighbouring ones, the first
/// members one more where it does not come out even.
///
/// `members`: member id and wanted topics. `partitions`: how many each topic has; topics missing in it are left out.
pub(super) fn range(
    members: &BTreeMap<String, Vec<String>>,
    partitions: &BTreeMap<String, i32>,
) -> BTreeMap<String, ConsumerProtocolAssignment> {
    let mut shares: BTreeMap<&String, Vec<ConsumerProtocolTopicPartitions>> =
        members.keys().map(|member| (member, Vec::new())).collect();
    for (topic, count) in partitions {
        let wanting: Vec<_> = members.iter().filter(|(_, topics)| topics.contains(topic)).collect();
        let Ok(sharers) = i32::try_from(wanting.len()) else {
            continue;
        };
        let mut next = 0;
        for (at, (member, _)) in (0..).zip(wanting) {
            let share = count / sharers + i32::from(at < count % sharers);
            if share > 0 {
                let taken = ConsumerProtocolTopicPartitions {
                    topic: topic.clone(),
                    partitions: (next..next + share).collect(),
                };
                shares.entry(member).or_default().push(taken);
            }
            next += share;
        }
    }
    shares
        .into_iter()
        .map(|(member, assigned_partitions)| {
            (member.clone(), ConsumerProtocolAssignment { assigned_partitions, user_data: None })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(wants: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
        wants
            .iter()
            .map(|(member, topics)| ((*member).to_owned(), topics.iter().map(|t| (*t).to_owned()).collect()))
            .collect()
    }

    fn share(
        assigned: &BTreeMap<String, ConsumerProtocolAssignment>,
        member: &str,
    ) -> Vec<(String, Vec<i32>)> {
        assigned[member]
            .assigned_partitions
            .iter()
            .map(|part| (part.topic.clone(), part.partitions.clone()))
            .collect()
    }

    #[test]
    fn the_first_members_get_the_odd_partitions() {
        let assigned =
            range(&members(&[("a", &["t"]), ("b", &["t"])]), &BTreeMap::from([("t".to_owned(), 5)]));

        assert_eq!(share(&assigned, "a"), [("t".to_owned(), vec![0, 1, 2])]);
        assert_eq!(share(&assigned, "b"), [("t".to_owned(), vec![3, 4])]);
    }

    #[test]
    fn a_topic_goes_only_to_members_that_want_it() {
        let wants = members(&[("a", &["t"]), ("b", &["u"])]);
        let counts = BTreeMap::from([("t".to_owned(), 1), ("u".to_owned(), 2)]);

        let assigned = range(&wants, &counts);

        assert_eq!(share(&assigned, "a"), [("t".to_owned(), vec![0])]);
        assert_eq!(share(&assigned, "b"), [("u".to_owned(), vec![0, 1])]);
    }

    #[test]
    fn a_member_too_many_gets_an_empty_share() {
        let assigned =
            range(&members(&[("a", &["t"]), ("b", &["t"])]), &BTreeMap::from([("t".to_owned(), 1)]));

        assert_eq!(share(&assigned, "b"), []);
    }
}
