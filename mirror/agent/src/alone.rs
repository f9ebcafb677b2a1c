//! A thread of its own for each link: a record's way through it never changes the core. Spread over a pool's threads, the
//! tasks of one link wake each other across cores, and take a third more processor time for the same bytes.

use std::{future::Future, io, thread};

use tokio::{runtime::Builder, sync::oneshot};

/// Runs `work` on a new thread with a runtime of its own. What `work` spawned and left behind ends with it; then the answer
/// comes. An answer that is dropped tells of a panic.
///
/// # Errors
///
/// The operating system's, where it has no thread or no event queue left.
pub(crate) fn run_alone(
    work: impl Future<Output = ()> + Send + 'static,
) -> io::Result<oneshot::Receiver<()>> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (done, ended) = oneshot::channel();
    thread::Builder::new().name("link".to_owned()).spawn(move || {
        runtime.block_on(work);
        // Names that are still being resolved are not waited for.
        runtime.shutdown_background();
        // Nobody may wait any more.
        let _ = done.send(());
    })?;
    Ok(ended)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn what_was_left_behind_ends_with_the_work() {
        let (kept, mut left) = mpsc::channel::<()>(1);

        let ended = run_alone(async move {
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_secs(3600)).await;
                drop(kept);
            });
        });

        ended.expect("a thread").await.expect("no panic");
        assert_eq!(left.recv().await, None);
    }

    #[tokio::test]
    async fn a_panic_drops_the_answer() {
        let ended = run_alone(async { panic!("on purpose") });

        assert!(ended.expect("a thread").await.is_err());
    }
}
