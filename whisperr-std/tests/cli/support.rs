//! A collector, a queue directory, and the command between them.

use core::time::Duration;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::thread;

use serde_json::Value;
use tempfile::TempDir;
use whisperr_collector::Collector;

/// Longer than anything here takes: only a hang comes to its end.
pub(crate) const SOON: Duration = Duration::from_secs(90);

/// Nobody listens here.
pub(crate) const NOBODY: &str = "http://127.0.0.1:9";

pub(crate) const KEY: &str = "wrk_secret_key";

pub(crate) struct World {
    pub(crate) collector: Collector,
    directory: TempDir,
}

/// What a command left.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { collector: Collector::start().unwrap(), directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn queue(&self) -> PathBuf {
        self.directory.path().join("queue")
    }

    /// The command with its settings, and these arguments split at spaces.
    pub(crate) fn command(&self, args: &str) -> Command {
        command(&self.queue(), &self.collector.url(), args)
    }

    pub(crate) fn run(&self, args: &str) -> Done {
        run(self.command(args), b"")
    }

    pub(crate) fn run_offline(&self, args: &str) -> Done {
        run(command(&self.queue(), NOBODY, args), b"")
    }

    pub(crate) fn pipe(&self, args: &str, input: impl AsRef<[u8]>) -> Done {
        run(self.command(&format!("pipe {args}")), input.as_ref())
    }

    pub(crate) fn pipe_offline(&self, args: &str, input: impl AsRef<[u8]>) -> Done {
        run(command(&self.queue(), NOBODY, &format!("pipe {args}")), input.as_ref())
    }

    pub(crate) fn status(&self) -> Value {
        let done = self.run("status");
        assert_eq!(done.code, Some(0), "{done:?}");
        serde_json::from_str(&done.stdout).unwrap()
    }

    pub(crate) fn owed(&self) -> u64 {
        self.status()["owed"].as_u64().unwrap()
    }

    /// The `n` of the events that arrived, in order.
    pub(crate) fn numbers(&self) -> Vec<u64> {
        let events = self.collector.events();
        events.iter().filter_map(|event| event["properties"]["n"].as_u64()).collect()
    }
}

/// The command in an environment that says nothing.
pub(crate) fn bare() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_whisperr"));
    for name in ["WHISPERR_API_KEY", "WHISPERR_BASE_URL", "WHISPERR_QUEUE_DIR"] {
        command.env_remove(name);
    }
    command.env("NO_PROXY", "127.0.0.1");
    command
}

pub(crate) fn command(queue: &Path, url: &str, args: &str) -> Command {
    let mut command = bare();
    command.args(["--key", KEY, "--base-url", url]).arg("--queue").arg(queue);
    command.args(args.split_whitespace());
    command
}

/// Runs a command to its end.
pub(crate) fn run(mut command: Command, input: &[u8]) -> Done {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let input = feed(child.stdin.take().unwrap(), input.to_vec());
    thread::spawn(move || drop(input.join()));
    wait(child)
}

/// Waits for the end of a command.
pub(crate) fn wait(child: Child) -> Done {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(child.wait_with_output()));
    let output = receiver.recv_timeout(SOON).expect("the command hangs").unwrap();
    let done = Done {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    };
    assert!(!done.stderr.contains("panicked"), "{}", done.stderr);
    assert!(!format!("{done:?}").contains("secret"), "the key or a value is shown: {done:?}");
    done
}

/// Writes to a command beside whoever reads from it, and gives its standard input back, still open.
pub(crate) fn feed(mut to: ChildStdin, input: Vec<u8>) -> thread::JoinHandle<ChildStdin> {
    thread::spawn(move || {
        if let Err(error) = to.write_all(&input) {
            // A command that ended, or was killed, does not read to the end.
            assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        }
        to
    })
}

/// Lines that track events with these numbers.
pub(crate) fn lines(numbers: impl IntoIterator<Item = u64>) -> String {
    let line = |n| format!("{{\"track\":\"door_opened\",\"user\":\"u1\",\"properties\":{{\"n\":{n}}}}}\n");
    numbers.into_iter().map(line).collect()
}

/// The answers of `pipe`.
pub(crate) fn answers(done: &Done) -> Vec<Value> {
    done.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
