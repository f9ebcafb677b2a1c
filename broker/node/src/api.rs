//! What the node answers, one module per subject.

pub(crate) mod configs;
pub(crate) mod fetch;
pub(crate) mod groups;
pub(crate) mod metadata;
pub(crate) mod offsets;
pub(crate) mod produce;
pub(crate) mod producers;
pub(crate) mod topics;

use leeward_wire::ErrorCode;

use crate::partition::LEADER_EPOCH;
use crate::validate::Refused;

/// Runs what may wait for the disk where it holds up no other connection.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(failed) => std::panic::resume_unwind(failed.into_panic()),
    }
}

/// The code and text of an outcome.
pub(crate) fn outcome(result: Result<(), Refused>) -> (i16, Option<String>) {
    match result {
        Ok(()) => (ErrorCode::NONE.code(), None),
        Err(refused) => (refused.error.code(), Some(refused.message)),
    }
}

/// Refuses a request made under another leadership than the one there is; -1 says that the client knows none.
pub(crate) fn check_leader_epoch(epoch: i32) -> Result<(), ErrorCode> {
    if epoch > LEADER_EPOCH {
        Err(ErrorCode::UNKNOWN_LEADER_EPOCH)
    } else if (0..LEADER_EPOCH).contains(&epoch) {
        Err(ErrorCode::FENCED_LEADER_EPOCH)
    } else {
        Ok(())
    }
}
