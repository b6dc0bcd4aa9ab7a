//! What the log asks of a file system: small enough to be simulated with every fault.

use core::fmt;
use std::ffi::OsString;
use std::io;

/// One directory that belongs to the log alone, locked against every other process.
pub trait Disk: fmt::Debug + Send + 'static {
    /// An open file of this directory.
    type File: DiskFile;

    /// The names in the directory, in any order.
    ///
    /// # Errors
    /// When the directory cannot be read.
    fn list(&self) -> io::Result<Vec<OsString>>;

    /// Creates a file that only its owner can read. Its name is durable after
    /// [`sync_directory`](Self::sync_directory).
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] when the name is taken, whatever it names.
    fn create(&self, name: &str) -> io::Result<Self::File>;

    /// Opens an existing file, never through a symbolic link.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] when there is no such file, [`io::ErrorKind::InvalidInput`] when
    /// it is not a file; anything else when it cannot be opened now.
    fn open(&self, name: &str) -> io::Result<Self::File>;

    /// Removes a name.
    ///
    /// # Errors
    /// When the name cannot be removed.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes creations and removals durable.
    ///
    /// # Errors
    /// When the medium failed.
    fn sync_directory(&self) -> io::Result<()>;
}

/// One file. Every method takes `&self`, so that a sync can run beside an append.
pub trait DiskFile: fmt::Debug + Send + Sync + 'static {
    /// Writes at `offset`, at most once to the medium, and returns how many bytes were taken.
    ///
    /// # Errors
    /// [`io::ErrorKind::StorageFull`], [`io::ErrorKind::QuotaExceeded`] or
    /// [`io::ErrorKind::FileTooLarge`] without room; anything else is a fault of the medium.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize>;

    /// Reads at `offset`; 0 at the end of the file.
    ///
    /// # Errors
    /// When the medium cannot be read.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// The length of the file in bytes.
    ///
    /// # Errors
    /// When the medium cannot be read.
    fn size(&self) -> io::Result<u64>;

    /// Cuts the file to `len` bytes.
    ///
    /// # Errors
    /// When the medium failed.
    fn truncate(&self, len: u64) -> io::Result<()>;

    /// Sets blocks aside up to `len` bytes without changing the length of the file.
    ///
    /// # Errors
    /// When there is no room, or the file system cannot do it. The log goes on without.
    fn preallocate(&self, len: u64) -> io::Result<()>;

    /// Makes what was written durable, and the length with it.
    ///
    /// # Errors
    /// When the medium failed. The file is then never synced again: a second sync may lie.
    fn sync_data(&self) -> io::Result<()>;

    /// [`sync_data`](Self::sync_data), and everything else about the file.
    ///
    /// # Errors
    /// As [`sync_data`](Self::sync_data).
    fn sync_all(&self) -> io::Result<()>;
}

/// Writes all of `bytes`; one write unless the medium takes less than it was given.
pub(super) fn write_all(file: &impl DiskFile, offset: u64, bytes: &[u8]) -> io::Result<()> {
    let mut offset = offset;
    let mut rest = bytes;
    while !rest.is_empty() {
        match file.write_at(offset, rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(taken) => {
                rest = rest.get(taken..).unwrap_or_default();
                offset = offset.saturating_add(taken as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads until `buffer` is full or the file ends, and returns how many bytes there were.
pub(super) fn read_full(file: &impl DiskFile, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut done = 0_usize;
    while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read_at(offset.saturating_add(done as u64), rest) {
            Ok(0) => break,
            Ok(read) => done = done.saturating_add(read),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}
