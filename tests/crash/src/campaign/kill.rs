//! `kill -9`: the process dies, the page cache does not, so nothing may be lost under any policy.

use core::time::Duration;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::process::Stdio;
use std::thread;

use whisperr_collector::Collector;
use whisperr_std::Fsync;

use super::{Context, Place, Ran, Stop, each};
use crate::chance::Chance;
use crate::check::{self, Promise};
use crate::journal;
use crate::options::{BESIDE, Victim, policy_name};
use crate::report::Row;
use crate::serve;
use crate::tool::strace::{self, Point};
use crate::tool::{Running, finish};

/// Kills at a random moment, in a chain of runs on one queue.
pub(super) fn random(context: &Context) -> Ran {
    let mut row = Row::default();
    let mut chance = context.chance("kill");
    for (policy, fsync) in [Fsync::Never, BESIDE, Fsync::Always].into_iter().enumerate() {
        let place = Place::new()?;
        for run in 0..10_usize.saturating_mul(context.scale) {
            let mut victim = Victim::storage(&place.queue, &place.journal);
            victim = victim.first(place.said()?.next()).ops(1_000_000).fsync(fsync);
            let mut command = victim.command(&context.program);
            command.stdin(Stdio::null()).stdout(Stdio::null());
            let before = place.said()?;
            let length = fs::metadata(&place.journal).map_or(0, |journal| journal.len());
            let mut running = Running::start(&mut command)?;
            // The first operation shows that it runs; it is killed somewhere behind it.
            while !journal::has_accepted(&place.journal, length)? {
                if running.wait(Duration::ZERO)?.is_some() {
                    return Err(Stop::Failed("the victim ended too soon".into()));
                }
                thread::sleep(Duration::from_millis(1));
            }
            thread::sleep(Duration::from_micros(chance.below(20_000)));
            running.kill();

            let copied = place.path("copy");
            check::copy(&place.queue, &copied)?;
            let how = format!("policy {policy}, run {run}");
            let mut verdict = context.check(&copied, &place.said()?, Promise::Process)?;
            verdict.accepted = place.said()?.accepted.difference(&before.accepted).count() as u64;
            row.add(verdict, &how);
        }
    }
    row.note("never, interval, always");
    Ok(row)
}

/// Kills at every system call that concerns the queue.
pub(super) fn calls(context: &Context) -> Ran {
    let mut jobs = Vec::new();
    for fsync in [Fsync::Always, Fsync::Never] {
        let place = Place::new()?;
        let points = strace::points(context, &victim(&place, fsync))?;
        jobs.extend(points.into_iter().map(|point| (fsync, point)));
    }
    let all = jobs.len();
    let jobs = context.chance("kill-calls").some(jobs, 500_usize.saturating_mul(context.scale));
    let tried = jobs.len();
    let mut row = each(jobs, |(fsync, point), row| {
        let place = Place::new()?;
        let Point { call, nth } = &point;
        let mut command =
            strace::inject(context, &victim(&place, fsync), call, "signal=KILL", &nth.to_string(), None);
        let how = format!("{} killed at {point}", policy_name(fsync));
        let ended = finish(&mut command)?;
        if !ended.killed {
            row.breaks(format!("{how}: it was not, the run is not repeatable"));
        }
        row.add(context.check(&place.queue, &place.said()?, Promise::Process)?, &how);
        Ok::<(), Stop>(())
    })?;
    row.note(format!("{tried} of {all} system calls; always, never"));
    Ok(row)
}

/// A short run through everything a queue file does.
fn victim(place: &Place, fsync: Fsync) -> Victim {
    Victim::storage(&place.queue, &place.journal).ops(60).fsync(fsync)
}

/// Kills while the queue is opened, again and again on the same directory.
pub(super) fn recovery(context: &Context) -> Ran {
    let place = Place::new()?;
    let points = strace::points(context, &victim(&place, Fsync::Always))?;
    let chains: Vec<usize> = (0..4_usize.saturating_mul(context.scale)).collect();
    let mut row = each(chains, |chain, row| recovery_chain(context, &points, chain, row))?;
    row.note("torn tails are put in front of every second opening");
    Ok(row)
}

/// Openings of one queue in a chain.
const RECOVERIES: u64 = 25;
/// The calls of an opening, of a torn one too.
const RECOVERING: [&str; 9] =
    ["openat", "openat", "pread64", "pread64", "ftruncate", "fsync", "fdatasync", "pwrite64", "statx"];

fn recovery_chain(context: &Context, points: &[Point], chain: usize, row: &mut Row) -> Result<(), Stop> {
    let mut chance = context.chance(&format!("kill-recovery {chain}"));
    let place = Place::new()?;
    let fsync = if chain.is_multiple_of(2) { Fsync::Always } else { Fsync::Never };
    let (mut kills, mut counted) = (0_u64, 0);
    for run in 0..RECOVERIES {
        if run > 0 && chance.below(2) == 0 {
            tear(&place.queue, &mut chance)?;
        }
        let call = *chance.one(&RECOVERING).unwrap_or(&"pwrite64");
        let before_the_queue = points.iter().filter(|point| point.call == call).map(|point| point.nth).min();
        // Opening reads the segments, and changes few files.
        let most = if matches!(call, "openat" | "pread64") { 8 } else { 3 };
        let nth = before_the_queue.unwrap_or(1).saturating_add(chance.below(most));
        let victim = Victim::storage(&place.queue, &place.journal).fsync(fsync);
        let victim = victim.first(place.said()?.next()).ops(15);
        let ended =
            finish(&mut strace::inject(context, &victim, call, "signal=KILL", &nth.to_string(), None))?;
        kills = kills.saturating_add(ended.killed.into());
        if !place.queue.exists() {
            continue;
        }
        let copied = place.path("copy");
        check::copy(&place.queue, &copied)?;
        let how = format!("chain {chain}, run {run}, {} killed at {call} {nth}", policy_name(fsync));
        let said = place.said()?;
        let mut verdict = context.check(&copied, &said, Promise::Process)?;
        // Each operation is counted once for its chain.
        let all = core::mem::replace(&mut counted, verdict.accepted);
        verdict.accepted = verdict.accepted.saturating_sub(all);
        row.add(verdict, &how);
    }
    enough(row, kills, RECOVERIES);
    Ok(())
}

/// Runs in which nothing was killed prove nothing.
fn enough(row: &mut Row, kills: u64, runs: u64) {
    if kills < runs / 3 {
        row.breaks(format!("only {kills} of {runs} runs were killed"));
    }
}

/// Puts what an interrupted write leaves behind the newest segment: it was never promised.
fn tear(queue: &Path, chance: &mut Chance) -> io::Result<()> {
    let names = fs::read_dir(queue)?.map(|entry| entry.map(|entry| entry.file_name()));
    let mut names = names.collect::<io::Result<Vec<_>>>()?;
    names.retain(|name| name.to_string_lossy().ends_with(".log"));
    names.sort_unstable();
    let Some(newest) = names.pop() else { return Ok(()) };
    let length = usize::try_from(chance.below(200)).unwrap_or(0).saturating_add(1);
    let torn: Vec<u8> = match (chance.below(3), names.first()) {
        (0, _) => vec![0; length],
        // Blocks that belonged to another file.
        (1, Some(other)) => fs::read(queue.join(other))?.into_iter().skip(32).take(length).collect(),
        _ => (0..length).map(|_| chance.next() as u8).collect(),
    };
    OpenOptions::new().append(true).open(queue.join(newest))?.write_all(&torn)
}

/// The calls of a client that delivers, and how many of each there are at least.
const DELIVERING: [(&str, u64); 6] =
    [("pwrite64", 150), ("write", 200), ("fdatasync", 5), ("sendto", 5), ("recvfrom", 8), ("epoll_wait", 10)];

/// Kills the client at system calls of storage and network, and delivers in between.
pub(super) fn client(context: &Context) -> Ran {
    let mut chance = context.chance("kill-client");
    let collector = Collector::start()?;
    let place = Place::new()?;
    let mut row = Row::default();
    let (mut kills, mut counted) = (0_u64, 0);
    let runs = 24_u64.saturating_mul(context.scale as u64);
    for run in 0..runs {
        let mut victim = Victim::client(&place.queue, &place.journal, &collector.url());
        victim = victim.first(place.said()?.next()).ops(200);
        victim.fsync = if chance.below(2) == 0 { Fsync::Always } else { BESIDE };
        victim.deliver = Duration::from_secs(10);
        // By each thread: of those that deliver, only one makes the calls of the network.
        let (call, most) = *chance.one(&DELIVERING).unwrap_or(&("pwrite64", 1));
        let nth = chance.below(most).saturating_add(1);
        let ended =
            finish(&mut strace::inject(context, &victim, call, "signal=KILL", &nth.to_string(), None))?;
        kills = kills.saturating_add(ended.killed.into());
        if !place.queue.exists() {
            continue;
        }
        let how = format!("run {run}, client killed at {call} {nth}");
        let said = deliver(context, &victim, &mut row, &how)?;
        let mut verdict = context.check_arrived(serve::numbers(&collector), &said);
        let all = core::mem::replace(&mut counted, verdict.accepted);
        verdict.accepted = verdict.accepted.saturating_sub(all);
        verdict.broken.extend(collector.conflicts());
        row.add(verdict, &how);
    }
    enough(&mut row, kills, runs);
    row.duplicates = collector.duplicates() as u64;
    row.note(format!("{kills} kills at calls of files and network; always, interval"));
    Ok(row)
}

/// Opens the queue with a new client, which delivers everything, and returns all that was said.
pub(super) fn deliver(
    context: &Context,
    victim: &Victim,
    row: &mut Row,
    how: &str,
) -> Result<journal::Said, Stop> {
    let mut next = victim.clone().ops(0);
    next.paused = false;
    next.deliver = Duration::from_secs(30);
    let ended = finish(&mut next.command(&context.program))?;
    if let Some(died) = ended.died().or_else(|| ended.unopened().then(|| "it did not open".into())) {
        row.breaks(format!("{how}: the next client: {died}"));
    }
    Ok(journal::Said::read(&victim.journal)?)
}
