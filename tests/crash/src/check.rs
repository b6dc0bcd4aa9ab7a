//! Whether a queue directory holds what its victims said.

use core::time::Duration;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{PoisonError, RwLock};
use std::thread;
use std::time::Instant;

use whisperr_core::{SLOT_BYTES_MAX, SeqRange, Slot, Storage, ready};
use whisperr_std::Fsync;
use whisperr_std::file::{FileOptions, FileStorage, OpenError};

use crate::journal::Said;
use crate::options::SMALL_SEGMENT;
use crate::{walk, workload};

/// What must have survived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Promise {
    /// A process died, and the page cache did not: nothing is lost, nothing comes back.
    Process,
    /// Calls failed, or the power did: what returned `Ok` is there; what was removed may come back.
    Medium,
    /// The power failed under a policy that syncs beside the calls: what a sync covered is there.
    Synced,
}

/// How a check came out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verdict {
    /// Operations that had to be there.
    pub accepted: u64,
    /// Those that were not.
    pub lost: Vec<u64>,
    /// Removed ones that came back.
    pub duplicates: u64,
    /// Records that the storage itself missed.
    pub missing: u64,
    /// Any other promise that was broken.
    pub broken: Vec<String>,
}

impl Verdict {
    /// Whether every promise was kept.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.lost.is_empty() && self.broken.is_empty()
    }
}

/// The number of the operation with which a check tries whether the queue goes on.
const PROBE: u64 = 1 << 40;

/// Opens the queue as the next process would, compares it with what was said, and tries a new append.
///
/// # Errors
/// Those of looking at the directory. A queue that does not open is a broken promise.
pub fn storage(queue: &Path, said: &Said, promise: Promise) -> io::Result<Verdict> {
    let mut verdict = Verdict::default();
    let Some(mut opened) = open(queue, &mut verdict) else { return Ok(verdict) };
    let found = compare(&mut opened, said, promise, &mut verdict)?;

    let seq = opened.next_seq();
    if found.last().is_some_and(|last| last.0 >= seq) {
        verdict.broken.push(format!("the next number, {seq}, was given out before"));
    }
    if !matches!(ready(opened.append(seq, &workload::record(PROBE))), Some(Ok(()))) {
        verdict.broken.push("a new append fails".into());
    }
    drop(opened);
    let Some(mut again) = open(queue, &mut verdict) else { return Ok(verdict) };
    let mut expected = found;
    expected.push((seq, Some(PROBE)));
    let held = walk::oldest(&mut again, usize::MAX).map_err(failed)?;
    if held != expected {
        let (held, expected) = (held.len(), expected.len());
        verdict.broken.push(format!("{held} records after another opening, not {expected}"));
    }
    Ok(verdict)
}

fn compare(
    opened: &mut FileStorage,
    said: &Said,
    promise: Promise,
    verdict: &mut Verdict,
) -> io::Result<Vec<walk::Found>> {
    let report = opened.open_report();
    let found = walk::oldest(opened, usize::MAX).map_err(failed)?;
    let numbers: Vec<u64> = found.iter().filter_map(|(_, number)| *number).collect();
    if numbers.len() != found.len() {
        verdict.broken.push(format!("{} records have other bytes", found.len().abs_diff(numbers.len())));
    }
    if !numbers.is_sorted_by(|earlier, later| earlier < later) {
        verdict.broken.push("out of order, or twice".into());
    }
    let there: BTreeSet<u64> = numbers.into_iter().collect();
    let must = |n: &u64| promise != Promise::Synced || *n <= said.durable;
    let owed: Vec<u64> = said.owed().filter(must).collect();
    // A removal that was under way leaves the record or not; one that was accepted first counts as kept.
    verdict.accepted = said.accepted.iter().copied().filter(must).count() as u64;
    verdict.lost = owed.into_iter().filter(|n| !there.contains(n)).collect();
    verdict.duplicates = there.intersection(&said.taken).count() as u64;
    let unheard = there.difference(&said.tried).count();
    if unheard > 0 {
        verdict.broken.push(format!("{unheard} records that nobody appended"));
    }
    let wiped = there.intersection(&said.wiped).count();
    if wiped > 0 {
        verdict.broken.push(format!("{wiped} records came back that were deleted for good"));
    }
    verdict.missing = report.missing.max(opened.take_damaged().into());
    if promise == Promise::Process {
        if verdict.missing > 0 || report.damaged_bytes > 0 {
            let (missing, bytes) = (verdict.missing, report.damaged_bytes);
            verdict.broken.push(format!("{missing} records missing, {bytes} bytes damaged"));
        }
        if verdict.duplicates > 0 {
            verdict.broken.push(format!("{} removed records came back", verdict.duplicates));
        }
    }
    compare_slot(opened, said, promise, verdict);
    Ok(found)
}

fn compare_slot(opened: &mut FileStorage, said: &Said, promise: Promise, verdict: &mut Verdict) {
    let mut value = vec![0; SLOT_BYTES_MAX];
    let length = ready(opened.load(Slot::Identity, &mut value)).and_then(Result::ok).unwrap_or(0);
    value.truncate(length);
    let value = String::from_utf8_lossy(&value);
    let may = match promise {
        Promise::Synced => value.is_empty() || said.slot_ever.contains(&*value),
        _ => *value == said.slot || said.slot_tried.contains(&*value),
    };
    if !may {
        verdict.broken.push(format!("the slot holds {value:?}, not {:?}", said.slot));
    }
}

/// Removes one record that is owed, to see whether a check finds out. Returns whether there was one.
///
/// # Errors
/// Those of reading the queue.
pub fn lose_one(queue: &Path, said: &Said) -> io::Result<bool> {
    let Some(mut opened) = open(queue, &mut Verdict::default()) else { return Ok(false) };
    let owed: BTreeSet<u64> = said.owed().collect();
    let held = walk::oldest(&mut opened, usize::MAX).map_err(failed)?;
    let one = held.into_iter().find(|(_, number)| number.is_some_and(|number| owed.contains(&number)));
    let Some((seq, _)) = one else { return Ok(false) };
    Ok(matches!(ready(opened.remove(SeqRange::one(seq))), Some(Ok(()))))
}

/// A child shares the lock of every queue that is open, until it runs a program of its own: no queue
/// is opened while one is on its way.
static STARTING: RwLock<()> = RwLock::new(());

/// Starts a program, which runs when this returns.
#[cfg(target_os = "linux")]
pub(crate) fn alone<T>(starting: impl FnOnce() -> T) -> T {
    let _nobody_opens = STARTING.write().unwrap_or_else(PoisonError::into_inner);
    starting()
}

fn open(queue: &Path, verdict: &mut Verdict) -> Option<FileStorage> {
    let _nobody_starts = STARTING.read().unwrap_or_else(PoisonError::into_inner);
    // Nobody cuts the power during a check.
    let options = FileOptions::new().fsync(Fsync::Never).segment_bytes(SMALL_SEGMENT);
    let start = Instant::now();
    loop {
        match FileStorage::open(queue, options) {
            Ok(opened) => return Some(opened),
            // A killed process is waited for, but the file system may take a moment more.
            Err(OpenError::Locked { .. }) if start.elapsed() < Duration::from_secs(30) => {
                thread::sleep(Duration::from_millis(1));
            }
            Err(error) => {
                verdict.broken.push(format!("it does not open: {}", reason(&error)));
                return None;
            }
        }
    }
}

/// Without the path, which is another one in every run.
fn reason(error: &OpenError) -> String {
    match error {
        OpenError::Unusable { error, .. } => error.to_string(),
        OpenError::Locked { .. } => "locked".into(),
        other => format!("{:?}", core::mem::discriminant(other)),
    }
}

fn failed<E: core::fmt::Debug>(error: E) -> io::Error {
    io::Error::other(format!("a record cannot be read: {error:?}"))
}

/// Copies a queue directory, for a check that must not change it.
///
/// # Errors
/// Those of the file system.
pub fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    fs::create_dir_all(to)?;
    // A copy has the permissions of its original, or it is no queue.
    fs::set_permissions(to, fs::metadata(from)?.permissions())?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

/// Compares what arrived at a server, the numbers of its events in order, with what was said.
#[must_use]
pub fn arrived(numbers: &[u64], said: &Said) -> Verdict {
    let there: BTreeSet<u64> = numbers.iter().copied().collect();
    let mut verdict = Verdict {
        accepted: said.accepted.len() as u64,
        lost: said.accepted.difference(&there).copied().collect(),
        ..Verdict::default()
    };
    // A server stores an event once for each message id: the same number twice has two of them.
    if there.len() != numbers.len() {
        let twice = numbers.len().abs_diff(there.len());
        verdict.broken.push(format!("{twice} events came again under another message id"));
    } else if !numbers.is_sorted() {
        verdict.broken.push("out of order".into());
    }
    let unheard = there.difference(&said.tried).count();
    if unheard > 0 {
        verdict.broken.push(format!("{unheard} events that nobody tracked"));
    }
    verdict.broken.extend(said.complaints.iter().cloned());
    verdict
}
