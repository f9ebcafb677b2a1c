//! The connections of one cluster: one for each broker and lane, opened when somebody needs it.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::{sync::Semaphore, time::Instant};

use crate::{ConnectError, Connection, limits::CONNECT_FAILURE_SHARED};

/// Which connection to a broker. A broker answers the requests of one connection one after the other, so a long wait
/// holds up everything behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Short requests of everybody.
    Shared,
    /// Produce requests of everybody.
    Produce,
    /// Somebody's own, from [`Lane::own`].
    Own(u64),
}

impl Lane {
    /// A lane that nobody else has.
    pub fn own() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self::Own(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

#[derive(Debug, Default)]
pub(super) struct Pool {
    slots: Mutex<HashMap<(i32, Lane), Arc<Slot>>>,
}

#[derive(Debug)]
struct Slot {
    state: Mutex<SlotState>,
    /// One opens, the others wait for what comes of it.
    turn: Semaphore,
}

#[derive(Debug, Default)]
struct SlotState {
    connection: Option<Connection>,
    failure: Option<(Instant, ConnectError)>,
}

impl Slot {
    fn live(&self) -> Option<Connection> {
        self.state.lock().connection.clone().filter(|connection| !connection.is_spent())
    }

    fn fresh_failure(&self, since: Instant) -> Option<ConnectError> {
        let state = self.state.lock();
        let (at, error) = state.failure.as_ref()?;
        let fresh = *at >= since || at.elapsed() < CONNECT_FAILURE_SHARED;
        fresh.then(|| error.clone())
    }
}

impl Pool {
    /// The connection to a broker on a lane; `opening` makes it where there is none.
    ///
    /// Of callers at the same time one opens. A failure is everybody's who waited for it.
    pub(super) async fn get(
        &self,
        broker: i32,
        lane: Lane,
        opening: impl Future<Output = Result<Connection, ConnectError>>,
    ) -> Result<Connection, ConnectError> {
        let slot = self
            .slots
            .lock()
            .entry((broker, lane))
            .or_insert_with(|| Arc::new(Slot { state: Mutex::default(), turn: Semaphore::new(1) }))
            .clone();
        if let Some(connection) = slot.live() {
            return Ok(connection);
        }
        let asked_at = Instant::now();
        let _turn = slot.turn.acquire().await.expect("the semaphore is never closed");
        if let Some(connection) = slot.live() {
            return Ok(connection);
        }
        if let Some(error) = slot.fresh_failure(asked_at) {
            return Err(error);
        }
        let opened = opening.await;
        let mut state = slot.state.lock();
        match opened {
            Ok(connection) => {
                *state = SlotState { connection: Some(connection.clone()), failure: None };
                Ok(connection)
            }
            Err(error) => {
                *state = SlotState { connection: None, failure: Some((Instant::now(), error.clone())) };
                Err(error)
            }
        }
    }

    /// Any connection that lives and has no long waits on it.
    pub(super) fn any_live(&self) -> Option<Connection> {
        let slots = self.slots.lock();
        let quick = slots.iter().filter(|((_, lane), _)| !matches!(lane, Lane::Own(_)));
        quick.map(|(_, slot)| slot).find_map(|slot| slot.live())
    }

    /// Forgets a lane on all brokers; its connections close when nobody holds them.
    pub(super) fn forget_lane(&self, lane: Lane) {
        self.slots.lock().retain(|(_, other), _| *other != lane);
    }

    /// Forgets all connections; they close when nobody holds them.
    pub(super) fn forget_all(&self) {
        self.slots.lock().clear();
    }
}
