//! The queue file: a [`Storage`] in a directory that survives crashes, power cuts and full disks.
//!
//! # On the medium
//! The log is a row of *segments*, `<id>-<first>.log`, each a header and then frames. A frame is a
//! record, a removal, the value of a slot, or the floor: the id below which no segment is needed.
//! Frames are only ever appended, and one is committed when it is durable. A segment starts with
//! all slots, so that the ones before it can be deleted when their last record is removed. Records
//! that hold up an old segment for too long are copied to the newest one.
//!
//! Beside the segments stand `lock`, which one process holds at a time, and `damaged`, copies of
//! what could not be read, up to 1 MiB. Segments of a later format are left as they are, beside
//! those of this one: ids and numbers go on behind theirs, and the later version reads both.
//!
//! # How soon a record is durable
//! [`Storage::append`] writes once and does not wait for the medium, except when a segment is full:
//! that one is synced before the next begins. [`Syncer`] makes frames durable beside the storage,
//! without its lock:
//!
//! - [`Fsync::Interval`]: [`Syncer::run`] on a thread of its own.
//! - [`Fsync::Always`]: the caller of `append` takes a [`FileStorage::ticket`], lets go of the
//!   storage, and says `Ok` only when [`Syncer::wait_durable`] does.
//! - [`Fsync::Never`]: nothing is ever synced.
//!
//! What is not durable yet is also kept in RAM. After a failed sync, a file is never synced or
//! trusted again: its frames are written to another segment first.

mod aside;
mod directory;
mod disk;
mod error;
mod frame;
mod index;
mod log;
mod options;
mod reader;
mod reclaim;
mod recover;
mod report;
mod resume;
mod scan;
mod segment;
#[doc(hidden)]
pub mod simulated;
mod spans;
mod start;
mod syncer;
mod tail;
#[cfg(test)]
mod tests;
mod walk;

use std::path::Path;
use std::sync::Arc;

use whisperr_core::{Fault, Seq, SeqRange, Slot, Storage, Stored};

pub use directory::Directory;
pub use disk::{Disk, DiskFile};
pub use error::{FileError, OpenError, Step};
pub use options::{FileOptions, Fsync, SYNC_INTERVAL_MAX};
pub use report::{FileStats, OpenReport};
pub use syncer::{Syncer, Ticket};

use log::Log;
use segment::Span;

/// A [`Storage`] in a directory.
///
/// None of its futures ever waits: drive them with [`whisperr_core::ready`].
#[derive(Debug)]
pub struct FileStorage<D: Disk = Directory> {
    log: Log<D>,
    report: OpenReport,
}

impl FileStorage {
    /// Opens the queue in the directory `path`, which is created if need be.
    ///
    /// Whatever the directory holds, it opens: what is damaged is counted and told by
    /// [`open_report`](Self::open_report).
    ///
    /// # Errors
    /// [`OpenError`] when the directory cannot be used at all, a file of the queue cannot be opened,
    /// as without permission or with too many files open, or an option is out of its range.
    pub fn open(path: &Path, options: FileOptions) -> Result<Self, OpenError> {
        Self::open_on(Directory::open(path)?, options).map_err(|error| match error {
            OpenError::Unusable { error, .. } => OpenError::Unusable { path: path.into(), error },
            other => other,
        })
    }
}

impl<D: Disk> FileStorage<D> {
    /// Opens the queue on any disk.
    ///
    /// # Errors
    /// [`OpenError::Unusable`] when the disk cannot be listed, or a file that is there not opened;
    /// [`OpenError::OutOfRange`].
    pub fn open_on(disk: D, options: FileOptions) -> Result<Self, OpenError> {
        let (log, report) = recover::open(disk, options)?;
        Ok(Self { log, report })
    }

    /// What opening found.
    #[must_use]
    pub fn open_report(&self) -> OpenReport {
        self.report
    }

    /// What the log takes at the moment.
    #[must_use]
    pub fn stats(&self) -> FileStats {
        FileStats {
            records: self.log.index.len() as u64,
            live_bytes: self.log.index.bytes(),
            bytes: self.log.bytes,
            segments: self.log.segments.len() as u64,
            unsynced_bytes: self.log.tail.chunks().map(|chunk| chunk.len() as u64).sum(),
        }
    }

    /// What makes the log durable, for use without holding the storage.
    #[must_use]
    pub fn syncer(&self) -> Syncer {
        Syncer::new(Arc::clone(&self.log.shared))
    }

    /// Everything written so far, for [`Syncer::wait_durable`].
    #[must_use]
    pub fn ticket(&self) -> Ticket {
        Ticket(self.log.position)
    }

    /// Does what does not have to wait for the next append: after a failed sync, writes what it
    /// covered to another segment; otherwise deletes segments that are not needed any more.
    ///
    /// # Errors
    /// As [`recover_from_failed_sync`](Self::recover_from_failed_sync).
    pub fn maintain(&mut self) -> Result<(), Fault<FileError>> {
        self.recover_from_failed_sync()?;
        self.log.tidy();
        Ok(())
    }

    /// Makes everything durable, and notes that nothing is missing: the next opening goes on from here,
    /// where it otherwise writes the newest records again. For the end of a process; the storage can
    /// still be used.
    pub fn close(&mut self) {
        if self.log.check_process().is_ok() {
            self.log.close();
        }
    }

    /// Writes what a failed sync covered to another segment and makes it durable there. Does
    /// nothing when no sync failed.
    ///
    /// # Errors
    /// [`Fault::Full`], [`Fault::Medium`]: the frames stay in RAM; call again.
    pub fn recover_from_failed_sync(&mut self) -> Result<(), Fault<FileError>> {
        self.log.check_process()?;
        if self.log.shared.failed() { self.log.recover() } else { Ok(()) }
    }
}

impl<D: Disk> Storage for FileStorage<D> {
    type Error = FileError;

    fn next_seq(&self) -> Seq {
        Seq::new(self.log.next)
    }

    async fn append(&mut self, seq: Seq, record: &[u8]) -> Result<(), Fault<FileError>> {
        self.log.append(seq, record)
    }

    async fn read(&mut self, from: Seq, buffer: &mut [u8]) -> Result<Option<Stored>, Fault<FileError>> {
        self.log.read(from, buffer)
    }

    async fn remove(&mut self, range: SeqRange) -> Result<(), Fault<FileError>> {
        self.log.check_process()?;
        self.log.remove(Span { first: range.first.get(), last: range.last.get() });
        Ok(())
    }

    async fn set_aside(&mut self, seq: Seq) -> Result<(), Fault<FileError>> {
        self.log.check_process()?;
        self.log.set_aside(seq);
        Ok(())
    }

    async fn load(&mut self, slot: Slot, buffer: &mut [u8]) -> Result<usize, Fault<FileError>> {
        let held = self.log.slots.get(usize::from(slot.number()));
        let value = held.map_or(&[][..], |held| held.value());
        if value.len() > buffer.len() {
            return Ok(0);
        }
        for (to, byte) in buffer.iter_mut().zip(value) {
            *to = *byte;
        }
        Ok(value.len())
    }

    async fn store(&mut self, slot: Slot, value: &[u8]) -> Result<(), Fault<FileError>> {
        self.log.check_process()?;
        self.log.store(slot, value)
    }

    async fn wipe(&mut self) -> Result<(), Fault<FileError>> {
        self.log.check_process()?;
        self.log.wipe()
    }

    fn is_persistent(&self) -> bool {
        self.log.options.syncs()
    }

    async fn persist(&mut self) -> Result<(), Fault<FileError>> {
        self.recover_from_failed_sync()?;
        if self.log.shared.sync().is_ok() {
            return Ok(());
        }
        // What it covered is written to another segment, and durable there.
        self.recover_from_failed_sync()
    }

    fn take_damaged(&mut self) -> u32 {
        self.log.take_damaged()
    }
}
