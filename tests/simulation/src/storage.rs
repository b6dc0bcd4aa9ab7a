//! A storage that survives a crash of the client, and fails when told to.

use core::cell::{Cell, RefCell};
use std::rc::Rc;

use whisperr_core::{Fault, MemoryStorage, RemoveWith, Seq, SeqRange, Slot, Storage, Stored};

/// Which calls fail.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "scripts build it")]
pub struct StorageFaults {
    /// Appends and slot changes fail.
    pub write: bool,
    /// Appends fail, and slot changes do not.
    pub append: bool,
    /// Removals fail.
    pub remove: bool,
    /// Reads fail.
    pub read: bool,
}

/// A memory storage behind a shared pointer: the medium, which outlives the client over it.
#[derive(Debug, Clone)]
pub struct SimStorage {
    medium: Rc<RefCell<MemoryStorage<Vec<u8>>>>,
    faults: Rc<Cell<StorageFaults>>,
}

/// The medium failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken;

impl SimStorage {
    /// An empty medium of this many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        let medium = Rc::new(RefCell::new(MemoryStorage::new(vec![0; bytes])));
        Self { medium, faults: Rc::default() }
    }

    /// Another medium with the same content.
    #[must_use]
    pub fn copied(&self) -> Self {
        let medium = self.medium.borrow().clone();
        Self { medium: Rc::new(RefCell::new(medium)), faults: Rc::default() }
    }

    /// Sets which calls fail from here on.
    pub fn set_faults(&self, faults: StorageFaults) {
        self.faults.set(faults);
    }

    fn check(&self, failing: impl Fn(StorageFaults) -> bool) -> Result<(), Fault<Broken>> {
        if failing(self.faults.get()) { Err(Fault::Medium(Broken)) } else { Ok(()) }
    }
}

fn own<T>(result: Result<T, Fault<core::convert::Infallible>>) -> Result<T, Fault<Broken>> {
    result.map_err(|fault| match fault {
        Fault::Full => Fault::Full,
        Fault::Medium(never) => match never {},
    })
}

#[expect(clippy::await_holding_refcell_ref, reason = "memory is ready at once, and a world has one thread")]
impl Storage for SimStorage {
    type Error = Broken;

    fn next_seq(&self) -> Seq {
        self.medium.borrow().next_seq()
    }

    async fn append(&mut self, seq: Seq, record: &[u8]) -> Result<(), Fault<Broken>> {
        self.check(|faults| faults.write || faults.append)?;
        own(self.medium.borrow_mut().append(seq, record).await)
    }

    async fn read(&mut self, from: Seq, buffer: &mut [u8]) -> Result<Option<Stored>, Fault<Broken>> {
        self.check(|faults| faults.read)?;
        own(self.medium.borrow_mut().read(from, buffer).await)
    }

    async fn remove(&mut self, range: SeqRange) -> Result<(), Fault<Broken>> {
        self.check(|faults| faults.remove)?;
        own(self.medium.borrow_mut().remove(range).await)
    }

    async fn remove_with(&mut self, range: SeqRange, with: RemoveWith<'_>) -> Result<bool, Fault<Broken>> {
        let appends = matches!(with, RemoveWith::Record { .. });
        self.check(|faults| faults.write || faults.remove || (appends && faults.append))?;
        own(self.medium.borrow_mut().remove_with(range, with).await)
    }

    async fn set_aside(&mut self, seq: Seq) -> Result<(), Fault<Broken>> {
        self.check(|faults| faults.remove)?;
        own(self.medium.borrow_mut().set_aside(seq).await)
    }

    async fn load(&mut self, slot: Slot, buffer: &mut [u8]) -> Result<usize, Fault<Broken>> {
        self.check(|faults| faults.read)?;
        own(self.medium.borrow_mut().load(slot, buffer).await)
    }

    async fn store(&mut self, slot: Slot, value: &[u8]) -> Result<(), Fault<Broken>> {
        self.check(|faults| faults.write)?;
        own(self.medium.borrow_mut().store(slot, value).await)
    }

    async fn wipe(&mut self) -> Result<(), Fault<Broken>> {
        self.check(|faults| faults.remove)?;
        own(self.medium.borrow_mut().wipe().await)
    }

    fn take_damaged(&mut self) -> u32 {
        0
    }
}
