//! The queue file of `whisperr-std` as a medium, over a simulated file system.

use whisperr_std::file::simulated::{Failure, Faults, SimulatedDisk, SyncFault};
use whisperr_std::file::{FileOptions, FileStorage};

use crate::choices::Choices;
use crate::coverage::Seen;
use crate::life::Setup;
use crate::medium::Medium;

/// A simulated file system with the queue file on it.
#[derive(Debug)]
pub struct FileMedium {
    disk: SimulatedDisk,
    options: FileOptions,
    /// What was already counted of the disk's faults.
    counted: Faults,
}

impl FileMedium {
    /// An empty file system, and a queue file of segments so small that every life crosses some.
    #[must_use]
    pub fn draw(choices: &Choices, _setup: &Setup) -> Self {
        let options = FileOptions::new()
            .segment_bytes(choices.one_of(&[512, 700, 2048]))
            .max_bytes(choices.one_of(&[64 << 10, 16 << 10]));
        Self { disk: SimulatedDisk::new(), options, counted: Faults::default() }
    }

    /// A queue file of small segments on a file system of yours.
    #[must_use]
    pub fn new(disk: SimulatedDisk) -> Self {
        let options = FileOptions::new().segment_bytes(512).max_bytes(64 << 10);
        Self { disk, options, counted: Faults::default() }
    }

    fn count(&mut self, seen: &mut Seen) {
        let now = self.disk.faults();
        for ((name, after), (_, before)) in now.each().into_iter().zip(self.counted.each()) {
            seen.add(name, after.saturating_sub(before));
        }
        self.counted = now;
    }
}

impl Medium for FileMedium {
    type Storage = FileStorage<SimulatedDisk>;

    const SYNCS: bool = true;

    fn open(&mut self) -> Result<Self::Storage, String> {
        FileStorage::open_on(self.disk.clone(), self.options).map_err(|error| error.to_string())
    }

    fn crash(&mut self, choices: &Choices, power: bool, seen: &mut Seen) {
        self.disk = if power {
            self.disk.after_cut_by(&mut |below| choices.below(below))
        } else {
            self.disk.after_kill()
        };
        if power && choices.percent(10) {
            let _name = self.disk.resurrect(&mut |below| choices.below(below));
        }
        self.count(seen);
    }

    fn after_cut(&self, choices: &Choices) -> Self {
        let disk = self.disk.after_cut_by(&mut |below| choices.below(below));
        Self { disk, options: self.options, counted: Faults::default() }
    }

    fn sync(storage: &mut Self::Storage) -> bool {
        let syncer = storage.syncer();
        // After a failed sync nothing is asked of that file again: it is written elsewhere.
        syncer.sync().is_ok() || (storage.recover_from_failed_sync().is_ok() && syncer.sync().is_ok())
    }

    fn plan_fault(&mut self, choices: &Choices, _seen: &mut Seen) {
        let for_ever = choices.percent(30);
        let failure = choices.one_of(&[Failure::Medium, Failure::Full, Failure::Short]);
        match choices.below(5) {
            0 => self.disk.fail_after(choices.below(12), failure, for_ever),
            1 => self.disk.fault_sync_after(choices.below(4), SyncFault::Dropped, for_ever),
            2 => self.disk.fault_sync_after(choices.below(4), SyncFault::Durable, for_ever),
            3 => self.disk.interrupt_every(choices.below(4).saturating_add(2)),
            _ => {
                let room = usize::try_from(choices.below(2000)).unwrap_or(0);
                self.disk.limit(Some(self.disk.used().saturating_add(room)));
            }
        }
    }

    fn plan_cut(&mut self, choices: &Choices) {
        self.disk.cut_after(choices.below(2000));
    }

    fn is_off(&self) -> bool {
        self.disk.is_off()
    }

    fn rot(&mut self, choices: &Choices, _seen: &mut Seen) -> bool {
        self.disk.rot(&mut |below| choices.below(below)).is_some()
    }

    fn heal(&mut self) {
        self.disk.heal();
        if !self.disk.is_off() {
            // A cut that was planned and did not come.
            self.disk.cut_after(u64::MAX);
        }
    }

    fn background(&mut self, storage: &mut Self::Storage, choices: &Choices) {
        if choices.percent(30) {
            self.disk.writeback(&mut |below| choices.below(below));
        }
        if choices.percent(50) {
            // What it cannot do now, it does later.
            let _may_fail = storage.maintain();
        }
    }

    fn raw(&self) -> Vec<u8> {
        self.disk.files().into_values().flatten().collect()
    }
}
