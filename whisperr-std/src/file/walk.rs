//! Finding records, and taking those out that are damaged.

use std::io;
use std::sync::Arc;

use whisperr_core::{Fault, Seq, Stored};

use super::aside;
use super::disk::Disk;
use super::error::{FileError, Step};
use super::frame::{CRC, Frame};
use super::index::Entry;
use super::log::Log;
use super::segment::{Segment, Span};

/// So often a read of the same record may fail before it counts as damaged: a sector that is gone
/// must not hold up what stands behind it for ever.
pub(super) const READS_MAX: u8 = 16;

/// Why a frame could not be read.
enum Unread {
    /// The medium refused; it may not refuse again.
    Refused(FileError),
    /// The bytes are not the record's.
    Damaged,
}

impl<D: Disk> Log<D> {
    /// Copies the oldest record at or behind `from`.
    pub(super) fn read(&mut self, from: Seq, buffer: &mut [u8]) -> Result<Option<Stored>, Fault<FileError>> {
        while let Some(entry) = self.index.find(from.get()) {
            let stored = Stored { seq: Seq::new(entry.seq), len: entry.len.into() };
            // Who wants no bytes only counts: the index knows enough for that.
            if buffer.is_empty() {
                return Ok(Some(stored));
            }
            if self.load_or_lose(entry)? {
                let record = self.loaded(entry);
                let len = record.len().min(buffer.len());
                if let (Some(to), Some(from)) = (buffer.get_mut(..len), record.get(..len)) {
                    to.copy_from_slice(from);
                }
                return Ok(Some(stored));
            }
        }
        Ok(None)
    }

    /// Loads a record, or takes it out of the walk because it is damaged and returns `false`.
    pub(super) fn load_or_lose(&mut self, entry: Entry) -> Result<bool, Fault<FileError>> {
        match self.load(entry) {
            Ok(()) => Ok(true),
            Err(Unread::Refused(error)) => {
                self.count_refusal(entry);
                Err(Fault::Medium(error))
            }
            // What the file holds is not to be trusted until it is written again.
            Err(Unread::Damaged) if self.shared.failed() => {
                self.recover()?;
                Err(Fault::Medium(FileError::SyncFailed))
            }
            Err(Unread::Damaged) => {
                self.lose(entry);
                Ok(false)
            }
        }
    }

    /// The record that was loaded last.
    pub(super) fn loaded(&self, entry: Entry) -> &[u8] {
        let front = entry.frame_bytes().saturating_sub(usize::from(entry.len)).saturating_sub(CRC);
        let offset = u64::from(entry.offset).saturating_add(front as u64);
        self.reader.held(offset, entry.len.into())
    }

    /// Brings a record into the reader, and checks it.
    fn load(&mut self, entry: Entry) -> Result<(), Unread> {
        let Some(segment) = self.segment(entry.key).copied() else {
            return Err(Unread::Damaged);
        };
        if !self.reader.is_at(entry.key) {
            self.reader.forget();
            let file = self.file_of(entry.key, &segment)?;
            self.reader.turn_to(entry.key, file);
        }
        let (offset, size) = (u64::from(entry.offset), entry.frame_bytes());
        for _ in 0..2 {
            let bytes = self.reader.read(offset, size, segment.len);
            let bytes = bytes.map_err(|error| Unread::Refused(FileError::io(Step::Read, &error)))?;
            if let Some((Frame::Record { seq, .. } | Frame::Placed { seq, .. }, _)) =
                segment.binding.decode(bytes)
                && seq == entry.seq
            {
                return Ok(());
            }
            // Once more from the medium: it may be the block in RAM that is wrong.
            self.reader.reread();
        }
        Err(Unread::Damaged)
    }

    fn file_of(&self, key: u32, segment: &Segment) -> Result<Arc<D::File>, Unread> {
        match &self.active {
            Some(active) if active.key == key => Ok(active.file.clone()),
            _ => match self.disk.open(&segment.name.file()) {
                Ok(file) => Ok(Arc::new(file)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Unread::Damaged),
                Err(error) => Err(Unread::Refused(FileError::io(Step::Open, &error))),
            },
        }
    }

    fn count_refusal(&mut self, entry: Entry) {
        let before = match self.refused {
            Some((seq, times)) if seq == entry.seq => times,
            _ => 0,
        };
        let times = before.saturating_add(1);
        self.refused = Some((entry.seq, times));
        // A medium that gives out nothing at all may come back: only one that reads beside it has lost
        // the record.
        if times >= READS_MAX && self.reader.can_read() {
            self.refused = None;
            self.lose(entry);
        }
    }

    /// Takes a damaged record out of the walk, with a copy of what stands in its place.
    fn lose(&mut self, entry: Entry) {
        if let Some(segment) = self.segment(entry.key).copied() {
            let offset = u64::from(entry.offset);
            let bytes = self.reader.read(offset, entry.frame_bytes(), segment.len);
            if let Ok(bytes) = bytes {
                // The count is what is surfaced; the copy is made where there is room.
                let _ = aside::keep(&self.disk, segment.name, offset, bytes);
            }
        }
        self.take_out(Span { first: entry.seq, last: entry.seq });
        self.lost.insert_exact(Span { first: entry.seq, last: entry.seq });
    }

    /// Copies the record to the damaged ones and removes it.
    pub(super) fn set_aside(&mut self, seq: Seq) {
        if let Some(entry) = self.index.get(seq.get())
            && let Some(name) = self.segment(entry.key).map(|segment| segment.name)
        {
            let offset = u64::from(entry.offset);
            if self.load(entry).is_ok() {
                // The copy is made where there is room; the record goes in any case.
                let _ = aside::keep(&self.disk, name, offset, self.loaded(entry));
            }
        }
        self.remove(Span::one(seq));
    }

    /// Takes the records of `span` out of the index.
    pub(super) fn take_out(&mut self, span: Span) -> bool {
        let (segments, front_key) = (&mut self.segments, self.front_key);
        let before = self.index.len();
        self.index.remove(span, |entry| {
            let at = usize::try_from(entry.key.wrapping_sub(front_key)).unwrap_or(usize::MAX);
            if let Some(segment) = segments.get_mut(at) {
                segment.lose(entry.frame_bytes() as u64);
            }
        });
        self.index.len() < before
    }

    /// How many records were found damaged since the last time.
    pub(super) fn take_damaged(&mut self) -> u32 {
        let lost = self.lost.take();
        for span in lost.iter() {
            // The next write says so on the medium, so that no later run counts them again.
            self.pending.insert(*span, &self.index);
        }
        u32::try_from(lost.count()).unwrap_or(u32::MAX)
    }
}
