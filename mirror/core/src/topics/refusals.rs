//! What the target refused: left out of commands for a while, then tried again.
//!
//! It does not know why a target refuses, only in what words. One setting that is refused keeps back no other, and no topic.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use leeward_model::{Instant, TopicName};

use super::TopicCommand;

/// A change of one topic that is taken or refused by itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    Creation,
    /// To so many.
    Partitions(u32),
    /// `None` unsets.
    Setting {
        key: String,
        value: Option<String>,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Creation => f.write_str("the topic"),
            Self::Partitions(count) => write!(f, "{count} partitions"),
            Self::Setting { key, value: Some(value) } => write!(f, "{key}={value}"),
            Self::Setting { key, value: None } => write!(f, "{key} unset"),
        }
    }
}

#[derive(Debug)]
struct Refusal {
    reason: String,
    again: Instant,
}

/// The changes that a target refused, as far as they are still wanted.
#[derive(Debug)]
pub struct Refusals {
    again_after: Duration,
    refused: BTreeMap<(TopicName, Change), Refusal>,
}

impl Refusals {
    /// Nothing was refused yet; what is refused is left out for so long.
    pub fn new(again_after: Duration) -> Self {
        Self { again_after, refused: BTreeMap::new() }
    }

    /// The target refuses a change; true where that, or the reason, is news.
    pub fn refuse(&mut self, topic: &TopicName, change: Change, reason: &str, now: Instant) -> bool {
        let again = now.after(self.again_after);
        let refusal = Refusal { reason: reason.to_owned(), again };
        let before = self.refused.insert((topic.clone(), change), refusal);
        before.is_none_or(|before| before.reason != reason)
    }

    /// The target has taken a change.
    pub fn take(&mut self, topic: &TopicName, change: Change) {
        self.refused.remove(&(topic.clone(), change));
    }

    /// What is refused, and in what words.
    pub fn told(&self) -> impl Iterator<Item = (&TopicName, &Change, &str)> {
        self.refused.iter().map(|((topic, change), refusal)| (topic, change, refusal.reason.as_str()))
    }

    /// Leaves out of all that is to be done what was refused lately, and forgets what is not wanted any more.
    #[must_use]
    pub fn leave_out(&mut self, commands: Vec<TopicCommand>, now: Instant) -> Vec<TopicCommand> {
        let wanted: BTreeSet<_> = commands.iter().flat_map(changes).collect();
        self.refused.retain(|refused, _| wanted.contains(refused));
        commands.into_iter().filter_map(|command| self.rest(command, now)).collect()
    }

    /// What is left of a command; `None` where nothing is.
    fn rest(&self, command: TopicCommand, now: Instant) -> Option<TopicCommand> {
        let due = |name: &TopicName, change: Change| {
            self.refused.get(&(name.clone(), change)).is_none_or(|refusal| refusal.again <= now)
        };
        match command {
            TopicCommand::Create { name, partitions, mut configs } => {
                configs.retain(|key, value| due(&name, setting(key, Some(value))));
                due(&name, Change::Creation).then_some(TopicCommand::Create { name, partitions, configs })
            }
            TopicCommand::Grow { name, partitions } => {
                due(&name, Change::Partitions(partitions)).then_some(TopicCommand::Grow { name, partitions })
            }
            TopicCommand::Configure { name, mut set, mut unset } => {
                set.retain(|key, value| due(&name, setting(key, Some(value))));
                unset.retain(|key| due(&name, setting(key, None)));
                let left = !set.is_empty() || !unset.is_empty();
                left.then_some(TopicCommand::Configure { name, set, unset })
            }
        }
    }
}

fn setting(key: &str, value: Option<&String>) -> Change {
    Change::Setting { key: key.to_owned(), value: value.cloned() }
}

fn changes(command: &TopicCommand) -> Vec<(TopicName, Change)> {
    let (name, changes): (_, Vec<_>) = match command {
        TopicCommand::Create { name, configs, .. } => {
            let settings = configs.iter().map(|(key, value)| setting(key, Some(value)));
            (name, settings.chain([Change::Creation]).collect())
        }
        TopicCommand::Grow { name, partitions } => (name, vec![Change::Partitions(*partitions)]),
        TopicCommand::Configure { name, set, unset } => {
            let set = set.iter().map(|(key, value)| setting(key, Some(value)));
            (name, set.chain(unset.iter().map(|key| setting(key, None))).collect())
        }
    };
    changes.into_iter().map(|change| (name.clone(), change)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_secs(30);

    fn orders() -> TopicName {
        TopicName::new("orders").unwrap()
    }

    fn configure(pairs: &[(&str, &str)]) -> TopicCommand {
        let set = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        TopicCommand::Configure { name: orders(), set, unset: Vec::new() }
    }

    fn small_segments() -> Change {
        setting("segment.bytes", Some(&"14".to_owned()))
    }

    fn refusing_small_segments() -> Refusals {
        let mut refusals = Refusals::new(PAUSE);
        refusals.refuse(&orders(), small_segments(), "too small", Instant::ZERO);
        refusals
    }

    #[test]
    fn a_refused_setting_is_left_out_and_keeps_back_no_other() {
        let mut refusals = refusing_small_segments();

        let wanted = configure(&[("retention.ms", "5"), ("segment.bytes", "14")]);
        let left = refusals.leave_out(vec![wanted], Instant::ZERO);

        assert_eq!(left, [configure(&[("retention.ms", "5")])]);
    }

    #[test]
    fn a_refused_setting_keeps_back_no_topic() {
        let mut refusals = refusing_small_segments();
        let create = |pairs: &[(&str, &str)]| {
            let configs = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            TopicCommand::Create { name: orders(), partitions: 1, configs }
        };

        let left = refusals.leave_out(vec![create(&[("segment.bytes", "14")])], Instant::ZERO);

        assert_eq!(left, [create(&[])]);
    }

    #[test]
    fn a_command_of_which_nothing_is_left_is_none() {
        let mut refusals = refusing_small_segments();

        let left = refusals.leave_out(vec![configure(&[("segment.bytes", "14")])], Instant::ZERO);

        assert_eq!(left, []);
    }

    #[test]
    fn a_refused_change_is_tried_again_after_a_while() {
        let mut refusals = refusing_small_segments();
        let wanted = configure(&[("segment.bytes", "14")]);

        let left = refusals.leave_out(vec![wanted.clone()], Instant::ZERO.after(PAUSE));

        assert_eq!(left, [wanted]);
    }

    #[test]
    fn another_value_is_tried_at_once_and_the_old_refusal_forgotten() {
        let mut refusals = refusing_small_segments();
        let wanted = configure(&[("segment.bytes", "2000000")]);

        let left = refusals.leave_out(vec![wanted.clone()], Instant::ZERO);

        assert_eq!(left, [wanted]);
        assert_eq!(refusals.told().count(), 0);
    }

    #[test]
    fn a_refusal_in_the_same_words_is_no_news() {
        let mut refusals = refusing_small_segments();

        let same = refusals.refuse(&orders(), small_segments(), "too small", Instant::ZERO);
        let other = refusals.refuse(&orders(), small_segments(), "forbidden", Instant::ZERO);

        assert_eq!((same, other), (false, true));
        assert_eq!(refusals.told().collect::<Vec<_>>(), [(&orders(), &small_segments(), "forbidden")]);
    }

    #[test]
    fn a_topic_that_cannot_be_made_waits_as_a_whole() {
        let mut refusals = Refusals::new(PAUSE);
        refusals.refuse(&orders(), Change::Creation, "too few brokers", Instant::ZERO);

        let create = TopicCommand::Create { name: orders(), partitions: 1, configs: BTreeMap::new() };
        let left = refusals.leave_out(vec![create], Instant::ZERO);

        assert_eq!(left, []);
    }
}
