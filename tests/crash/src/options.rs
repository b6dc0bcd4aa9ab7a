//! What a victim is told on its command line, by the harness.

use core::time::Duration;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use lexopt::ValueExt;
use lexopt::prelude::Long;
use whisperr_std::Fsync;

/// How much of the world below the call a victim has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The queue file alone.
    Storage,
    /// The client, over real HTTP.
    Client,
}

/// One victim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Victim {
    pub(crate) kind: Kind,
    pub(crate) queue: PathBuf,
    pub(crate) journal: PathBuf,
    pub(crate) first: u64,
    pub(crate) ops: u64,
    pub(crate) fsync: Fsync,
    pub(crate) segment_bytes: u32,
    pub(crate) url: String,
    /// Bytes of text in each event.
    pub(crate) text: usize,
    pub(crate) pace: Duration,
    /// Whether events are only stored.
    pub(crate) paused: bool,
    /// How long the last flush may take.
    pub(crate) deliver: Duration,
    /// How long an attempt may take.
    pub(crate) timeout: Duration,
    /// Whether it waits at the end until its standard input does.
    pub(crate) hold: bool,
    /// The log of block writes whose length is said with each operation.
    pub(crate) block_log: Option<PathBuf>,
}

/// Segments so small that a short run goes through many.
pub const SMALL_SEGMENT: u32 = 2048;

impl Victim {
    /// One that uses the queue file alone.
    #[must_use]
    pub fn storage(queue: &Path, journal: &Path) -> Self {
        Self {
            kind: Kind::Storage,
            queue: queue.into(),
            journal: journal.into(),
            first: 1,
            ops: 40,
            fsync: Fsync::Always,
            segment_bytes: SMALL_SEGMENT,
            url: String::new(),
            text: 20,
            pace: Duration::ZERO,
            paused: false,
            deliver: Duration::ZERO,
            timeout: Duration::from_secs(5),
            hold: false,
            block_log: None,
        }
    }

    /// One that uses the client.
    #[must_use]
    pub fn client(queue: &Path, journal: &Path, url: &str) -> Self {
        Self { kind: Kind::Client, url: url.into(), ..Self::storage(queue, journal) }
    }

    /// Sets the number of its first operation.
    #[must_use]
    pub const fn first(mut self, first: u64) -> Self {
        self.first = first;
        self
    }

    /// Sets how many operations it makes.
    #[must_use]
    pub const fn ops(mut self, ops: u64) -> Self {
        self.ops = ops;
        self
    }

    /// Sets when it syncs.
    #[must_use]
    pub const fn fsync(mut self, fsync: Fsync) -> Self {
        self.fsync = fsync;
        self
    }

    /// The arguments that [`parse`](Self::parse) reads.
    pub(crate) fn args(&self) -> Vec<OsString> {
        let mut args: Vec<OsString> = vec!["victim".into()];
        let mut pair = |name: &str, value: OsString| args.extend([name.into(), value]);
        pair("--kind", if self.kind == Kind::Storage { "storage" } else { "client" }.into());
        pair("--queue", self.queue.clone().into());
        pair("--journal", self.journal.clone().into());
        pair("--first", self.first.to_string().into());
        pair("--ops", self.ops.to_string().into());
        pair("--fsync", policy_name(self.fsync).into());
        pair("--segment-bytes", self.segment_bytes.to_string().into());
        pair("--text", self.text.to_string().into());
        pair("--pace-us", self.pace.as_micros().to_string().into());
        pair("--deliver-ms", self.deliver.as_millis().to_string().into());
        pair("--timeout-ms", self.timeout.as_millis().to_string().into());
        if !self.url.is_empty() {
            pair("--url", self.url.clone().into());
        }
        if let Some(log) = &self.block_log {
            pair("--block-log", log.clone().into());
        }
        args.extend(self.paused.then(|| "--paused".into()));
        args.extend(self.hold.then(|| "--hold".into()));
        args
    }

    /// The command that runs it.
    #[must_use]
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.args(self.args());
        // A proxy of the machine is not on the way to a collector.
        command.env("NO_PROXY", "*").env_remove("RUST_BACKTRACE");
        command
    }

    pub(crate) fn parse(parser: &mut lexopt::Parser) -> Result<Self, lexopt::Error> {
        let mut victim = Self::storage(Path::new(""), Path::new(""));
        while let Some(argument) = parser.next()? {
            match argument {
                Long("kind") => {
                    victim.kind = if parser.value()? == "storage" { Kind::Storage } else { Kind::Client };
                }
                Long("queue") => victim.queue = parser.value()?.into(),
                Long("journal") => victim.journal = parser.value()?.into(),
                Long("first") => victim.first = parser.value()?.parse()?,
                Long("ops") => victim.ops = parser.value()?.parse()?,
                Long("fsync") => victim.fsync = policy(&parser.value()?.string()?)?,
                Long("segment-bytes") => victim.segment_bytes = parser.value()?.parse()?,
                Long("text") => victim.text = parser.value()?.parse()?,
                Long("pace-us") => victim.pace = Duration::from_micros(parser.value()?.parse()?),
                Long("deliver-ms") => victim.deliver = Duration::from_millis(parser.value()?.parse()?),
                Long("timeout-ms") => victim.timeout = Duration::from_millis(parser.value()?.parse()?),
                Long("url") => victim.url = parser.value()?.string()?,
                Long("block-log") => victim.block_log = Some(parser.value()?.into()),
                Long("paused") => victim.paused = true,
                Long("hold") => victim.hold = true,
                other => return Err(other.unexpected()),
            }
        }
        Ok(victim)
    }
}

/// How the victim's interval is told; the harness syncs more often than the default.
const INTERVAL: Duration = Duration::from_millis(20);

/// The policy that syncs beside the calls.
pub const BESIDE: Fsync = Fsync::Interval(INTERVAL);

/// The name of a policy.
pub(crate) const fn policy_name(fsync: Fsync) -> &'static str {
    match fsync {
        Fsync::Always => "always",
        Fsync::Never => "never",
        _ => "interval",
    }
}

fn policy(name: &str) -> Result<Fsync, lexopt::Error> {
    match name {
        "always" => Ok(Fsync::Always),
        "never" => Ok(Fsync::Never),
        "interval" => Ok(BESIDE),
        other => Err(format!("no policy is called {other}").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_victim_reads_what_it_was_told() {
        let mut told = Victim::client(Path::new("/queue"), Path::new("/journal"), "http://localhost:1");
        told = told.first(7).ops(9).fsync(BESIDE);
        told.paused = true;
        told.hold = true;
        told.text = 100;
        told.deliver = Duration::from_millis(5);
        told.block_log = Some("/log".into());

        let mut parser = lexopt::Parser::from_args(told.args().into_iter().skip(1));

        assert_eq!(Victim::parse(&mut parser).unwrap(), told);
    }
}
