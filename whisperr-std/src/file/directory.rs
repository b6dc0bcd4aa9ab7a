//! The real disk: one directory of the file system, held by one process.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::disk::{Disk, DiskFile};
use super::error::OpenError;

#[cfg_attr(unix, path = "directory/unix.rs")]
#[cfg_attr(not(unix), path = "directory/other.rs")]
mod platform;

const LOCK: &str = "lock";

/// A directory, locked until this is dropped.
///
/// The lock file is never deleted: another process could lock the deleted one. Locks on network
/// file systems are not to be relied on.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    handle: platform::Handle,
    _lock: File,
}

/// A file of a [`Directory`].
#[derive(Debug)]
pub struct DirectoryFile(File);

impl Directory {
    /// Opens `path`, creating it for its owner alone if need be, and locks it.
    ///
    /// # Errors
    /// [`OpenError`] says what makes it unusable.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let unusable = |error: io::Error| OpenError::Unusable { path: path.into(), error };
        create(path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
                OpenError::NotADirectory { path: path.into() }
            }
            _ => unusable(error),
        })?;
        let handle = platform::open(path).map_err(unusable)?;
        platform::check(path, &handle)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true);
        platform::restrict(&mut options);
        let lock = options.open(path.join(LOCK)).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.into(), handle, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(OpenError::Locked { path: path.into() }),
            Err(TryLockError::Error(error)) => Err(unusable(error)),
        }
    }
}

fn not_a_file() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "not a file")
}

/// Creates the directory and its parents, and makes their names durable.
fn create(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let missing =
        path.ancestors().take_while(|ancestor| !ancestor.as_os_str().is_empty() && !ancestor.exists());
    let missing: Vec<&Path> = missing.collect();
    platform::create(path)?;
    for created in missing {
        let parent = created.parent().filter(|parent| !parent.as_os_str().is_empty());
        platform::sync(&platform::open(parent.unwrap_or(Path::new(".")))?)?;
    }
    Ok(())
}

impl Disk for Directory {
    type File = DirectoryFile;

    fn list(&self) -> io::Result<Vec<OsString>> {
        std::fs::read_dir(&self.path)?.map(|entry| entry.map(|entry| entry.file_name())).collect()
    }

    fn create(&self, name: &str) -> io::Result<DirectoryFile> {
        platform::create_file(&self.handle, &self.path, name).map(DirectoryFile)
    }

    fn open(&self, name: &str) -> io::Result<DirectoryFile> {
        let file = platform::open_file(&self.handle, &self.path, name)?;
        if file.metadata()?.is_file() { Ok(DirectoryFile(file)) } else { Err(not_a_file()) }
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        platform::remove(&self.handle, &self.path, name)
    }

    fn sync_directory(&self) -> io::Result<()> {
        platform::sync(&self.handle)
    }
}

impl DiskFile for DirectoryFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        platform::write_at(&self.0, offset, bytes)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        platform::read_at(&self.0, offset, buffer)
    }

    fn size(&self) -> io::Result<u64> {
        self.0.metadata().map(|metadata| metadata.len())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn preallocate(&self, len: u64) -> io::Result<()> {
        platform::preallocate(&self.0, len)
    }

    // On Apple systems std asks for F_FULLFSYNC in both: fsync alone stops at the drive's cache.
    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.0.sync_all()
    }
}
