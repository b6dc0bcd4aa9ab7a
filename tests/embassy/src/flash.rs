//! A storage that takes its time, and fails when told to.

use core::cell::Cell;
use std::rc::Rc;

use embassy_time::Timer;
use whisperr_embassy::{Fault, Storage};
use whisperr_simulation::{SimStorage, StorageFaults};

use whisperr_embassy::storage::{RemoveWith, Seq, SeqRange, Slot, Stored};

use crate::chance::Chance;

/// How a medium behaves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "built with struct update")]
pub struct FlashFaults {
    /// How long every write takes, in microseconds; 0 is ready at once.
    pub write_us: u64,
    /// Calls that fail, in percent.
    pub failing: u64,
}

/// A medium that outlives the clients over it. Clones are the same medium.
#[derive(Debug, Clone)]
pub struct Flash {
    memory: SimStorage,
    faults: Rc<Cell<FlashFaults>>,
    chance: Chance,
}

impl Flash {
    /// An empty medium of this many bytes.
    #[must_use]
    pub fn new(bytes: usize, chance: Chance) -> Self {
        Self { memory: SimStorage::new(bytes), faults: Rc::default(), chance }
    }

    /// Sets how it behaves from here on.
    pub fn set(&self, faults: FlashFaults) {
        self.faults.set(faults);
    }

    async fn write(&self) {
        self.fail();
        let us = self.faults.get().write_us;
        if us > 0 {
            Timer::after_micros(us).await;
        }
    }

    fn fail(&self) {
        let fails = self.chance.percent(self.faults.get().failing);
        self.memory.set_faults(StorageFaults { write: fails, append: fails, remove: fails, read: fails });
    }
}

impl Storage for Flash {
    type Error = <SimStorage as Storage>::Error;

    fn next_seq(&self) -> Seq {
        self.memory.next_seq()
    }

    async fn append(&mut self, seq: Seq, record: &[u8]) -> Result<(), Fault<Self::Error>> {
        self.write().await;
        self.memory.append(seq, record).await
    }

    async fn read(&mut self, from: Seq, buffer: &mut [u8]) -> Result<Option<Stored>, Fault<Self::Error>> {
        self.fail();
        self.memory.read(from, buffer).await
    }

    async fn remove(&mut self, range: SeqRange) -> Result<(), Fault<Self::Error>> {
        self.write().await;
        self.memory.remove(range).await
    }

    async fn remove_with(
        &mut self,
        range: SeqRange,
        with: RemoveWith<'_>,
    ) -> Result<bool, Fault<Self::Error>> {
        self.write().await;
        self.memory.remove_with(range, with).await
    }

    async fn set_aside(&mut self, seq: Seq) -> Result<(), Fault<Self::Error>> {
        self.write().await;
        self.memory.set_aside(seq).await
    }

    async fn load(&mut self, slot: Slot, buffer: &mut [u8]) -> Result<usize, Fault<Self::Error>> {
        self.fail();
        self.memory.load(slot, buffer).await
    }

    async fn store(&mut self, slot: Slot, value: &[u8]) -> Result<(), Fault<Self::Error>> {
        self.write().await;
        self.memory.store(slot, value).await
    }

    async fn wipe(&mut self) -> Result<(), Fault<Self::Error>> {
        self.write().await;
        self.memory.wipe().await
    }

    fn take_damaged(&mut self) -> u32 {
        self.memory.take_damaged()
    }
}
