//! Where a handle keeps its operations: on file, in memory, or nowhere any more.

use core::convert::Infallible;
use core::fmt;

use whisperr_core::{Fault, MemoryStorage, RemoveWith, Seq, SeqRange, Slot, Storage, Stored};

use crate::file::{FileError, FileStorage};

/// The storage behind a handle.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one, behind a lock")]
pub(crate) enum QueueStorage {
    File(FileStorage),
    Memory(MemoryStorage<Box<[u8]>>),
    /// After the shutdown: the lock of the directory is free for the next one.
    Closed,
}

/// Why the storage of a handle could not do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StorageError {
    /// The queue file failed.
    File(FileError),
    /// The client was shut down.
    Closed,
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => error.fmt(f),
            Self::Closed => f.write_str("the client was shut down"),
        }
    }
}

impl core::error::Error for StorageError {}

fn file<T>(result: Result<T, Fault<FileError>>) -> Result<T, Fault<StorageError>> {
    result.map_err(|fault| match fault {
        Fault::Full => Fault::Full,
        Fault::Medium(error) => Fault::Medium(StorageError::File(error)),
    })
}

fn memory<T>(result: Result<T, Fault<Infallible>>) -> Result<T, Fault<StorageError>> {
    result.map_err(|fault| match fault {
        Fault::Full => Fault::Full,
        Fault::Medium(never) => match never {},
    })
}

/// Forwards a call to whichever storage there is.
macro_rules! forward {
    ($self:ident.$method:ident($($argument:expr),*)) => {
        match $self {
            Self::File(storage) => file(storage.$method($($argument),*).await),
            Self::Memory(storage) => memory(storage.$method($($argument),*).await),
            Self::Closed => Err(Fault::Medium(StorageError::Closed)),
        }
    };
}

impl Storage for QueueStorage {
    type Error = StorageError;

    fn next_seq(&self) -> Seq {
        match self {
            Self::File(storage) => storage.next_seq(),
            Self::Memory(storage) => storage.next_seq(),
            Self::Closed => Seq::FIRST,
        }
    }

    async fn append(&mut self, seq: Seq, record: &[u8]) -> Result<(), Fault<StorageError>> {
        forward!(self.append(seq, record))
    }

    async fn read(&mut self, from: Seq, buffer: &mut [u8]) -> Result<Option<Stored>, Fault<StorageError>> {
        forward!(self.read(from, buffer))
    }

    async fn remove(&mut self, range: SeqRange) -> Result<(), Fault<StorageError>> {
        forward!(self.remove(range))
    }

    async fn remove_with(
        &mut self,
        range: SeqRange,
        with: RemoveWith<'_>,
    ) -> Result<bool, Fault<StorageError>> {
        forward!(self.remove_with(range, with))
    }

    async fn set_aside(&mut self, seq: Seq) -> Result<(), Fault<StorageError>> {
        forward!(self.set_aside(seq))
    }

    async fn load(&mut self, slot: Slot, buffer: &mut [u8]) -> Result<usize, Fault<StorageError>> {
        forward!(self.load(slot, buffer))
    }

    async fn store(&mut self, slot: Slot, value: &[u8]) -> Result<(), Fault<StorageError>> {
        forward!(self.store(slot, value))
    }

    async fn wipe(&mut self) -> Result<(), Fault<StorageError>> {
        forward!(self.wipe())
    }

    fn is_persistent(&self) -> bool {
        match self {
            Self::File(storage) => storage.is_persistent(),
            Self::Memory(storage) => storage.is_persistent(),
            Self::Closed => false,
        }
    }

    async fn persist(&mut self) -> Result<(), Fault<StorageError>> {
        forward!(self.persist())
    }

    fn take_damaged(&mut self) -> u32 {
        match self {
            Self::File(storage) => storage.take_damaged(),
            Self::Memory(storage) => storage.take_damaged(),
            Self::Closed => 0,
        }
    }
}
