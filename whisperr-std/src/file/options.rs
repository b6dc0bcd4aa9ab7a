//! How much a queue file may hold, and how soon it is durable.

use core::time::Duration;

use super::error::OpenError;

/// Longest time between a write and the sync that covers it.
pub const SYNC_INTERVAL_MAX: Duration = Duration::from_secs(1);

/// When what was written is made durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fsync {
    /// The operating system decides. A crash of the process loses nothing, a power cut can lose
    /// everything it had not written back, and with it the order of sequence numbers.
    Never,
    /// At most this long after the write, up to [`SYNC_INTERVAL_MAX`]: a power cut loses at most
    /// this much time.
    Interval(Duration),
    /// Before the caller's `Ok`: whoever appends waits for [`Syncer::wait_durable`] outside of the
    /// lock, and one sync serves all who wait.
    ///
    /// [`Syncer::wait_durable`]: super::Syncer::wait_durable
    Always,
}

/// The bounds and the policy of a [`FileStorage`](super::FileStorage).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileOptions {
    pub(super) fsync: Fsync,
    pub(super) max_bytes: u64,
    pub(super) segment_bytes: u32,
}

impl Default for FileOptions {
    fn default() -> Self {
        Self { fsync: Fsync::Interval(SYNC_INTERVAL_MAX), max_bytes: 64 << 20, segment_bytes: 1 << 20 }
    }
}

impl FileOptions {
    /// A sync every second, 64 MiB, segments of 1 MiB.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets when writes are made durable.
    ///
    /// Default [`Fsync::Interval`] of one second; an interval is 1 ms to [`SYNC_INTERVAL_MAX`].
    #[must_use]
    pub fn fsync(mut self, fsync: Fsync) -> Self {
        self.fsync = fsync;
        self
    }

    /// Sets how many bytes the segments may take together.
    ///
    /// Default 64 MiB; four segments to 1 TiB. Records get what a quarter, at least two segments,
    /// leaves: the rest holds removals and records on their way to a new segment.
    #[must_use]
    pub fn max_bytes(mut self, max_bytes: u64) -> Self {
        self.max_bytes = max_bytes;
        self
    }

    /// Sets how long a segment grows before the next one is started.
    ///
    /// Default 1 MiB; 512 bytes to 16 MiB. A single record may make a segment longer.
    #[must_use]
    pub fn segment_bytes(mut self, segment_bytes: u32) -> Self {
        self.segment_bytes = segment_bytes;
        self
    }

    pub(super) fn check(&self) -> Result<(), OpenError> {
        range("segment_bytes", self.segment_bytes.into(), 512, 16 << 20)?;
        let four_segments = u64::from(self.segment_bytes).saturating_mul(4);
        range("max_bytes", self.max_bytes, four_segments, 1 << 40)?;
        if let Fsync::Interval(interval) = self.fsync {
            let micros = u64::try_from(interval.as_micros()).unwrap_or(u64::MAX);
            range("fsync interval in microseconds", micros, 1000, 1_000_000)?;
        }
        Ok(())
    }

    /// Most bytes of frames that live records take.
    pub(super) fn live_bytes_max(&self) -> u64 {
        let two_segments = u64::from(self.segment_bytes).saturating_mul(2);
        self.max_bytes.saturating_sub((self.max_bytes / 4).max(two_segments))
    }

    pub(super) fn syncs(&self) -> bool {
        self.fsync != Fsync::Never
    }
}

fn range(field: &'static str, value: u64, min: u64, max: u64) -> Result<(), OpenError> {
    if (min..=max).contains(&value) { Ok(()) } else { Err(OpenError::OutOfRange { field, min, max }) }
}
