//! Did you mean: the known word that a written one is most likely a slip of.

use crate::limits::SUGGESTION_DISTANCE_MAX;

/// Shortest text whose beginning alone makes a suggestion: `automatic` for `auto`.
const PREFIX_MIN: usize = 3;

/// What other tools' fields are called here.
const FOREIGN: [(&str, &str); 8] = [
    ("topicPattern", "topics.include"),
    ("topicsPattern", "topics.include"),
    ("topicsExcludePattern", "topics.exclude"),
    ("groupsPattern", "offsets.groups.include"),
    ("groupsExcludePattern", "offsets.groups.exclude"),
    ("bootstrapServers", "bootstrap"),
    ("replicationPolicy", "naming"),
    ("strategy", "mode"),
];

/// Our name for another tool's field.
pub(crate) fn ours(written: &str) -> Option<&'static str> {
    FOREIGN.iter().find(|(theirs, _)| *theirs == written).map(|(_, ours)| *ours)
}

/// The nearest of `known`, if any is near enough to be worth naming.
pub(crate) fn nearest<'k>(written: &str, known: &[&'k str]) -> Option<&'k str> {
    let written = written.to_lowercase();
    let distance_max = SUGGESTION_DISTANCE_MAX.min(written.chars().count() / 2);
    known
        .iter()
        .map(|word| (strsim::damerau_levenshtein(&written, &word.to_lowercase()), *word))
        .filter(|(distance, word)| {
            let word = word.to_lowercase();
            let begins = |one: &str, other: &str| other.len() >= PREFIX_MIN && one.starts_with(other);
            *distance <= distance_max || begins(&word, &written) || begins(&written, &word)
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}
