//! Writes that take less than they were given, as a medium without room and a signal do.

use std::fs;
use std::process::Command;

use whisperr_std::Fsync;

use super::{Context, Place, Ran, Stop, each};
use crate::check::Promise;
use crate::options::{Victim, policy_name};
use crate::tool::{finish, need, run as run_tool};

/// Stands in front of the C library's `pwrite64`.
const SHIM: &str = include_str!("short_write.c");

/// What follows the short write: the rest, or an error for this write, or for every one from then on.
const MODES: [&str; 4] = ["rest", "bytes", "ENOSPC", "EIO"];

/// Writes of a victim that are tried one by one.
const WRITES: u64 = 60;

pub(super) fn run(context: &Context) -> Ran {
    need(&["cc"])?;
    let built = Place::new()?;
    let (source, shim) = (built.path("short_write.c"), built.path("short_write.so"));
    fs::write(&source, SHIM)?;
    let mut compile = Command::new("cc");
    compile.args(["-O1", "-shared", "-fPIC", "-o"]).args([&shim, &source]).arg("-ldl");
    run_tool(&mut compile)?;

    let mut jobs = Vec::new();
    for fsync in [Fsync::Always, Fsync::Never] {
        for mode in MODES {
            jobs.extend((1..=WRITES).map(|nth| (fsync, mode, nth)));
        }
    }
    let all = jobs.len();
    let jobs = context.chance("short-writes").some(jobs, 160_usize.saturating_mul(context.scale));
    let tried = jobs.len();
    let mut row = each(jobs, |(fsync, mode, nth), row| {
        let place = Place::new()?;
        let victim = Victim::storage(&place.queue, &place.journal).ops(60).fsync(fsync);
        let mut command = victim.command(&context.program);
        let done = place.path("done");
        command.env("LD_PRELOAD", &shim).env("SHORT_WRITE_AT", nth.to_string());
        command.env("SHORT_WRITE_THEN", mode).env("SHORT_WRITE_DONE", &done);
        let how = format!("{}, write {nth} short, then {mode}", policy_name(fsync));
        let ended = finish(&mut command)?;
        row.broken.extend(ended.died().map(|died| format!("{how}: {died}")));
        if !done.exists() {
            row.breaks(format!("{how}: no write was short"));
        }
        row.add(context.check(&place.queue, &place.said()?, Promise::Medium)?, &how);
        Ok::<(), Stop>(())
    })?;
    row.note(format!("{tried} of {all} cases: then the rest, byte by byte, ENOSPC, EIO; always, never"));
    Ok(row)
}
