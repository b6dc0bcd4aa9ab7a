//! The queue file checked within bounds: not by chance, but one case after the other.
//!
//! - [`single`]: scripts of up to 12 operations, and the one of 20 that the other tests use, are cut
//!   at every call and at every byte of every write. What survives is all, nothing, what a killed
//!   process leaves, and a number of mixtures.
//! - [`pairs`]: scripts of up to 6 operations, on a log that stands at the edge of the case they
//!   are about, are cut at every such place; the log is opened again and the rest of the script
//!   goes on; and all of that, the opening included, is cut again at every such place.
//! - [`subsets`]: at every such place of one script, every subset of up to 9 unsynced writes, each
//!   of them whole, lost, or torn at three places.
//!
//! A queue that was cut is opened and held to a model: everything that was durable is there in its
//! order and with its bytes, nothing is there that was durably removed, slots have a value that
//! they were given, no number comes again, and a cut right behind the opening changes nothing.
//!
//! After a first cut of a pair, what a killed process leaves, all, nothing and one mixture go on, each
//! once where several places leave the same files; after a second one all, nothing and two mixtures.
//!
//! These are the bounds within which the queue is checked, on a disk as [`simulated`] describes.
//!
//! `WHISPERR_EXHAUSTIVE=1` checks all of it, which takes a quarter of an hour. With a higher number N, pairs begin
//! at every Nth place only and there are at most 10,000 subsets at each place; single cuts are made at every
//! place all the same. Without it only some places are cut, to be quick.
//!
//! [`simulated`]: super::super::simulated

mod pairs;
mod scripts;
mod single;
mod subsets;

use core::hash::{Hash, Hasher};
use std::hash::DefaultHasher;

use whisperr_core::{Slot, Storage};

use super::super::simulated::{Chance, SimulatedDisk, Survivors};
use super::{FileStorage, Model, Op, numbers, open, small};
use scripts::{Case, Script, Step};

/// Whether to check more than some places.
fn is_full() -> bool {
    first_cuts().is_some()
}

/// At every how many places pairs begin.
fn first_cuts() -> Option<usize> {
    std::env::var("WHISPERR_EXHAUSTIVE").ok()?.parse().ok().filter(|places| *places > 0)
}

/// One line that says how much was checked, for a log to add up.
fn tell(name: &str, cuts: u64) {
    println!("exhaustive: {name} cuts={cuts}");
}

/// Says where a check failed that did not come to its end.
struct Failed<F: Fn()>(F);

impl<F: Fn()> Failed<F> {
    fn defuse(self) {
        core::mem::forget(self);
    }
}

impl<F: Fn()> Drop for Failed<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// What restarts.
#[derive(Debug, Clone, Copy)]
enum Cut {
    /// The process alone.
    Kill,
    /// The machine, and everything survived.
    Mildest,
    /// The machine, and nothing survived that was not durable.
    Harshest,
    /// The machine, and something survived.
    Mixed(u64),
}

impl Cut {
    fn of(self, disk: &SimulatedDisk) -> SimulatedDisk {
        match self {
            Self::Kill => disk.after_kill(),
            Self::Mildest => disk.after_cut_by(&mut |_| 0),
            Self::Harshest => disk.after_cut(Survivors::None),
            Self::Mixed(seed) => {
                let mut chance = Chance::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ seed);
                disk.after_cut_by(&mut |end| chance.below(end))
            }
        }
    }
}

/// A log at the edge of what a script is about, at rest.
fn prepare(script: &Script) -> (SimulatedDisk, Model) {
    let disk = SimulatedDisk::new();
    let mut model = Model::new();
    let mut storage = open(&disk, small());
    for op in script.before {
        model.run(&mut storage, *op).unwrap();
    }
    let disk = disk.after_cut_by(&mut |_| 0);
    let mut storage = open(&disk, small());
    model.check(&mut storage);
    model.adopt(&mut storage);
    drop(storage);
    (Cut::Harshest.of(&disk), model)
}

/// What a script came to.
struct Stopped {
    model: Model,
    /// The step that was not finished.
    step: usize,
    /// The log, when it could be opened.
    storage: Option<FileStorage<SimulatedDisk>>,
}

/// Opens the log and runs steps on it until the power is cut. `adopts`: the log was cut before, so
/// it is checked first, and what it holds is what counts from there on.
fn run(disk: &SimulatedDisk, model: &Model, steps: &[Step], adopts: bool) -> Stopped {
    let mut stopped = Stopped { model: model.clone(), step: 0, storage: None };
    let Ok(mut storage) = FileStorage::open_on(disk.clone(), small()) else {
        return stopped;
    };
    if disk.is_off() {
        // It may have read anything, and cannot change the medium any more.
        return stopped;
    }
    let model = &mut stopped.model;
    if adopts {
        // Not by reads of this disk: they are places for a cut, too.
        let mut same = open(&disk.after_kill(), small());
        model.check(&mut same);
        model.adopt(&mut same);
        storage.take_damaged();
    }
    for step in steps {
        match *step {
            Step::Do(op) => {
                // What fails for another reason than the cut may do so: the script says what it expects.
                let _ = model.run(&mut storage, op);
            }
            Step::FailSync(fault) => disk.fault_sync_after(0, fault, false),
            Step::Limit(more) => disk.limit(Some(disk.used() + more)),
            Step::Heal => disk.heal(),
        }
        if disk.is_off() {
            break;
        }
        stopped.step += 1;
    }
    stopped.storage = Some(storage);
    stopped
}

/// Runs steps that are not cut, and returns how many places for a cut they have.
fn places(disk: &SimulatedDisk, model: &Model, steps: &[Step], adopts: bool) -> u64 {
    let Stopped { model, storage, .. } = run(disk, model, steps, adopts);
    let places = disk.steps();
    model.check_running(&mut storage.unwrap());
    places
}

/// The same for a whole script, which has to reach the cases it is there for.
fn expect_cases(script: &Script, before: &SimulatedDisk, model: &Model) -> u64 {
    let disk = before.after_kill();
    let Stopped { model, storage, .. } = run(&disk, model, script.steps, false);
    let (places, faults) = (disk.steps(), disk.faults());
    let mut storage = storage.unwrap();
    let (old, new) = (before.files(), disk.files());
    for case in script.cases {
        let reached = match case {
            Case::Started => new.keys().next_back() > old.keys().next_back(),
            Case::Deleted => !new.contains_key(&format!("{:016x}-{:016x}.log", 1, 1)),
            Case::Moved => storage.log.moved_position > 0,
            Case::Full => faults.full > 0,
            Case::FailedSync => faults.failed_syncs > 0,
            Case::DurableFailure => faults.durable_failures > 0,
            Case::SetAside => new.contains_key("damaged"),
        };
        assert!(reached, "{} does not reach {case:?}", script.name);
    }
    model.check_running(&mut storage);
    places
}

/// Opens what a cut left, checks it, and checks that the opening itself is safe against a cut.
fn check(disk: &SimulatedDisk, model: &Model) {
    let mut storage = open(disk, small());
    model.check(&mut storage);
    let found = numbers(&mut storage);

    let mut again = open(&Cut::Harshest.of(disk), small());
    assert_eq!(numbers(&mut again), found, "a second cut changes what the first opening found");
    model.check(&mut again);
}

/// The same, and the log works on, now that the disk has room.
fn check_and_go_on(disk: &SimulatedDisk, model: &Model) {
    disk.heal();
    let mut model = model.clone();
    let mut storage = open(disk, small());
    model.check(&mut storage);
    let lost = u64::from(storage.take_damaged());
    assert_eq!(lost, storage.open_report().missing);
    model.adopt(&mut storage);
    for op in [Op::Append(9), Op::Store(Slot::Push, 9, 9), Op::Sync, Op::Maintain] {
        model.run(&mut storage, op).unwrap();
    }
    model.check_running(&mut storage);
    for cut in [Cut::Mildest, Cut::Harshest] {
        let mut again = open(&cut.of(disk), small());
        model.check(&mut again);
        assert_eq!(again.open_report().missing, 0, "a loss is counted twice");
    }
    // All of it is consumed, and the segments it stood in are deleted: slots must not go with them.
    for op in [Op::Remove(1, u64::MAX), Op::Sync, Op::Maintain, Op::Sync, Op::Maintain] {
        model.run(&mut storage, op).unwrap();
    }
    model.check_running(&mut storage);
    for cut in [Cut::Mildest, Cut::Harshest] {
        model.check(&mut open(&cut.of(disk), small()));
    }
}

/// What is on the medium, in short.
fn image(disk: &SimulatedDisk) -> u64 {
    let mut hasher = DefaultHasher::new();
    disk.files().hash(&mut hasher);
    hasher.finish()
}

/// What is known, in short.
fn knowledge(model: &Model) -> u64 {
    let mut hasher = DefaultHasher::new();
    format!("{model:?}").hash(&mut hasher);
    hasher.finish()
}
