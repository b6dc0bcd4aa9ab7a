//! System calls of a victim: counted, failed, or its last.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::{finish, need};
use crate::campaign::{Context, Stop};
use crate::options::Victim;

/// Every system call with which the queue file touches the file system, or might.
pub(crate) const CALLS: &[&str] = &[
    "openat",
    "pwrite64",
    "pread64",
    "fdatasync",
    "fsync",
    "ftruncate",
    "fallocate",
    "unlinkat",
    "mkdir",
    "flock",
    "getdents64",
    "fstat",
    "statx",
    "newfstatat",
];

/// One system call of a victim: the `nth` of this name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Point {
    pub(crate) call: String,
    pub(crate) nth: u64,
}

impl core::fmt::Display for Point {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} {}", self.call, self.nth)
    }
}

/// Runs a victim once and returns its system calls that concern its queue.
pub(crate) fn points(context: &Context, victim: &Victim) -> Result<Vec<Point>, Stop> {
    need(&["strace"])?;
    let log = victim.journal.with_extension("calls");
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-y", "--seccomp-bpf", "-e", &format!("trace={}", CALLS.join(","))]);
    command.arg("-o").arg(&log);
    append(&mut command, context, victim);
    let ended = finish(&mut command)?;
    if let Some(died) = ended.died() {
        return Err(Stop::Skip(format!("strace cannot trace here: {died}")));
    }
    let queue = victim.queue.to_string_lossy().into_owned();
    let mut counts: HashMap<(String, String), u64> = HashMap::new();
    let mut points = Vec::new();
    for line in fs::read_to_string(&log)?.lines() {
        let Some((thread, call)) = name(line) else { continue };
        let count = counts.entry((thread.into(), call.into())).or_default();
        *count = count.saturating_add(1);
        if line.contains(&queue) {
            points.push(Point { call: call.into(), nth: *count });
        }
    }
    fs::remove_file(log)?;
    Ok(points)
}

/// The thread and the call of a line of strace.
fn name(line: &str) -> Option<(&str, &str)> {
    let (thread, rest) = line.split_once(' ')?;
    let (call, _) = rest.trim_start().split_once('(')?;
    call.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_').then_some((thread, call))
}

/// A victim with something done to it: `signal=KILL`, `error=EIO`; `when` is strace's.
pub(crate) fn inject(
    context: &Context,
    victim: &Victim,
    call: &str,
    what: &str,
    when: &str,
    log: Option<&Path>,
) -> Command {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-y"]);
    // Faster, but signals that are injected get lost with it.
    command.args((!what.starts_with("signal")).then_some("--seccomp-bpf"));
    // What is logged is the whole story of the files; otherwise only what is done.
    let traced = if log.is_some() { "pwrite64,fdatasync,fsync" } else { call };
    command.arg("-e").arg(format!("trace={traced}"));
    command.arg("-e").arg(format!("inject={call}:{what}:when={when}"));
    command.arg("-o").arg(log.unwrap_or(Path::new("/dev/null")));
    append(&mut command, context, victim);
    command
}

fn append(command: &mut Command, context: &Context, victim: &Victim) {
    let plain = victim.command(&context.program);
    command.arg(plain.get_program()).args(plain.get_args());
    command.env("NO_PROXY", "*").env_remove("RUST_BACKTRACE");
}
