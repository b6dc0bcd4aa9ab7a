//! What can go wrong, in words that name the path and the rule.

use core::fmt;
use std::io;
use std::path::PathBuf;

use whisperr_core::{Fault, RECORD_BYTES_MAX, SLOT_BYTES_MAX, Seq};

/// What the storage was doing when the file system refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Creating a segment.
    Create,
    /// Opening a segment.
    Open,
    /// Writing frames.
    Write,
    /// Reading frames.
    Read,
    /// Making frames durable.
    Sync,
    /// Deleting a segment.
    Remove,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "creating a segment",
            Self::Open => "opening a segment",
            Self::Write => "writing",
            Self::Read => "reading",
            Self::Sync => "syncing",
            Self::Remove => "deleting a segment",
        })
    }
}

/// Why the queue file could not do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileError {
    /// The file system refused.
    Io {
        /// While doing what.
        during: Step,
        /// The class of the refusal.
        kind: io::ErrorKind,
        /// The operating system's number for it, when it has one.
        code: Option<i32>,
    },
    /// The disk is full. What is owed stays; evicting some of it would not make room.
    DiskFull,
    /// A sync failed: what was written since the last good one is not known to be durable. It is
    /// written again, to another segment, before anything else.
    SyncFailed,
    /// The record is longer than a record can be.
    RecordTooLong {
        /// Its length.
        bytes: usize,
    },
    /// The value is longer than a slot can hold.
    SlotTooLong {
        /// Its length.
        bytes: usize,
    },
    /// The sequence number was given out before.
    SeqUsed {
        /// The number.
        seq: Seq,
        /// The lowest number that is free.
        next: Seq,
    },
    /// The storage was opened by another process, of which this one is a fork.
    Forked {
        /// The process that owns the storage.
        owner: u32,
    },
}

impl FileError {
    pub(super) fn io(during: Step, error: &io::Error) -> Self {
        Self::Io { during, kind: error.kind(), code: error.raw_os_error() }
    }
}

/// Full when the medium has no room, whoever set the limit; a fault of the medium otherwise.
pub(super) fn fault(during: Step, error: &io::Error) -> Fault<FileError> {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            Fault::Full
        }
        _ => Fault::Medium(FileError::io(during, error)),
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { during, kind, code: Some(code) } => {
                write!(f, "{during} failed: {kind} (os error {code})")
            }
            Self::Io { during, kind, code: None } => write!(f, "{during} failed: {kind}"),
            Self::DiskFull => f.write_str("the disk is full"),
            Self::SyncFailed => f.write_str("a sync failed, what it covered is not durable"),
            Self::RecordTooLong { bytes } => {
                write!(f, "record of {bytes} bytes exceeds the limit of {RECORD_BYTES_MAX}")
            }
            Self::SlotTooLong { bytes } => {
                write!(f, "slot of {bytes} bytes exceeds the limit of {SLOT_BYTES_MAX}")
            }
            Self::SeqUsed { seq, next } => {
                write!(f, "sequence number {seq} is below the next free one, {next}")
            }
            Self::Forked { owner } => {
                write!(f, "the storage belongs to process {owner}, a fork cannot use it")
            }
        }
    }
}

impl core::error::Error for FileError {}

/// Why a directory cannot hold a queue.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// The path names something that is not a directory.
    NotADirectory {
        /// The path.
        path: PathBuf,
    },
    /// The directory belongs to another user.
    NotOwned {
        /// The path.
        path: PathBuf,
        /// The user it belongs to.
        owner: u32,
    },
    /// Others than the owner can write to the directory.
    Writable {
        /// The path.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Another process, or another storage of this one, has the directory open.
    Locked {
        /// The path.
        path: PathBuf,
    },
    /// The file system refused.
    Unusable {
        /// The path.
        path: PathBuf,
        /// Its refusal.
        error: io::Error,
    },
    /// An option is outside its range.
    OutOfRange {
        /// The name of the option.
        field: &'static str,
        /// The lowest legal value.
        min: u64,
        /// The highest legal value.
        max: u64,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotADirectory { path } => write!(f, "{} is not a directory", path.display()),
            Self::NotOwned { path, owner } => {
                write!(f, "{} belongs to user {owner}, not to this process", path.display())
            }
            Self::Writable { path, mode } => {
                write!(f, "{} has mode {mode:04o}, only its owner may be able to write to it", path.display())
            }
            Self::Locked { path } => {
                write!(f, "{} is locked by another process", path.display())
            }
            Self::Unusable { path, error } => {
                write!(f, "{} cannot be used: {error}", path.display())
            }
            Self::OutOfRange { field, min, max } => {
                write!(f, "{field} is not between {min} and {max}")
            }
        }
    }
}

impl core::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Unusable { error, .. } => Some(error),
            _ => None,
        }
    }
}
