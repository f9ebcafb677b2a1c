//! What a server holds of fetched records while its peers take them, bounded for all of them together: a peer that asks
//! for much and never reads costs the others the size of their answers, not the server its memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Room for the answers of all connections of a server.
#[derive(Clone, Debug)]
pub struct AnswerRoom(Arc<Room>);

#[derive(Debug)]
struct Room {
    bytes: usize,
    least: usize,
    free: AtomicUsize,
    peers: AtomicUsize,
}

impl AnswerRoom {
    /// Room for `bytes` in all. Each answer may have `least` bytes, also where there is no room left.
    pub fn new(bytes: usize, least: usize) -> Self {
        Self(Arc::new(Room { bytes, least, free: AtomicUsize::new(bytes), peers: AtomicUsize::new(0) }))
    }

    /// One connection's part.
    pub fn peer(&self) -> PeerRoom {
        PeerRoom { room: self.clone(), fetches: false, held: 0 }
    }
}

/// One connection's part of an [`AnswerRoom`]: room for one answer at a time. Those that have reserved some before and
/// are still there share evenly; dropping it gives everything back.
#[derive(Debug)]
pub struct PeerRoom {
    room: AnswerRoom,
    /// Whether it is counted among those who share.
    fetches: bool,
    held: usize,
}

impl PeerRoom {
    /// Reserves room for an answer in place of the one before; returns how many bytes it may have: `wanted`, or fewer.
    pub fn reserve(&mut self, wanted: usize) -> usize {
        self.give_back();
        let room = &*self.room.0;
        if !self.fetches {
            self.fetches = true;
            room.peers.fetch_add(1, Ordering::Relaxed);
        }
        let share = room.bytes / room.peers.load(Ordering::Relaxed).max(1);
        let take = |free: usize| free - free.min(share).min(wanted);
        let before = room.free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |free| Some(take(free)));
        let free = before.unwrap_or_else(|free| free);
        self.held = free - take(free);
        self.held.max(room.least.min(wanted))
    }

    /// Gives back what the answer does not need, now that its size is known.
    pub fn keep(&mut self, bytes: usize) {
        let surplus = self.held.saturating_sub(bytes);
        self.held -= surplus;
        self.room.0.free.fetch_add(surplus, Ordering::Relaxed);
    }

    /// Gives back all: the answer was taken.
    pub fn give_back(&mut self) {
        self.keep(0);
    }
}

impl Drop for PeerRoom {
    fn drop(&mut self) {
        self.give_back();
        if self.fetches {
            self.room.0.peers.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_asks_alone_gets_what_it_wants() {
        let room = AnswerRoom::new(1000, 10);
        let mut peer = room.peer();

        assert_eq!(peer.reserve(700), 700);
        assert_eq!(peer.reserve(2000), 1000);
    }

    #[test]
    fn those_who_do_not_take_their_answers_hold_no_more_than_the_room_and_the_least_of_each() {
        let room = AnswerRoom::new(1000, 10);
        let mut deaf: Vec<PeerRoom> = (0..50).map(|_| room.peer()).collect();

        let held: usize = deaf.iter_mut().map(|peer| peer.reserve(usize::MAX)).sum();

        assert!(held <= 1000 + 50 * 10, "{held}");
        assert!(deaf.iter_mut().all(|peer| peer.held <= 1000));
    }

    #[test]
    fn where_no_room_is_left_an_answer_has_the_least() {
        let room = AnswerRoom::new(1000, 10);
        let mut deaf = room.peer();
        deaf.reserve(1000);
        let mut late = room.peer();

        assert_eq!(late.reserve(500), 10);
        assert_eq!(late.reserve(4), 4);
    }

    #[test]
    fn what_an_answer_does_not_need_is_free_for_others() {
        let room = AnswerRoom::new(1000, 10);
        let (mut first, mut second) = (room.peer(), room.peer());
        first.reserve(1000);
        first.keep(100);

        assert_eq!(second.reserve(1000), 500);
        first.give_back();
        drop(first);
        assert_eq!(second.reserve(1000), 1000);
    }

    #[test]
    fn a_peer_that_goes_gives_everything_back() {
        let room = AnswerRoom::new(1000, 10);
        let mut gone = room.peer();
        gone.reserve(1000);
        drop(gone);

        assert_eq!(room.peer().reserve(1000), 1000);
    }

    #[test]
    fn peers_that_never_fetch_take_no_share() {
        let room = AnswerRoom::new(1000, 10);
        let _idle: Vec<PeerRoom> = (0..50).map(|_| room.peer()).collect();

        assert_eq!(room.peer().reserve(1000), 1000);
    }
}
