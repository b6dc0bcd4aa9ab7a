//! Reads frames through one block of read-ahead, so that a walk costs few reads.

use std::io;
use std::sync::Arc;

use super::disk::{DiskFile, read_full};
use super::frame::FRAME_MAX;

const BLOCK_BYTES: usize = 64 << 10;

/// A block of one segment, and the file it came from.
///
/// The log only grows at its end, and a block never reaches behind the end that was committed when
/// it was read: what it holds stays true.
#[derive(Debug)]
pub(super) struct Reader<F> {
    file: Option<(u32, Arc<F>)>,
    block: Vec<u8>,
    start: u64,
}

impl<F: DiskFile> Reader<F> {
    pub(super) fn new() -> Self {
        Self { file: None, block: Vec::new(), start: 0 }
    }

    /// Whether the reader holds the file of this segment.
    pub(super) fn is_at(&self, key: u32) -> bool {
        self.file.as_ref().is_some_and(|(held, _)| *held == key)
    }

    /// Goes on with another segment.
    pub(super) fn turn_to(&mut self, key: u32, file: Arc<F>) {
        self.forget();
        self.file = Some((key, file));
    }

    /// Lets go of the file, and of every byte that was read.
    pub(super) fn forget(&mut self) {
        self.file = None;
        self.block.clear();
    }

    /// Drops what was read, but not the file.
    pub(super) fn reread(&mut self) {
        self.block.clear();
    }

    /// The bytes from `offset`, `len` of them or as many as there are before `end`.
    pub(super) fn read(&mut self, offset: u64, len: usize, end: u64) -> io::Result<&[u8]> {
        if !self.holds(offset, len) {
            let left = usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX);
            let least = left.min(len.min(FRAME_MAX));
            let most = left.min(BLOCK_BYTES.max(least));
            // A sector that is gone takes only the records in it along, not the block around them.
            if self.fill(offset, most).is_err() {
                self.fill(offset, least)?;
            }
        }
        Ok(self.held(offset, len))
    }

    fn fill(&mut self, offset: u64, len: usize) -> io::Result<()> {
        self.block.resize(len, 0);
        self.start = offset;
        let read = match &self.file {
            Some((_, file)) => read_full(&**file, offset, &mut self.block),
            None => Ok(0),
        };
        self.block.truncate(*read.as_ref().unwrap_or(&0));
        read.map(|_| ())
    }

    /// Whether the medium still gives out the first bytes of the file.
    pub(super) fn can_read(&self) -> bool {
        self.file.as_ref().is_some_and(|(_, file)| matches!(read_full(&**file, 0, &mut [0]), Ok(1)))
    }

    /// What was read from `offset` on: `len` bytes or less.
    pub(super) fn held(&self, offset: u64, len: usize) -> &[u8] {
        let at = usize::try_from(offset.saturating_sub(self.start)).unwrap_or(usize::MAX);
        let bytes = self.block.get(at..).unwrap_or_default();
        bytes.get(..len).unwrap_or(bytes)
    }

    fn holds(&self, offset: u64, len: usize) -> bool {
        let held_end = self.start.saturating_add(self.block.len() as u64);
        offset >= self.start && offset.saturating_add(len as u64) <= held_end
    }
}
