//! What was sent, what was acknowledged, what stands in the logs: the drill's own ground truth, kept apart from
//! everything that is under test.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One producer writing into one partition, numbering its records from 0.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StreamName {
    /// How it produces: `gateway`, `direct`, or a foreign client's name.
    pub route: String,
    pub topic: String,
    pub partition: i32,
}

/// What happened to one record, by its number in its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Microseconds since the drill began.
    pub sent_at: u64,
    /// `None`: never acknowledged, so it may be anywhere.
    pub acked_at: Option<u64>,
}

/// Everything that one stream sent.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    sent: Vec<Sent>,
}

/// Every stream of a drill.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    streams: BTreeMap<StreamName, Stream>,
}

impl Ledger {
    /// Notes the next record of a stream and gives its number.
    pub fn sent(&mut self, stream: &StreamName, at: u64) -> u64 {
        let stream = self.streams.entry(stream.clone()).or_default();
        stream.sent.push(Sent { sent_at: at, acked_at: None });
        stream.sent.len() as u64 - 1
    }

    /// Notes an acknowledgement and says when the record was sent. A number that was never sent is not ours and is
    /// ignored.
    pub fn acked(&mut self, stream: &StreamName, number: u64, at: u64) -> Option<u64> {
        let sent = self.streams.get_mut(stream)?.sent.get_mut(number as usize)?;
        sent.acked_at.get_or_insert(at);
        Some(sent.sent_at)
    }

    pub fn streams(&self) -> impl Iterator<Item = (&StreamName, &[Sent])> {
        self.streams.iter().map(|(name, stream)| (name, stream.sent.as_slice()))
    }

    /// How many records each route sent.
    pub fn sent_by_route(&self) -> BTreeMap<String, u64> {
        let mut sent = BTreeMap::new();
        for (name, stream) in &self.streams {
            *sent.entry(name.route.clone()).or_default() += stream.sent.len() as u64;
        }
        sent
    }

    /// Times of all acknowledgements of a route, in order.
    pub fn ack_times(&self, route: &str) -> Vec<u64> {
        let mut times: Vec<u64> = self
            .streams()
            .filter(|(name, _)| name.route == route)
            .flat_map(|(_, sent)| sent.iter().filter_map(|sent| sent.acked_at))
            .collect();
        times.sort_unstable();
        times
    }

    pub fn routes(&self) -> Vec<String> {
        let mut routes: Vec<String> = self.streams.keys().map(|name| name.route.clone()).collect();
        routes.dedup();
        routes.sort();
        routes.dedup();
        routes
    }
}

/// A record of ours as it was found in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub stream: StreamName,
    pub number: u64,
    pub offset: i64,
}

impl Found {
    /// The value that a record carries: `leeward-drill ROUTE NUMBER` and padding. Topic and partition are where it
    /// is found.
    pub fn value(route: &str, number: u64, bytes: usize) -> Vec<u8> {
        let mut value = format!("leeward-drill {route} {number} ").into_bytes();
        value.resize(value.len().max(bytes), b'.');
        value
    }

    /// Reads a value back; `None` where it is not a drill's.
    pub fn parse(topic: &str, partition: i32, offset: i64, value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?;
        let mut words = text.split(' ');
        if words.next()? != "leeward-drill" {
            return None;
        }
        let route = words.next()?.to_owned();
        let number = words.next()?.parse().ok()?;
        Some(Self { stream: StreamName { route, topic: topic.to_owned(), partition }, number, offset })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_says_who_sent_it_and_which_it_is() {
        let value = Found::value("direct", 17, 64);

        let found = Found::parse("orders", 3, 99, &value).expect("ours");

        assert_eq!((found.stream.route.as_str(), found.number, value.len()), ("direct", 17, 64));
    }

    #[test]
    fn a_foreign_value_is_nobodys() {
        assert_eq!(Found::parse("orders", 0, 0, b"{\"id\": 1}"), None);
    }
}
