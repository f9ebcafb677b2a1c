//! Producers that are not ours: other programs, in other languages, that say on standard output what they sent and
//! what was acknowledged, one JSON object a line.
//!
//! Lines: `{"sent": {"topic", "partition", "number", "at_us"}}`, `{"acked": {...}}`, `{"error": {"what"}}`; others
//! are not for us. `at_us` is Unix microseconds.

use std::{io, process::Stdio};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::Notes;
use crate::{clock::DrillClock, ledger::StreamName, limits::LAST_BATCH_WAIT_MAX};

/// A foreign producer: its route, and the command that starts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignClient {
    /// `gateway-java`, `direct-librdkafka`: what stands before the first `-` says which way it goes.
    pub route: String,
    /// Words of the command; `{bootstrap}`, `{topic}`, `{partitions}` and `{route}` are filled in.
    pub command: Vec<String>,
}

/// Why a foreign producer does not run.
#[derive(Debug, thiserror::Error)]
pub enum ForeignError {
    #[error("client {route} has no command")]
    Empty { route: String },
    #[error("client {route} did not start")]
    Start { route: String, source: io::Error },
}

#[derive(Deserialize)]
struct Line {
    sent: Option<Place>,
    acked: Option<Place>,
    error: Option<Trouble>,
}

#[derive(Deserialize)]
struct Place {
    topic: String,
    partition: i32,
    number: u64,
    at_us: u64,
}

#[derive(Deserialize)]
struct Trouble {
    what: String,
}

impl ForeignClient {
    /// Starts the program, with its placeholders filled in.
    ///
    /// # Errors
    ///
    /// [`ForeignError`].
    pub(crate) fn start(&self, fill: &[(&str, String)]) -> Result<Child, ForeignError> {
        let words = self.command.iter().map(|word| {
            fill.iter().fold(word.clone(), |word, (name, value)| word.replace(&format!("{{{name}}}"), value))
        });
        let mut words = words.map(|word| word.replace("{route}", &self.route));
        let program = words.next().ok_or_else(|| ForeignError::Empty { route: self.route.clone() })?;
        Command::new(program)
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| ForeignError::Start { route: self.route.clone(), source })
    }
}

/// Writes down what the program says until `stop`; then lets it finish what is in flight, and ends it.
pub(crate) async fn listen(
    client: ForeignClient,
    mut child: Child,
    notes: Notes,
    clock: DrillClock,
    stop: CancellationToken,
) {
    let Some(out) = child.stdout.take() else { return };
    let mut lines = BufReader::new(out).lines();
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        () = write_down(&client, &mut lines, &notes, &clock) => return,
    }
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
    let _ = timeout(LAST_BATCH_WAIT_MAX, write_down(&client, &mut lines, &notes, &clock)).await;
    let _ = child.kill().await;
}

async fn write_down(
    client: &ForeignClient,
    lines: &mut Lines<BufReader<ChildStdout>>,
    notes: &Notes,
    clock: &DrillClock,
) {
    while let Ok(Some(text)) = lines.next_line().await {
        if let Ok(line) = serde_json::from_str::<Line>(&text) {
            note(client, line, notes, clock);
        }
    }
}

fn note(client: &ForeignClient, line: Line, notes: &Notes, clock: &DrillClock) {
    let stream = |place: &Place| StreamName {
        route: client.route.clone(),
        topic: place.topic.clone(),
        partition: place.partition,
    };
    notes.with(|notes| {
        if let Some(sent) = &line.sent {
            let number = notes.ledger.sent(&stream(sent), clock.micros_of_unix(sent.at_us));
            if number != sent.number {
                let what =
                    format!("numbers its records in an order of its own: {} came as {number}", sent.number);
                notes.last_error.insert(client.route.clone(), what);
            }
        }
        if let Some(acked) = &line.acked {
            let at = clock.micros_of_unix(acked.at_us);
            if let Some(sent_at) = notes.ledger.acked(&stream(acked), acked.number, at) {
                notes.took(&client.route, at.saturating_sub(sent_at));
            }
        }
        if let Some(error) = line.error {
            *notes.failed.entry(client.route.clone()).or_default() += 1;
            notes.last_error.insert(client.route.clone(), error.what);
        }
    });
}
