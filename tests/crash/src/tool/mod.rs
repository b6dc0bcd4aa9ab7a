//! The tools of the machine: looked for, run, and cleaned up after.

pub(crate) mod block;
pub(crate) mod mount;
pub(crate) mod network;
pub(crate) mod strace;

use core::time::Duration;
use std::env;
use std::io::{self, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Instant;

use rustix::process::{Pid, Signal, geteuid, kill_process_group};

use crate::campaign::Stop;
use crate::check::alone;

/// Skips the campaign when a program is not there.
pub(crate) fn need(programs: &[&str]) -> Result<(), Stop> {
    let paths = env::var_os("PATH").unwrap_or_default();
    let there = |program: &str| env::split_paths(&paths).any(|path| path.join(program).is_file());
    let missing: Vec<&str> = programs.iter().copied().filter(|program| !there(program)).collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(Stop::Skip(format!("not installed: {}", missing.join(", "))))
    }
}

/// Skips the campaign for anyone but root.
pub(crate) fn need_root(what: &str) -> Result<(), Stop> {
    if geteuid().is_root() { Ok(()) } else { Err(Stop::Skip(format!("only root {what}"))) }
}

/// Runs a tool to its end; its words are in the error.
pub(crate) fn run(command: &mut Command) -> io::Result<()> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let child = alone(|| command.spawn())?;
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(());
    }
    let name = command.get_program().to_string_lossy().into_owned();
    let words = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{name}: {}", words.lines().next().unwrap_or("failed"))))
}

/// Runs a tool whose failure nobody can do anything about.
pub(crate) fn try_run(program: &str, args: &[&str]) {
    let _ = run(Command::new(program).args(args));
}

/// A program that is killed, with its own children, when this is dropped.
#[derive(Debug)]
pub(crate) struct Running(pub(crate) Child);

impl Running {
    /// Starts it in a process group of its own.
    pub(crate) fn start(command: &mut Command) -> io::Result<Self> {
        command.process_group(0);
        alone(|| command.spawn()).map(Self)
    }

    /// Stops it, or lets it go on.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(pid, signal);
        }
    }

    /// Kills it as an operating system does that needs the memory.
    pub(crate) fn kill(&mut self) {
        let pid = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        // Somebody who has been waited for has no group any more.
        if let (Some(pid), Ok(None)) = (pid, self.0.try_wait()) {
            let _ = kill_process_group(pid, Signal::KILL);
            let _ = self.0.wait();
        }
    }

    /// Waits for its end; none when it is still busy after `most`.
    pub(crate) fn wait(&mut self, most: Duration) -> io::Result<Option<ExitStatus>> {
        let start = Instant::now();
        let mut pause = Duration::from_micros(500);
        loop {
            if let Some(status) = self.0.try_wait()? {
                return Ok(Some(status));
            }
            if start.elapsed() > most {
                return Ok(None);
            }
            thread::sleep(pause);
            pause = pause.saturating_mul(2).min(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// How a victim came to its end.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) killed: bool,
    code: Option<i32>,
    stderr: String,
}

/// Longer than any victim takes: only one that hangs is still there.
const HANG: Duration = Duration::from_secs(60);

impl Ended {
    /// What is wrong with it, if it should have ended by itself.
    pub(crate) fn died(&self) -> Option<String> {
        match self.code {
            Some(0) => None,
            Some(code) if code == i32::from(crate::victim::NOT_OPENED) => None,
            _ if self.killed => Some("it was killed, or hung".into()),
            code => Some(format!("it ended with {code:?}: {}", self.stderr.lines().next().unwrap_or(""))),
        }
    }

    /// Whether it could not even open its queue.
    pub(crate) fn unopened(&self) -> bool {
        self.code == Some(i32::from(crate::victim::NOT_OPENED))
    }
}

/// Runs a victim to its end, whichever comes.
pub(crate) fn finish(command: &mut Command) -> io::Result<Ended> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut running = Running::start(command)?;
    let status = running.wait(HANG)?;
    running.kill();
    let mut stderr = String::new();
    if let Some(mut pipe) = running.0.stderr.take() {
        pipe.read_to_string(&mut stderr)?;
    }
    Ok(Ended {
        killed: status.is_none_or(|status| status.signal() == Some(9)),
        code: status.and_then(|status| status.code()),
        stderr,
    })
}
