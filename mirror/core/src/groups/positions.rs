//! The positions of the source's groups, from looks at all of them and from the log that commits are written to.
//!
//! A look is whole but a moment old when it arrives; the log is exact but begins somewhere. Where both are there, a look counts
//! once the log was read to where it ended after the look: a position that the log has spoken of is the log's then, any other the
//! look's. So nothing is missed between the two, and no position goes back because two answers crossed.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use leeward_model::GroupName;

use super::{Commit, CommitReader, Key, Position, Unreadable};

/// All positions that the source tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    pub positions: BTreeMap<Key, Position>,
    /// Groups that are there but could not be asked: theirs stay as they are known.
    pub unread: BTreeSet<GroupName>,
}

/// What the log said last of positions; `None` where one was deleted.
type Said = BTreeMap<Key, Option<Position>>;

#[derive(Debug)]
struct Tail {
    /// By partition of the offsets topic.
    readers: BTreeMap<i32, CommitReader>,
    /// Since the last look began.
    said: Said,
    /// In the time before that: a look may miss the very last commits before it began.
    said_before: Said,
    /// The newest look, and where the log ended after it.
    look: Option<(Look, BTreeMap<i32, i64>)>,
    /// Look and log have met once: from then on each commit counts at once.
    settled: bool,
}

/// The positions of the source's groups as far as they are known.
#[derive(Debug, Default)]
pub struct Positions {
    known: BTreeMap<Key, Position>,
    tail: Option<Tail>,
    changed: BTreeSet<Key>,
}

impl Positions {
    pub fn get(&self, key: &Key) -> Option<&Position> {
        self.known.get(key)
    }

    /// Positions that have changed, or are gone, since this was last asked.
    pub fn take_changed(&mut self) -> BTreeSet<Key> {
        std::mem::take(&mut self.changed)
    }

    /// From here on only looks tell.
    pub fn follow_looks(&mut self) {
        let Some(Tail { look: Some((look, _)), said, said_before, .. }) = self.tail.take() else { return };
        self.become_known(look, &[said_before, said]);
    }

    /// Whether the log is read too.
    pub fn follows_log(&self) -> bool {
        self.tail.is_some()
    }

    /// From here on the log is read too, each partition from the offset given; a look has to follow.
    pub fn follow_log(&mut self, starts: BTreeMap<i32, i64>) {
        let readers = starts.into_iter().map(|(partition, next)| (partition, CommitReader::at(next)));
        self.tail = Some(Tail {
            readers: readers.collect(),
            said: BTreeMap::new(),
            said_before: BTreeMap::new(),
            look: None,
            settled: false,
        });
    }

    /// Whether each commit counts as soon as it is read from the log.
    pub fn is_settled(&self) -> bool {
        self.tail.as_ref().is_some_and(|tail| tail.settled)
    }

    /// Whether a look waits for the log to be read up to where it ended then.
    pub fn look_waits(&self) -> bool {
        self.tail.as_ref().is_some_and(|tail| tail.look.is_some())
    }

    /// A look begins: to be told before the first group is asked.
    pub fn look_begins(&mut self) {
        if let Some(tail) = self.tail.as_mut().filter(|tail| tail.settled) {
            tail.look = None;
            tail.said_before = std::mem::take(&mut tail.said);
        }
    }

    /// Takes a look; `ends` is where the log's partitions ended after it, `None` where nobody asked.
    pub fn looked(&mut self, look: Look, ends: Option<BTreeMap<i32, i64>>) {
        let Some(tail) = &mut self.tail else { return self.become_known(look, &[]) };
        match (tail.settled, ends) {
            (true, None) => {}
            (true, Some(ends)) => tail.look = Some((look, ends)),
            (false, ends) => {
                tail.look = ends.map(|ends| (look.clone(), ends));
                self.become_known(look, &[]);
            }
        }
        self.meet();
    }

    /// Takes batches of one partition of the log.
    ///
    /// # Errors
    ///
    /// [`Unreadable`]; the log is to be followed anew then.
    pub fn read(
        &mut self,
        partition: i32,
        records: Bytes,
        wanted: impl Fn(&GroupName) -> bool,
    ) -> Result<(), Unreadable> {
        let Some(tail) = &mut self.tail else { return Ok(()) };
        let Some(reader) = tail.readers.get_mut(&partition) else { return Ok(()) };
        for commit in reader.read(records, wanted)? {
            let Commit { key, position, .. } = commit;
            if tail.settled && self.known.get(&key) != position.as_ref() {
                match position.clone() {
                    Some(position) => self.known.insert(key.clone(), position),
                    None => self.known.remove(&key),
                };
                self.changed.insert(key.clone());
            }
            tail.said.insert(key, position);
        }
        self.meet();
        Ok(())
    }

    /// Lets a look count once the log was read far enough.
    fn meet(&mut self) {
        let Some(tail) = &mut self.tail else { return };
        let readers = &tail.readers;
        let reached = |(partition, end): (&i32, &i64)| {
            readers.get(partition).is_some_and(|reader| reader.next() >= *end)
        };
        let met = tail.look.take_if(|(_, ends)| ends.iter().all(reached));
        let Some((look, _)) = met else { return };
        tail.settled = true;
        let said = [std::mem::take(&mut tail.said_before), tail.said.clone()];
        self.become_known(look, &said);
    }

    fn become_known(&mut self, look: Look, said: &[Said]) {
        let Look { mut positions, unread } = look;
        let kept = self.known.iter().filter(|((group, _), _)| unread.contains(group));
        positions.extend(kept.map(|(key, position)| (key.clone(), position.clone())));
        for (key, said) in said.iter().flatten() {
            match said {
                Some(position) => positions.insert(key.clone(), position.clone()),
                None => positions.remove(key),
            };
        }
        let new = positions.iter().filter(|(key, position)| self.known.get(*key) != Some(*position));
        let gone = self.known.keys().filter(|key| !positions.contains_key(*key));
        self.changed.extend(new.map(|(key, _)| key).chain(gone).cloned());
        self.known = positions;
    }
}
