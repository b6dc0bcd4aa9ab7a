//! The storage as the core uses it: what its medium says stays here until the application is told.

use crate::storage::{Fault, RemoveWith, Seq, SeqRange, Slot, Storage, Stored};

/// The medium's own words, which are kept beside the storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unsaid;

/// Why a step of the storage failed.
pub(crate) type Trouble = Fault<Unsaid>;

/// A storage, and what its medium said last.
///
/// Every step of the core that may fail would otherwise carry an error whose type only the platform knows, and
/// provide for its end wherever it waits: on a microcontroller that is a good part of all code.
#[derive(Debug)]
pub(crate) struct Kept<S: Storage> {
    storage: S,
    said: Option<S::Error>,
}

impl<S: Storage> Kept<S> {
    pub(crate) const fn new(storage: S) -> Self {
        Self { storage, said: None }
    }

    pub(crate) const fn storage(&mut self) -> &mut S {
        &mut self.storage
    }

    /// What the application is told.
    pub(crate) fn told(&mut self, trouble: Trouble) -> Fault<S::Error> {
        match (trouble, self.said.take()) {
            (Fault::Medium(Unsaid), Some(said)) => Fault::Medium(said),
            // A medium that failed has said something.
            _ => Fault::Full,
        }
    }

    fn keep<T>(&mut self, done: Result<T, Fault<S::Error>>) -> Result<T, Trouble> {
        done.map_err(|fault| match fault {
            Fault::Full => Fault::Full,
            Fault::Medium(said) => {
                self.said = Some(said);
                Fault::Medium(Unsaid)
            }
        })
    }

    pub(crate) fn next_seq(&self) -> Seq {
        self.storage.next_seq()
    }

    pub(crate) async fn append(&mut self, seq: Seq, record: &[u8]) -> Result<(), Trouble> {
        let done = self.storage.append(seq, record).await;
        self.keep(done)
    }

    pub(crate) async fn read(&mut self, from: Seq, buffer: &mut [u8]) -> Result<Option<Stored>, Trouble> {
        let done = self.storage.read(from, buffer).await;
        self.keep(done)
    }

    pub(crate) async fn remove(&mut self, range: SeqRange) -> Result<(), Trouble> {
        let done = self.storage.remove(range).await;
        self.keep(done)
    }

    pub(crate) async fn remove_with(
        &mut self,
        range: SeqRange,
        with: RemoveWith<'_>,
    ) -> Result<bool, Trouble> {
        let done = self.storage.remove_with(range, with).await;
        self.keep(done)
    }

    pub(crate) async fn set_aside(&mut self, seq: Seq) -> Result<(), Trouble> {
        let done = self.storage.set_aside(seq).await;
        self.keep(done)
    }

    pub(crate) async fn load(&mut self, slot: Slot, buffer: &mut [u8]) -> Result<usize, Trouble> {
        let done = self.storage.load(slot, buffer).await;
        self.keep(done)
    }

    pub(crate) async fn store(&mut self, slot: Slot, value: &[u8]) -> Result<(), Trouble> {
        let done = self.storage.store(slot, value).await;
        self.keep(done)
    }

    pub(crate) async fn wipe(&mut self) -> Result<(), Trouble> {
        let done = self.storage.wipe().await;
        self.keep(done)
    }

    pub(crate) fn is_persistent(&self) -> bool {
        self.storage.is_persistent()
    }

    pub(crate) async fn persist(&mut self) -> Result<(), Trouble> {
        let done = self.storage.persist().await;
        self.keep(done)
    }

    pub(crate) fn take_damaged(&mut self) -> u32 {
        self.storage.take_damaged()
    }
}
