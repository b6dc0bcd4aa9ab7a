//! What only Unix offers: modes, owners, opening relative to a directory, blocks set aside.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::retry_on_intr;

use super::not_a_file;
use crate::file::error::OpenError;

/// The open directory: files are opened relative to it, wherever its path leads later.
pub(super) type Handle = File;

/// For the owner alone, from the moment it exists.
const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;

pub(super) fn create(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(path)
}

pub(super) fn open(path: &Path) -> io::Result<Handle> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(File::from(retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty()))?))
}

pub(super) fn check(path: &Path, handle: &Handle) -> Result<(), OpenError> {
    let metadata = handle.metadata().map_err(|error| OpenError::Unusable { path: path.into(), error })?;
    check_owner(path, metadata.uid(), rustix::process::geteuid().as_raw(), metadata.mode())
}

/// Only the owner may be able to put files here.
pub(super) fn check_owner(path: &Path, owner: u32, user: u32, mode: u32) -> Result<(), OpenError> {
    if owner != user {
        return Err(OpenError::NotOwned { path: path.into(), owner });
    }
    if mode & 0o022 != 0 {
        return Err(OpenError::Writable { path: path.into(), mode: mode & 0o7777 });
    }
    Ok(())
}

pub(super) fn restrict(options: &mut OpenOptions) {
    options.mode(FILE_MODE).custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
}

fn file_flags() -> OFlags {
    // NONBLOCK: a pipe under the name of a segment must not hold up the opening.
    OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK
}

pub(super) fn create_file(handle: &Handle, _path: &Path, name: &str) -> io::Result<File> {
    let flags = file_flags() | OFlags::CREATE | OFlags::EXCL;
    Ok(File::from(retry_on_intr(|| rustix::fs::openat(handle, name, flags, Mode::RUSR | Mode::WUSR))?))
}

pub(super) fn open_file(handle: &Handle, _path: &Path, name: &str) -> io::Result<File> {
    let opened = retry_on_intr(|| rustix::fs::openat(handle, name, file_flags(), Mode::empty()));
    opened.map(File::from).map_err(|errno| {
        // What is no file is refused with a different number by every kind of thing and system.
        match rustix::fs::statat(handle, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if !FileType::from_raw_mode(stat.st_mode).is_file() => not_a_file(),
            _ => errno.into(),
        }
    })
}

pub(super) fn remove(handle: &Handle, _path: &Path, name: &str) -> io::Result<()> {
    Ok(rustix::fs::unlinkat(handle, name, AtFlags::empty())?)
}

pub(super) fn sync(handle: &Handle) -> io::Result<()> {
    handle.sync_all()
}

pub(super) fn write_at(file: &File, offset: u64, bytes: &[u8]) -> io::Result<usize> {
    FileExt::write_at(file, bytes, offset)
}

pub(super) fn read_at(file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    FileExt::read_at(file, buffer, offset)
}

/// The length of the file stays what was written: recovery never meets blocks nobody wrote.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn preallocate(file: &File, len: u64) -> io::Result<()> {
    Ok(rustix::fs::fallocate(file, rustix::fs::FallocateFlags::KEEP_SIZE, 0, len)?)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn preallocate(_file: &File, _len: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_directory_of_the_user_that_nobody_else_writes_to_will_do() {
        let check = |owner, mode| check_owner(Path::new("/queue"), owner, 7, mode).err();

        assert!(check(7, 0o40700).is_none());
        assert!(check(7, 0o40755).is_none());
        assert!(matches!(check(0, 0o40700), Some(OpenError::NotOwned { owner: 0, .. })));
        assert!(matches!(check(7, 0o40720), Some(OpenError::Writable { mode: 0o720, .. })));
        assert!(matches!(check(7, 0o41702), Some(OpenError::Writable { mode: 0o1702, .. })));
    }
}
