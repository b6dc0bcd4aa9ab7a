//! What opening found, and what the log takes.

/// What opening a directory found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct OpenReport {
    /// Records that are still owed.
    pub records: u64,
    /// Records that are lost: their sequence numbers are missing. [`take_damaged`] returns them.
    ///
    /// [`take_damaged`]: whisperr_core::Storage::take_damaged
    pub missing: u64,
    /// Bytes between frames that are no frames.
    pub damaged_bytes: u64,
    /// Bytes behind the last frame, as an interrupted write leaves them. They are normal.
    pub torn_bytes: u64,
    /// Segments of a later version of this library. They were left untouched, and what they hold
    /// is delivered when that version runs again.
    pub newer_segments: u32,
    /// The highest format version among them; 0 without any.
    pub newer_version: u16,
    /// Files that are not the queue's. They were left untouched.
    pub foreign_files: u32,
}

/// What the log takes on the medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct FileStats {
    /// Records that are owed.
    pub records: u64,
    /// Bytes of their frames.
    pub live_bytes: u64,
    /// Bytes of all segments up to their last frame; blocks set aside behind it do not count.
    pub bytes: u64,
    /// Number of segments.
    pub segments: u64,
    /// Bytes of frames kept in RAM until they are durable.
    pub unsynced_bytes: u64,
}
