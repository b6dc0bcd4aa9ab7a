//! Errors from system calls: an `Err` is an `Err`, and everything that was `Ok` is there afterwards.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use whisperr_std::Fsync;

use super::{Context, Place, Ran, Stop, each};
use crate::check::{self, Promise};
use crate::journal::Said;
use crate::options::{BESIDE, Victim, policy_name};
use crate::report::Row;
use crate::tool::finish;
use crate::tool::strace::{self, Point};

/// What a call may fail with. `retval=0` is a medium that takes nothing and says nothing.
fn failures(call: &str) -> &'static [&'static str] {
    match call {
        "pwrite64" => {
            &["error=EIO", "error=ENOSPC", "error=EDQUOT", "error=EFBIG", "error=EINTR", "retval=0"]
        }
        "fdatasync" | "fsync" => &["error=EIO", "error=ENOSPC", "error=EDQUOT"],
        "openat" => &["error=EIO", "error=ENOSPC", "error=EMFILE", "error=EACCES"],
        "fallocate" => &["error=ENOSPC", "error=EOPNOTSUPP"],
        "flock" => &["error=ENOLCK"],
        "mkdir" => &["error=ENOSPC"],
        "unlinkat" => &["error=EIO", "error=EACCES"],
        _ => &["error=EIO"],
    }
}

#[derive(Debug)]
struct Case {
    fsync: Fsync,
    point: Point,
    failure: &'static str,
    for_ever: bool,
    queue: Queue,
}

/// What the queue is like before, and what is done to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Queue {
    New,
    Old,
    /// Old, and deleted for good near the end: this hides what was lost before, so it is tried apart.
    Wiped,
}

impl Queue {
    /// The number of the victim's first operation.
    fn first(self, before: &Said) -> u64 {
        if self == Self::Wiped { 111 } else { before.next() }
    }
}

impl Case {
    fn how(&self) -> String {
        let policy = policy_name(self.fsync);
        let queue = self.queue;
        let when = if self.for_ever { "from then on" } else { "once" };
        format!("{policy}, {queue:?} queue, {} at {} {when}", self.failure, self.point)
    }

    fn when(&self) -> String {
        format!("{}{}", self.point.nth, if self.for_ever { "+" } else { "" })
    }
}

pub(super) fn run(context: &Context) -> Ran {
    // What earlier victims left, for those that open it again.
    let old = Place::new()?;
    finish(&mut victim(&old, Fsync::Always, 0).command(&context.program))?;
    let mut cases = Vec::new();
    for (fsync, queue) in [
        (Fsync::Always, Queue::New),
        (Fsync::Always, Queue::Old),
        (Fsync::Always, Queue::Wiped),
        (Fsync::Never, Queue::Old),
        (BESIDE, Queue::Old),
    ] {
        let place = place(&old, queue)?;
        let points = if fsync == BESIDE {
            // Two threads: only the calls of each can be counted, and these are made by one alone.
            (1..=8).map(|nth| Point { call: "fdatasync".into(), nth }).collect()
        } else {
            strace::points(context, &victim(&place, fsync, queue.first(&place.said()?)))?
        };
        for point in points {
            for failure in failures(&point.call) {
                for for_ever in [false, true] {
                    // A write that is interrupted for ever is a program that is stopped.
                    if !(for_ever && *failure == "error=EINTR") {
                        cases.push(Case { fsync, point: point.clone(), failure, for_ever, queue });
                    }
                }
            }
        }
    }
    let all = cases.len();
    let cases = context.chance("errors").some(cases, 700_usize.saturating_mul(context.scale));
    let tried = cases.len();
    let mut row = each(cases, |case, row| one(context, &old, &case, row))?;
    row.note(format!("{tried} of {all} cases"));
    Ok(row)
}

/// Forty operations: through every kind, several segments, and all that a queue does on its way.
fn victim(place: &Place, fsync: Fsync, first: u64) -> Victim {
    let mut victim = Victim::storage(&place.queue, &place.journal).first(first.max(1)).ops(40).fsync(fsync);
    if fsync == BESIDE {
        victim.pace = core::time::Duration::from_millis(2);
    }
    victim
}

fn place(old: &Place, queue: Queue) -> io::Result<Place> {
    let place = Place::new()?;
    if queue != Queue::New {
        check::copy(&old.queue, &place.queue)?;
        fs::copy(&old.journal, &place.journal)?;
    }
    Ok(place)
}

fn one(context: &Context, old: &Place, case: &Case, row: &mut Row) -> Result<(), Stop> {
    let place = place(old, case.queue)?;
    let before = place.said()?;
    let sizes = sizes(&place.queue)?;
    let how = case.how();
    let syncs = matches!(case.point.call.as_str(), "fdatasync" | "fsync") && case.fsync == Fsync::Always;
    let log = place.path("calls");
    let victim = victim(&place, case.fsync, case.queue.first(&before));
    let mut command = strace::inject(
        context,
        &victim,
        &case.point.call,
        case.failure,
        &case.when(),
        syncs.then_some(log.as_path()),
    );
    let ended = finish(&mut command)?;
    row.broken.extend(ended.died().map(|died| format!("{how}: {died}")));
    if !place.queue.exists() {
        // It said that it could not open, and nothing was accepted.
        return Ok(());
    }
    let said = place.said()?;
    // An error of the opening itself is told by other words.
    let unclear = |why: &&String| {
        matches!(case.failure, "error=ENOSPC" | "error=EDQUOT")
            && case.point.call == "pwrite64"
            && !why.contains("full")
    };
    if let Some(why) = said.refused.values().find(unclear) {
        row.breaks(format!("{how}: it is called: {why}"));
    }
    if syncs {
        let story = Story::read(&fs::read_to_string(&log)?, sizes);
        for used in &story.used_again {
            row.breaks(format!("{how}: {used} after a sync of it had failed"));
        }
        // What the failed sync covered never reaches the medium, whatever a later one says.
        let cut = place.path("cut");
        check::copy(&place.queue, &cut)?;
        story.cut(&cut)?;
        row.add(context.check(&cut, &said, Promise::Medium)?, &format!("{how}, and not written"));
    }
    let mut verdict = context.check(&place.queue, &said, Promise::Medium)?;
    // What an old queue held is counted once.
    verdict.accepted = verdict.accepted.saturating_sub(before.accepted.len() as u64);
    row.add(verdict, &how);
    Ok(())
}

fn sizes(queue: &Path) -> io::Result<BTreeMap<String, u64>> {
    if !queue.exists() {
        return Ok(BTreeMap::new());
    }
    let entries = fs::read_dir(queue)?.map(|entry| {
        let entry = entry?;
        Ok((entry.file_name().to_string_lossy().into_owned(), entry.metadata()?.len()))
    });
    entries.collect()
}

/// What strace saw of writes and syncs, file by file.
#[derive(Debug, Default)]
struct Story {
    written: BTreeMap<String, u64>,
    durable: BTreeMap<String, u64>,
    failed: Vec<String>,
    used_again: Vec<String>,
}

impl Story {
    fn read(log: &str, sizes: BTreeMap<String, u64>) -> Self {
        let mut story = Self { written: sizes.clone(), durable: sizes, ..Self::default() };
        for line in log.lines() {
            story.hear(line);
        }
        story
    }

    fn hear(&mut self, line: &str) -> Option<()> {
        // 123 pwrite64(7</queue/1-1.log>, "..."..., 80, 32) = 80
        let (_, rest) = line.split_once(' ')?;
        let (call, rest) = rest.trim_start().split_once('(')?;
        let (_, rest) = rest.split_once('<')?;
        let (path, rest) = rest.split_once('>')?;
        let name = PathBuf::from(path).file_name()?.to_string_lossy().into_owned();
        if !name.ends_with(".log") {
            return Some(());
        }
        let (arguments, result) = rest.rsplit_once(" = ")?;
        if self.failed.contains(&name) {
            self.used_again.push(format!("{call} of a segment"));
        }
        if call == "pwrite64" {
            let (_, offset) = arguments.trim_end().trim_end_matches(')').rsplit_once(", ")?;
            let written: u64 = result.split_whitespace().next()?.parse().ok()?;
            let end = written.checked_add(offset.parse().ok()?)?;
            let length = self.written.entry(name).or_default();
            *length = end.max(*length);
        } else if result.starts_with('0') {
            let length = self.written.get(&name).copied().unwrap_or(0);
            self.durable.insert(name, length);
        } else {
            self.failed.push(name);
        }
        Some(())
    }

    /// Takes away what only a failed sync covered.
    fn cut(&self, queue: &Path) -> io::Result<()> {
        for name in &self.failed {
            let path = queue.join(name);
            if path.exists() {
                let file = OpenOptions::new().write(true).open(path)?;
                let durable = self.durable.get(name).copied().unwrap_or(0);
                file.set_len(file.metadata()?.len().min(durable))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_whose_sync_failed_is_known_by_its_last_good_length() {
        let log = r#"7 pwrite64(5</q/1-1.log>, "a) = 9"..., 80, 32) = 80
7 fdatasync(5</q/1-1.log>)           = 0
7 pwrite64(5</q/1-1.log>, ""..., 40, 112) = 40
7 fdatasync(5</q/1-1.log>)           = -1 EIO (Input/output error) (INJECTED)
7 fsync(6</q>)                       = 0
7 pwrite64(8</q/2-3.log>, ""..., 40, 0) = 40
"#;
        let story = Story::read(log, BTreeMap::new());
        assert_eq!((story.durable["1-1.log"], story.written["1-1.log"]), (112, 152));
        assert_eq!(story.failed, ["1-1.log"]);
        assert!(story.used_again.is_empty());

        let again = format!("{log}7 fdatasync(5</q/1-1.log>)           = 0\n");
        assert_eq!(Story::read(&again, BTreeMap::new()).used_again.len(), 1);
    }
}
