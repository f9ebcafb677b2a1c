//! Takes connections and gives each its task.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use crate::connection;
use crate::shared::Shared;

/// Pause after the operating system refused to hand over a connection, as when it has no descriptor left.
const ACCEPT_PAUSE: std::time::Duration = std::time::Duration::from_millis(50);

/// Accepts until stopped.
pub(crate) async fn run(
    listener: TcpListener,
    shared: Arc<Shared>,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    let room = Arc::new(Semaphore::new(shared.cluster.config.connections_max));
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%error, "accepting a connection failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(place) = room.clone().try_acquire_owned() else {
            warn!(%peer, max = shared.cluster.config.connections_max, "too many connections");
            continue;
        };
        let shared = shared.clone();
        let stop = stop.clone();
        tasks.spawn(async move {
            if let Err(error) = connection::serve(stream, peer, &shared, &stop).await {
                debug!(%peer, %error, cause = ?std::error::Error::source(&error), "connection closed");
            }
            drop(place);
        });
    }
}
