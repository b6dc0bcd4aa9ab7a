//! The storage against faulty disks, and a model that says what must be found.
#![expect(clippy::arithmetic_side_effects, reason = "tests may overflow, and then fail")]

mod beside;
mod cuts;
mod damage;
mod disk;
mod edges;
mod exhaustive;
mod faults;
mod growth;
mod kills;
mod misread;
mod places;
mod real;
mod resumed;
mod runs;
mod sync;
mod thread;
mod unreadable;
mod words;

use std::collections::BTreeMap;

use whisperr_core::{Fault, Seq, SeqRange, Slot, Storage, ready};

use super::simulated::SimulatedDisk;
use super::{Disk, FileError, FileOptions, FileStorage, Fsync};

type Outcome = Result<(), Fault<FileError>>;

/// Segments so small that every script crosses a few of them.
fn small() -> FileOptions {
    FileOptions::new().segment_bytes(512).max_bytes(64 << 10).fsync(Fsync::Always)
}

fn open(disk: &SimulatedDisk, options: FileOptions) -> FileStorage<SimulatedDisk> {
    FileStorage::open_on(disk.clone(), options).unwrap()
}

fn append<D: Disk>(storage: &mut FileStorage<D>, seq: u64, record: &[u8]) -> Outcome {
    ready(storage.append(Seq::new(seq), record)).unwrap()
}

fn remove<D: Disk>(storage: &mut FileStorage<D>, first: u64, last: u64) -> Outcome {
    ready(storage.remove(SeqRange { first: Seq::new(first), last: Seq::new(last) })).unwrap()
}

fn store<D: Disk>(storage: &mut FileStorage<D>, slot: Slot, value: &[u8]) -> Outcome {
    ready(storage.store(slot, value)).unwrap()
}

fn load<D: Disk>(storage: &mut FileStorage<D>, slot: Slot) -> Vec<u8> {
    let mut buffer = [0; 512];
    let len = ready(storage.load(slot, &mut buffer)).unwrap().unwrap();
    buffer[..len].to_vec()
}

fn wipe<D: Disk>(storage: &mut FileStorage<D>) -> Outcome {
    ready(storage.wipe()).unwrap()
}

/// Every record, by a walk from the oldest to the newest.
fn walk<D: Disk>(storage: &mut FileStorage<D>) -> Vec<(u64, Vec<u8>)> {
    let mut found = Vec::new();
    let mut from = Seq::new(0);
    let longest = storage.log.index.iter().map(|entry| usize::from(entry.len)).max().unwrap_or(0);
    let mut buffer = vec![0; longest + 1];
    while let Some(stored) = ready(storage.read(from, &mut buffer)).unwrap().unwrap() {
        assert!(stored.seq >= from, "the walk goes back");
        found.push((stored.seq.get(), buffer[..stored.len].to_vec()));
        from = stored.seq.next();
    }
    found
}

fn numbers<D: Disk>(storage: &mut FileStorage<D>) -> Vec<u64> {
    walk(storage).into_iter().map(|(seq, _)| seq).collect()
}

/// What a record of this number and length looks like.
fn record(seq: u64, len: usize) -> Vec<u8> {
    (0..len).map(|at| (seq as usize).wrapping_mul(31).wrapping_add(at * 7) as u8).collect()
}

/// One call on a storage.
#[derive(Debug, Clone, Copy)]
enum Op {
    Append(usize),
    Remove(u64, u64),
    SetAside(u64),
    Store(Slot, u8, usize),
    Sync,
    Maintain,
    Wipe,
}

/// What a storage was asked and what it said.
#[derive(Debug, Clone, Default)]
struct Model {
    /// Every record that was ever tried, by number.
    tried: BTreeMap<u64, Vec<u8>>,
    /// Those that were stored and not removed.
    owed: Vec<u64>,
    /// Those of them that were durable when asked.
    durable: Vec<u64>,
    /// Those that were removed, and durably so.
    gone: Vec<u64>,
    /// Those that a wipe may have taken that did not end well.
    unsure: Vec<u64>,
    removed: Vec<u64>,
    /// The values each slot may have after a cut, the current one last.
    slots: BTreeMap<u8, Vec<Vec<u8>>>,
    next: u64,
}

impl Model {
    fn new() -> Self {
        let slots = Slot::ALL.map(|slot| (slot.number(), vec![Vec::new()])).into();
        Self { slots, next: 1, ..Self::default() }
    }

    /// Runs `op`; an error ends what the model knows for sure about it.
    fn run<D: Disk>(&mut self, storage: &mut FileStorage<D>, op: Op) -> Outcome {
        match op {
            Op::Append(len) => {
                let seq = storage.next_seq().get();
                assert!(seq >= self.next, "a number is used again");
                let bytes = record(seq, len);
                self.tried.insert(seq, bytes.clone());
                append(storage, seq, &bytes)?;
                self.owed.push(seq);
                self.next = self.next.max(seq + 1);
            }
            Op::Remove(first, last) => {
                self.durable.retain(|seq| *seq < first || *seq > last);
                remove(storage, first, last)?;
                let (kept, removed) = self.owed.iter().partition(|seq| **seq < first || **seq > last);
                self.owed = kept;
                self.removed.extend::<Vec<u64>>(removed);
            }
            Op::SetAside(seq) => {
                self.durable.retain(|durable| *durable != seq);
                ready(storage.set_aside(Seq::new(seq))).unwrap()?;
                let (kept, removed) = self.owed.iter().partition(|owed| **owed != seq);
                self.owed = kept;
                self.removed.extend::<Vec<u64>>(removed);
            }
            Op::Store(slot, byte, len) => {
                let values = self.slots.get_mut(&slot.number()).unwrap();
                let value = vec![byte; len];
                values.insert(values.len() - 1, value.clone());
                store(storage, slot, &value)?;
                let old = values.pop().unwrap();
                values.insert(values.len() - 1, old);
            }
            Op::Sync => {
                storage.syncer().sync().map_err(Fault::Medium)?;
                self.settle(storage.log.pending.is_empty());
            }
            Op::Maintain => storage.maintain()?,
            Op::Wipe => {
                self.durable.clear();
                let wiped = wipe(storage);
                if wiped.is_err() {
                    // It may have got any distance.
                    self.unsure.append(&mut self.owed);
                    self.owed = storage.log.index.iter().map(|entry| entry.seq).collect();
                    return wiped;
                }
                self.removed.append(&mut self.owed);
                self.settle(true);
            }
        }
        Ok(())
    }

    /// Everything is durable that was written, which removals may not be.
    fn settle(&mut self, removals: bool) {
        self.durable.clone_from(&self.owed);
        self.durable.retain(|seq| !self.unsure.contains(seq));
        if removals {
            self.gone.append(&mut self.removed);
        }
        for values in self.slots.values_mut() {
            values.drain(..values.len() - 1);
        }
    }

    /// Checks what a storage holds that goes on without having been cut.
    fn check_running<D: Disk>(&self, storage: &mut FileStorage<D>) {
        assert_eq!(numbers(storage), self.owed);
        self.check(storage);
        for slot in Slot::ALL {
            let value = self.slots[&slot.number()].last().unwrap();
            assert_eq!(&load(storage, slot), value, "{slot:?}");
        }
    }

    /// Checks what a storage holds that was opened after a cut.
    fn check<D: Disk>(&self, storage: &mut FileStorage<D>) {
        let found = walk(storage);
        assert!(found.is_sorted_by(|a, b| a.0 < b.0), "out of order or twice: {found:?}");
        for (seq, bytes) in &found {
            assert_eq!(self.tried.get(seq), Some(bytes), "record {seq} has other bytes");
            assert!(!self.gone.contains(seq), "record {seq} is back although durably removed");
        }
        for seq in &self.durable {
            assert!(found.iter().any(|(found, _)| found == seq), "record {seq} is lost");
        }
        for slot in Slot::ALL {
            let value = load(storage, slot);
            assert!(self.slots[&slot.number()].contains(&value), "{slot:?} holds {value:?}");
        }
        let highest = self.durable.iter().chain(&self.gone).max().copied().unwrap_or(0);
        assert!(storage.next_seq().get() > highest, "a number will be used again");
    }

    /// Goes on with what a storage holds after a cut.
    fn adopt<D: Disk>(&mut self, storage: &mut FileStorage<D>) {
        self.owed = numbers(storage);
        self.durable.clone_from(&self.owed);
        self.removed.clear();
        self.next = storage.next_seq().get();
        self.tried.retain(|seq, _| self.owed.contains(seq));
        self.gone.retain(|seq| *seq < self.next);
        for slot in Slot::ALL {
            self.slots.insert(slot.number(), vec![load(storage, slot)]);
        }
    }
}
