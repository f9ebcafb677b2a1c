//! Did you mean: the known word that a written one is most likely a slip of.

use crate::limits::SUGGESTION_DISTANCE_MAX;

/// The nearest of `known`, if any is near enough to be worth naming.
pub(crate) fn nearest<'k>(written: &str, known: &[&'k str]) -> Option<&'k str> {
    let written = written.to_lowercase();
    let distance_max = SUGGESTION_DISTANCE_MAX.min(written.chars().count() / 2);
    known
        .iter()
        .map(|word| (strsim::damerau_levenshtein(&written, &word.to_lowercase()), *word))
        .filter(|(distance, word)| *distance <= distance_max || word.to_lowercase().starts_with(&written))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}
