//! Reads a segment from its first byte to its last, whatever they are.

use std::io;

use super::disk::{DiskFile, read_full};
use super::frame::{Binding, FRAME_MAX, Frame};
use super::segment::{HEADER, Header, SegmentName};

/// No segment is longer; what a file holds behind it is not read.
const SCAN_BYTES_MAX: u64 = 64 << 20;
const WINDOW_BYTES: usize = 256 << 10;
const PAGE_BYTES: usize = 4096;
/// Bytes that are not frames cost a checksum wherever they look like a head. Crafted ones could
/// look so everywhere; the search ends when it has cost this often the size of the segment.
const SEARCH_COST_MAX: u64 = 16;

/// What a segment's file looks like from end to end.
#[derive(Debug)]
pub(super) struct Scan {
    pub(super) header: Header,
    /// Length of the file.
    pub(super) size: u64,
    /// End of the last frame; of the header without frames.
    pub(super) end: u64,
    /// Stretches before `end` that are no frames: offset and length.
    pub(super) damaged: Vec<(u64, u64)>,
    /// Whether every byte behind the header is zero.
    pub(super) blank: bool,
    /// Whether some bytes could not be read, or are beyond what is read.
    pub(super) partial: bool,
    /// Why nothing can be read of the file any more, if that is so: the bytes may all be there.
    pub(super) refused: Option<io::Error>,
}

/// Reads the segment `name` and calls `found` with the offset of every frame, the frame, and whether
/// everything before it in the segment is intact.
pub(super) fn scan<F: DiskFile>(
    name: SegmentName,
    file: &F,
    mut found: impl FnMut(u64, Frame<'_>, bool),
) -> io::Result<Scan> {
    let size = file.size()?;
    let mut window = Window {
        file,
        size: size.min(SCAN_BYTES_MAX),
        start: 0,
        buffer: Vec::new(),
        partial: size > SCAN_BYTES_MAX,
        readable: None,
        refused: None,
    };
    let start = window.at(0);
    let header = name.check(start);
    let mut scan = Scan {
        header,
        size,
        end: (HEADER as u64).min(size),
        damaged: Vec::new(),
        blank: true,
        partial: false,
        refused: None,
    };
    if matches!(header, Header::Newer(_)) {
        return Ok(scan);
    }
    let binding = Binding::new(name.id, name.first);
    let mut budget = window.size.saturating_mul(SEARCH_COST_MAX);
    let mut cursor = HEADER as u64;
    // The start of a stretch that is no frame.
    let mut broken = None;
    while cursor < window.size {
        let bytes = window.at(cursor);
        if let Some((frame, len)) = binding.decode(bytes) {
            if let Some(start) = broken.take() {
                scan.damaged.push((start, cursor.saturating_sub(start)));
            }
            found(cursor, frame, scan.damaged.is_empty());
            scan.blank = false;
            cursor = cursor.saturating_add(len as u64);
            scan.end = cursor;
            continue;
        }
        scan.blank &= bytes.first().is_none_or(|byte| *byte == 0);
        broken.get_or_insert(cursor);
        let cost = binding.measure(bytes).unwrap_or(0).min(bytes.len());
        match budget.checked_sub(cost as u64) {
            Some(rest) => budget = rest,
            None => {
                scan.blank = false;
                break;
            }
        }
        cursor = cursor.saturating_add(1);
    }
    scan.partial = window.partial;
    scan.refused = window.refused.take().filter(|_| !window.can_read());
    Ok(scan)
}

/// A part of a file, long enough for any frame that starts in it.
struct Window<'f, F> {
    file: &'f F,
    size: u64,
    start: u64,
    buffer: Vec<u8>,
    partial: bool,
    /// Where something was read last.
    readable: Option<u64>,
    /// What was said where nothing was read.
    refused: Option<io::Error>,
}

impl<F: DiskFile> Window<'_, F> {
    /// The bytes from `offset`: as many as the longest frame takes, or all that are left.
    fn at(&mut self, offset: u64) -> &[u8] {
        let left = self.size.saturating_sub(offset);
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(FRAME_MAX);
        let at = usize::try_from(offset.saturating_sub(self.start)).unwrap_or(usize::MAX);
        let held = offset >= self.start && self.buffer.len().saturating_sub(at) >= wanted;
        let at = if held && at <= self.buffer.len() {
            at
        } else {
            self.fill(offset, usize::try_from(left).unwrap_or(usize::MAX).min(WINDOW_BYTES));
            0
        };
        self.buffer.get(at..).unwrap_or_default()
    }

    /// Whether the medium still gives out what it gave out before: then only some of the file is gone.
    fn can_read(&self) -> bool {
        self.readable.is_some_and(|at| matches!(read_full(self.file, at, &mut [0]), Ok(1)))
    }

    fn fill(&mut self, offset: u64, len: usize) {
        self.start = offset;
        self.buffer.resize(len, 0);
        if let Ok(read) = read_full(self.file, offset, &mut self.buffer) {
            // A file that shrank meanwhile ends where it ends.
            self.buffer.truncate(read);
            self.readable = Some(offset);
            if read < len {
                self.size = offset.saturating_add(read as u64);
                self.partial = true;
            }
            return;
        }
        // Page by page, each twice: what cannot be read is skipped as zeros, which are no frame.
        let mut at = offset;
        for page in self.buffer.chunks_mut(PAGE_BYTES) {
            page.fill(0);
            let read = read_full(self.file, at, page).or_else(|_| read_full(self.file, at, page));
            match read {
                Ok(read) if read == page.len() => self.readable = Some(at),
                read => {
                    page.fill(0);
                    self.partial = true;
                    self.refused = read.err().or(self.refused.take());
                }
            }
            at = at.saturating_add(page.len() as u64);
        }
    }
}
