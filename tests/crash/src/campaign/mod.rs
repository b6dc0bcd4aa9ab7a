//! The campaigns: what is done to the victims, and what must hold afterwards.

mod errors;
mod full;
mod kill;
mod lying;
mod network;
mod power;
mod replay;
mod short;

use core::error::Error;
use core::fmt;
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use tempfile::TempDir;

use crate::arguments::{CAMPAIGNS, Options};
use crate::chance::Chance;
use crate::check::{self, Promise, Verdict};
use crate::journal::Said;
use crate::report::{Outcome, Report, Row};
use crate::{Result, tell};

/// What every campaign is given.
#[derive(Debug)]
pub(crate) struct Context {
    /// This program, which is also its victims.
    pub(crate) program: PathBuf,
    pub(crate) scale: usize,
    pub(crate) seed: u64,
    pub(crate) lose_one: bool,
}

/// Why a campaign has no result.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The machine lacks something.
    Skip(String),
    /// The harness itself failed.
    Failed(String),
}

impl<E: Error> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.to_string())
    }
}

/// What a campaign comes to.
pub(crate) type Ran = core::result::Result<Row, Stop>;

/// Runs the campaigns that were asked for.
pub(crate) fn run(options: &Options) -> Result<Report> {
    let context = Context {
        program: std::env::current_exe()?,
        scale: usize::try_from(options.scale)?,
        seed: options.seed,
        lose_one: options.lose_one,
    };
    let mut report = Report::default();
    for (name, _) in CAMPAIGNS {
        if !options.only.is_empty() && !options.only.iter().any(|only| only == name) {
            continue;
        }
        tell(&format!("{name} ..."));
        let start = Instant::now();
        let outcome = match one(name, &context) {
            Ok(row) => Outcome::Ran(row),
            Err(Stop::Skip(why)) => {
                tell(&format!("SKIPPED {name}: {why}"));
                Outcome::Skipped(why)
            }
            Err(Stop::Failed(why)) => {
                let mut row = Row::default();
                row.breaks(format!("the harness failed: {why}"));
                Outcome::Ran(row)
            }
        };
        if let Outcome::Ran(row) = &outcome {
            for broken in &row.broken {
                tell(&format!("BROKEN {name}: {broken}"));
            }
        }
        tell(&format!("{name}: {:.1} s", start.elapsed().as_secs_f32()));
        report.add(name, outcome);
    }
    Ok(report)
}

fn one(name: &str, context: &Context) -> Ran {
    match name {
        "kill" => kill::random(context),
        "kill-calls" => kill::calls(context),
        "kill-recovery" => kill::recovery(context),
        "kill-client" => kill::client(context),
        "errors" => errors::run(context),
        "short-writes" => short::run(context),
        "full-disk" => full::run(context),
        "power-ext4" => power::run(context, name, &power::EXT4),
        "power-xfs" => power::run(context, name, &power::XFS),
        "lost-replies" => network::lost_replies(context),
        "bad-network" => network::bad_network(context),
        "lying-sync" => lying::run(context),
        "block-replay" => replay::run(context),
        _ => Err(Stop::Failed("nobody wrote it".into())),
    }
}

impl Context {
    /// The chance of one campaign, which does not depend on the ones before it.
    pub(crate) fn chance(&self, campaign: &str) -> Chance {
        Chance(campaign.bytes().fold(self.seed, |seed, byte| Chance(seed ^ u64::from(byte)).next()))
    }

    /// Checks a queue directory, or that a check would find a loss.
    pub(crate) fn check(&self, queue: &Path, said: &Said, promise: Promise) -> io::Result<Verdict> {
        if self.lose_one {
            check::lose_one(queue, said)?;
        }
        check::storage(queue, said, promise)
    }

    /// Compares what arrived, likewise.
    pub(crate) fn check_arrived(&self, mut numbers: Vec<u64>, said: &Said) -> Verdict {
        if self.lose_one {
            let at = numbers.iter().position(|n| said.accepted.contains(n));
            at.map(|at| numbers.remove(at));
        }
        check::arrived(&numbers, said)
    }
}

/// A directory of a run, with the queue and the journal in it.
#[derive(Debug)]
pub(crate) struct Place {
    root: TempDir,
    pub(crate) queue: PathBuf,
    pub(crate) journal: PathBuf,
}

impl Place {
    pub(crate) fn new() -> io::Result<Self> {
        let root = tempfile::Builder::new().prefix("whisperr-crash-").tempdir()?;
        Ok(Self { queue: root.path().join("queue"), journal: root.path().join("journal"), root })
    }

    pub(crate) fn path(&self, name: impl fmt::Display) -> PathBuf {
        self.root.path().join(name.to_string())
    }

    pub(crate) fn said(&self) -> io::Result<Said> {
        Said::read(&self.journal)
    }
}

/// How many victims run at once.
const WORKERS: usize = 2;

/// Does all jobs, a few at a time. The first one that stops ends it.
pub(crate) fn each<J: Send>(
    jobs: Vec<J>,
    work: impl Fn(J, &mut Row) -> core::result::Result<(), Stop> + Sync,
) -> Ran {
    let queue = Mutex::new(VecDeque::from(jobs));
    let worker = |at: usize| {
        pin(at);
        let mut row = Row::default();
        loop {
            let job = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some(job) = job else { return Ok(row) };
            if let Err(stop) = work(job, &mut row) {
                queue.lock().unwrap_or_else(PoisonError::into_inner).clear();
                return Err(stop);
            }
        }
    };
    let rows = thread::scope(|scope| {
        let worker = &worker;
        let workers: Vec<_> = (0..WORKERS).map(|at| scope.spawn(move || worker(at))).collect();
        workers.into_iter().map(thread::ScopedJoinHandle::join).collect::<Vec<_>>()
    });
    let mut sum = Row::default();
    for row in rows {
        sum.join(row.unwrap_or_else(|_| Err(Stop::Failed("a worker panicked".into())))?);
    }
    Ok(sum)
}

/// Keeps this thread, and what it starts, on one processor: a tracer next to what it traces is four
/// times as fast.
fn pin(worker: usize) {
    let Ok(allowed) = sched_getaffinity(None) else { return };
    let processors = (0..CpuSet::MAX_CPU).filter(|processor| allowed.is_set(*processor)).collect::<Vec<_>>();
    if let Some(processor) = processors.iter().cycle().nth(worker) {
        let mut one = CpuSet::new();
        one.set(*processor);
        let _slower_without = sched_setaffinity(None, &one);
    }
}
