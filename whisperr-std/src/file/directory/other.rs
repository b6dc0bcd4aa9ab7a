//! Where there are no modes and owners: the user's profile protects the directory.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::path::Path;

use super::not_a_file;
use crate::file::error::OpenError;

/// Files are opened by path.
#[derive(Debug)]
pub(super) struct Handle;

pub(super) fn create(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).create(path)
}

pub(super) fn open(_path: &Path) -> io::Result<Handle> {
    Ok(Handle)
}

pub(super) fn check(_path: &Path, _handle: &Handle) -> Result<(), OpenError> {
    Ok(())
}

pub(super) fn restrict(_options: &mut OpenOptions) {}

pub(super) fn create_file(_handle: &Handle, path: &Path, name: &str) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).open(path.join(name))
}

pub(super) fn open_file(_handle: &Handle, path: &Path, name: &str) -> io::Result<File> {
    let path = path.join(name);
    OpenOptions::new().read(true).write(true).open(&path).map_err(|error| match path.symlink_metadata() {
        Ok(metadata) if !metadata.is_file() => not_a_file(),
        _ => error,
    })
}

pub(super) fn remove(_handle: &Handle, path: &Path, name: &str) -> io::Result<()> {
    std::fs::remove_file(path.join(name))
}

/// There is no such call: the journal of the file system keeps names.
pub(super) fn sync(_handle: &Handle) -> io::Result<()> {
    Ok(())
}

#[cfg(windows)]
pub(super) fn write_at(file: &File, offset: u64, bytes: &[u8]) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_write(file, bytes, offset)
}

#[cfg(windows)]
pub(super) fn read_at(file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    match std::os::windows::fs::FileExt::seek_read(file, buffer, offset) {
        // ERROR_HANDLE_EOF
        Err(error) if error.raw_os_error() == Some(38) => Ok(0),
        read => read,
    }
}

#[cfg(not(windows))]
pub(super) fn write_at(mut file: &File, offset: u64, bytes: &[u8]) -> io::Result<usize> {
    use std::io::{Seek, SeekFrom, Write};
    file.seek(SeekFrom::Start(offset))?;
    file.write(bytes)
}

#[cfg(not(windows))]
pub(super) fn read_at(mut file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    use std::io::{Read, Seek, SeekFrom};
    file.seek(SeekFrom::Start(offset))?;
    file.read(buffer)
}

pub(super) fn preallocate(_file: &File, _len: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
