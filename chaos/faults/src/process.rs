//! A child process that a drill kills, stops and lets go on. Signals are checked by looking at the process
//! afterwards, not by trusting that they were sent.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};

use crate::{
    Evidence,
    limits::{PROCESS_STATE_POLL, PROCESS_STATE_WAIT_MAX},
};

/// Why a process could not be started or signalled.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    #[error("{name} did not start from {program}")]
    Start { name: String, program: PathBuf, source: io::Error },
    #[error("log {path} of {name} cannot be opened")]
    Log { name: String, path: PathBuf, source: io::Error },
    #[error("{signal} did not reach {name} (pid {pid})")]
    Signal { name: String, pid: i32, signal: Signal, source: nix::Error },
    #[error("{name} (pid {pid}) was not seen {state} within {PROCESS_STATE_WAIT_MAX:?}")]
    Unmoved { name: String, pid: i32, state: &'static str },
    #[error("{path} does not say which process to kill")]
    PidFile { path: PathBuf, source: io::Error },
    #[error("{name} is not running")]
    NotRunning { name: String },
}

/// A process that we started, and therefore may kill.
#[derive(Debug)]
pub struct SpawnedProcess {
    name: String,
    pid: i32,
    child: Child,
    log: PathBuf,
}

impl SpawnedProcess {
    /// Starts `command` with its output appended to `log`. It is killed when the value is dropped.
    ///
    /// # Errors
    ///
    /// [`ProcessError::Log`], [`ProcessError::Start`].
    pub fn start(name: &str, mut command: Command, log: &Path) -> Result<Self, ProcessError> {
        let open = || fs::File::options().create(true).append(true).open(log);
        let out = open().and_then(|out| open().map(|err| (out, err)));
        let (out, err) =
            out.map_err(|source| ProcessError::Log { name: name.to_owned(), path: log.to_owned(), source })?;
        let program = PathBuf::from(command.as_std().get_program());
        let started = command.stdin(Stdio::null()).stdout(out).stderr(err).kill_on_drop(true).spawn();
        let child =
            started.map_err(|source| ProcessError::Start { name: name.to_owned(), program, source })?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        let pid = pid.ok_or_else(|| ProcessError::NotRunning { name: name.to_owned() })?;
        Ok(Self { name: name.to_owned(), pid, child, log: log.to_owned() })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Where its output goes.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Its exit status, once it has one.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// SIGKILL, and waits until the process is gone.
    ///
    /// # Errors
    ///
    /// [`ProcessError::NotRunning`], [`ProcessError::Signal`], [`ProcessError::Unmoved`].
    pub async fn kill(&mut self) -> Result<Evidence, ProcessError> {
        self.signal(Signal::SIGKILL)?;
        let status = self.gone("dead").await?;
        Ok(self.evidence("kill -9", format!("pid {} ended: {status}", self.pid)))
    }

    /// SIGTERM, and waits until the process is gone.
    ///
    /// # Errors
    ///
    /// As [`SpawnedProcess::kill`].
    pub async fn terminate(&mut self) -> Result<ExitStatus, ProcessError> {
        self.signal(Signal::SIGTERM)?;
        self.gone("ended").await
    }

    /// SIGSTOP, and waits until the kernel shows the process stopped.
    ///
    /// # Errors
    ///
    /// As [`SpawnedProcess::kill`].
    pub async fn pause(&mut self) -> Result<Evidence, ProcessError> {
        self.signal(Signal::SIGSTOP)?;
        let deadline = Instant::now() + PROCESS_STATE_WAIT_MAX;
        while !self.is_stopped() {
            if Instant::now() >= deadline {
                return Err(self.unmoved("stopped"));
            }
            sleep(PROCESS_STATE_POLL).await;
        }
        Ok(self.evidence("pause", format!("pid {} is stopped (state T)", self.pid)))
    }

    /// SIGCONT.
    ///
    /// # Errors
    ///
    /// [`ProcessError::NotRunning`], [`ProcessError::Signal`].
    pub fn resume(&mut self) -> Result<(), ProcessError> {
        self.signal(Signal::SIGCONT)
    }

    fn signal(&mut self, signal: Signal) -> Result<(), ProcessError> {
        if self.exited().is_some() {
            return Err(ProcessError::NotRunning { name: self.name.clone() });
        }
        kill(Pid::from_raw(self.pid), signal).map_err(|source| ProcessError::Signal {
            name: self.name.clone(),
            pid: self.pid,
            signal,
            source,
        })
    }

    async fn gone(&mut self, state: &'static str) -> Result<ExitStatus, ProcessError> {
        match timeout(PROCESS_STATE_WAIT_MAX, self.child.wait()).await {
            Ok(Ok(status)) => Ok(status),
            Ok(Err(_)) | Err(_) => Err(self.unmoved(state)),
        }
    }

    fn is_stopped(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
    }

    fn unmoved(&self, state: &'static str) -> ProcessError {
        ProcessError::Unmoved { name: self.name.clone(), pid: self.pid, state }
    }

    fn evidence(&self, fault: &str, seen: String) -> Evidence {
        Evidence { fault: fault.to_owned(), target: self.name.clone(), bit: true, seen: vec![seen] }
    }
}

/// SIGKILL for the process whose id stands in `file`, which its owner gave us for that; waits until it is gone.
///
/// # Errors
///
/// [`ProcessError::PidFile`], [`ProcessError::Signal`], [`ProcessError::Unmoved`].
pub async fn kill_by_file(file: &Path) -> Result<Evidence, ProcessError> {
    let name = file.display().to_string();
    let text =
        fs::read_to_string(file).map_err(|source| ProcessError::PidFile { path: file.to_owned(), source })?;
    let not_a_pid = || io::Error::new(io::ErrorKind::InvalidData, "holds no process id");
    let pid: i32 = text
        .trim()
        .parse()
        .ok()
        .filter(|pid| *pid > 1)
        .ok_or_else(|| ProcessError::PidFile { path: file.to_owned(), source: not_a_pid() })?;
    let failed = |source| ProcessError::Signal { name: name.clone(), pid, signal: Signal::SIGKILL, source };
    kill(Pid::from_raw(pid), Signal::SIGKILL).map_err(failed)?;
    let deadline = Instant::now() + PROCESS_STATE_WAIT_MAX;
    while is_alive(pid) {
        if Instant::now() >= deadline {
            return Err(ProcessError::Unmoved { name, pid, state: "dead" });
        }
        sleep(PROCESS_STATE_POLL).await;
    }
    let seen = vec![format!("pid {pid} of {name} is gone after SIGKILL")];
    Ok(Evidence { fault: "kill -9".to_owned(), target: name, bit: true, seen })
}

/// Whether a process runs; one that has ended and was not waited for by its parent does not.
fn is_alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper(folder: &Path) -> SpawnedProcess {
        let mut command = Command::new("sleep");
        command.arg("60");
        SpawnedProcess::start("sleeper", command, &folder.join("log")).expect("sleep starts")
    }

    #[tokio::test]
    async fn a_kill_is_shown_by_the_signal_that_ended_the_process() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let mut process = sleeper(folder.path());

        let evidence = process.kill().await.expect("killed");

        assert!(evidence.bit && evidence.seen[0].contains("signal: 9"), "{evidence:?}");
    }

    #[tokio::test]
    async fn a_paused_process_is_seen_stopped() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let mut process = sleeper(folder.path());

        process.pause().await.expect("stopped");

        assert!(process.is_stopped());
    }

    #[tokio::test]
    async fn killing_a_dead_process_is_an_error() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let mut process = sleeper(folder.path());
        process.kill().await.expect("killed");

        let again = process.kill().await;

        assert!(matches!(again, Err(ProcessError::NotRunning { .. })), "{again:?}");
    }
}
