//! Removing records, and giving the medium back what they took.

use core::ops::ControlFlow;
use std::io;

use whisperr_core::Fault;

use super::aside;
use super::disk::{Disk, DiskFile};
use super::error::{FileError, Step, fault};
use super::frame::Frame;
use super::index::Entry;
use super::log::Log;
use super::segment::{Segment, Span};
use super::start::Purpose;

/// Most segments whose records are moved on in one go.
const MOVES_MAX: usize = 4;

impl<D: Disk> Log<D> {
    /// Removes the records of `span`.
    ///
    /// A removal that cannot be written waits for the next write: until then, a restart brings the
    /// records back, which means that they are sent again.
    pub(super) fn remove(&mut self, span: Span) {
        let span = Span { first: span.first, last: span.last.min(self.next.saturating_sub(1)) };
        if span.first > span.last || !self.take_out(span) {
            return;
        }
        let mut written = Ok(());
        if self.pending.is_empty() {
            let frame = Frame::Removed { first: span.first, last: span.last };
            written = self.write(frame).map(|_| ());
        }
        if written.is_err() || !self.pending.is_empty() {
            self.pending.insert(span, &self.index);
            written = self.write_pending();
        }
        if written == Err(Fault::Full) {
            // A removal must free the medium even when the medium has no room for it.
            self.make_space();
        }
        self.tidy();
    }

    /// Writes removals that wait, as far as there is room.
    fn write_pending(&mut self) -> Result<(), Fault<FileError>> {
        let mut left = self.pending.len();
        while left > 0 {
            // Any frame takes them along; the floor is the shortest.
            self.write(Frame::Floor { id: self.floor })?;
            if self.pending.len() >= left {
                break;
            }
            left = self.pending.len();
        }
        Ok(())
    }

    /// Deletes segments that are not needed, and moves records out of the oldest ones when the log
    /// has grown too far around them.
    pub(super) fn tidy(&mut self) {
        for _ in 0..MOVES_MAX {
            self.raise_floor();
            if !self.untidy || !self.is_overgrown() || self.move_oldest().is_break() {
                break;
            }
        }
        self.untidy = false;
        self.delete_consumed();
    }

    /// Whether segments wait for their deletion.
    pub(super) fn has_consumed(&self) -> bool {
        !self.stuck && self.segments.front().is_some_and(|front| front.name.id < self.floor)
    }

    /// Frees what it can at once, waiting for the medium. Returns whether anything was freed.
    pub(super) fn make_space(&mut self) -> bool {
        let before = self.bytes;
        self.untidy = true;
        self.tidy();
        if self.options.syncs() && self.shared.sync().is_ok() {
            self.tidy();
        }
        if self.bytes == before {
            self.delete_without_floor();
        }
        self.bytes < before
    }

    /// Deletes segments although there is no room to write down that they are not needed.
    ///
    /// What takes the place of the floor is their order: each is gone for good before the next one
    /// goes, so that a restart finds no gap between them.
    fn delete_without_floor(&mut self) {
        if self.active.is_none() || self.shared.durable() < self.moved_position {
            return;
        }
        while let Some(front) = self.segments.front().copied()
            && self.first_needed().is_some_and(|(key, _)| key != self.front_key)
        {
            let removed = self.disk.remove(&front.name.file());
            if removed.is_err_and(|error| error.kind() != io::ErrorKind::NotFound) {
                break;
            }
            self.drop_front(front);
            if self.options.syncs() && self.disk.sync_directory().is_err() {
                break;
            }
        }
    }

    /// Writes down from which segment on the log is needed.
    fn raise_floor(&mut self) {
        // Of two frames that are not durable, a cut may leave either: copies come first.
        #[cfg(whisperr_planted)]
        let early = whisperr_core::planted::is(whisperr_core::planted::Bug::DeleteBeforeCommit);
        #[cfg(not(whisperr_planted))]
        let early = false;
        if self.shared.durable() < self.moved_position && !early {
            return;
        }
        let floor = self.first_needed().map(|(_, segment)| segment.name.id);
        let front = self.segments.front().map_or(0, |front| front.name.id);
        // Without an active segment, slots may stand in any of them.
        if self.active.is_some()
            && let Some(floor) = floor.filter(|floor| *floor > self.floor.max(front))
            && self.write(Frame::Floor { id: floor }).is_ok()
        {
            self.floor = floor;
            self.floor_position = self.position;
        }
    }

    /// The first segment that has records, or is written to, and its key.
    fn first_needed(&self) -> Option<(u32, &Segment)> {
        let active = self.active.as_ref().map(|active| active.key);
        let keys = (0..).map(|at| self.front_key.wrapping_add(at));
        keys.zip(&self.segments).find(|(key, segment)| segment.live > 0 || active == Some(*key))
    }

    /// Deletes the segments below the floor once that is durable.
    pub(super) fn delete_consumed(&mut self) {
        #[cfg(whisperr_planted)]
        let early = whisperr_core::planted::is(whisperr_core::planted::Bug::DeleteBeforeCommit);
        #[cfg(not(whisperr_planted))]
        let early = false;
        if !self.has_consumed() || (self.shared.durable() < self.floor_position && !early) {
            return;
        }
        while let Some(front) = self.segments.front().copied() {
            if front.name.id >= self.floor {
                break;
            }
            match self.disk.remove(&front.name.file()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    self.stuck = true;
                    break;
                }
                _ => self.drop_front(front),
            }
        }
    }

    fn drop_front(&mut self, front: Segment) {
        if self.reader.is_at(self.front_key) {
            self.reader.forget();
        }
        self.segments.pop_front();
        self.front_key = self.front_key.wrapping_add(1);
        self.bytes = self.bytes.saturating_sub(front.len);
    }

    /// Whether the log takes more than twice what its records need, or more than it may.
    fn is_overgrown(&self) -> bool {
        let consumed: u64 =
            self.segments.iter().take_while(|segment| segment.live == 0).map(|segment| segment.len).sum();
        let kept = self.bytes.saturating_sub(consumed);
        let slack = u64::from(self.options.segment_bytes).saturating_mul(2);
        let twice = self.index.bytes().saturating_mul(2).saturating_add(slack);
        let nearly_full = self.options.max_bytes.saturating_sub(slack / 2);
        kept > twice || kept > nearly_full
    }

    /// Copies the records of the oldest segment to the newest.
    fn move_oldest(&mut self) -> ControlFlow<()> {
        let Some((key, _)) = self.first_needed() else {
            return ControlFlow::Break(());
        };
        if self.active.as_ref().is_none_or(|active| active.key == key) {
            return ControlFlow::Break(());
        }
        self.move_records(key)
    }

    /// Copies the records of one segment to the newest. What is damaged goes uncopied.
    pub(super) fn move_records(&mut self, key: u32) -> ControlFlow<()> {
        let entries: Vec<Entry> = self.index.iter().filter(|entry| entry.key == key).copied().collect();
        for entry in entries {
            let record = match self.load_or_lose(entry) {
                Ok(true) => self.loaded(entry).to_vec(),
                Ok(false) => continue,
                Err(_) => return ControlFlow::Break(()),
            };
            let frame = Frame::Placed { seq: entry.seq, record: &record };
            let Ok((key, offset, _)) = self.write(frame) else {
                return ControlFlow::Break(());
            };
            self.move_record(Entry { key, offset, placed: true, ..entry });
            self.moved_position = self.position;
        }
        ControlFlow::Continue(())
    }

    /// Deletes every record for good.
    pub(super) fn wipe(&mut self) -> Result<(), Fault<FileError>> {
        let mut started = self.start_segment(Purpose::Wipe);
        if started == Err(Fault::Full) && self.active.is_some() {
            // The records go in any case; the active segment still has the slots.
            self.destroy_others()?;
            started = self.start_segment(Purpose::Wipe);
        }
        if started.is_err()
            && let Some(active) = &mut self.active
        {
            // The segment that failed may be found at the next opening, and makes an end to all
            // before it: what is owed from here on has to stand behind it.
            active.abandoned = true;
        }
        started?;
        self.index.clear();
        for segment in &mut self.segments {
            segment.live = 0;
            segment.live_bytes = 0;
        }
        self.pending.clear();
        self.destroy_others()?;
        aside::clear(&self.disk).map_err(|error| fault(Step::Remove, &error))?;
        if self.options.syncs() {
            self.disk.sync_directory().map_err(|error| fault(Step::Sync, &error))?;
        }
        Ok(())
    }

    /// Truncates and removes every segment but the active one.
    fn destroy_others(&mut self) -> Result<(), Fault<FileError>> {
        let keep = self.active.as_ref().map(|active| active.key);
        self.reader.forget();
        let mut result = Ok(());
        let mut key = self.front_key;
        let names: Vec<Segment> = self.segments.iter().copied().collect();
        for segment in names {
            if keep != Some(key) {
                if let Err(error) = self.destroy_file(&segment.name.file()) {
                    result = Err(Fault::Medium(FileError::io(Step::Remove, &error)));
                } else {
                    self.empty(key);
                }
            }
            key = key.wrapping_add(1);
        }
        while let Some(front) = self.segments.front().copied() {
            if front.len > 0 || keep == Some(self.front_key) {
                break;
            }
            self.drop_front(front);
        }
        result
    }

    fn destroy_file(&self, name: &str) -> io::Result<()> {
        #[cfg(whisperr_planted)]
        if whisperr_core::planted::is(whisperr_core::planted::Bug::WipeNothing) {
            return Ok(());
        }
        match self.disk.open(name) {
            Ok(file) => file.truncate(0)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        }
        self.disk.remove(name)
    }

    /// Notes that a segment holds nothing.
    fn empty(&mut self, key: u32) {
        let gone: Vec<u64> =
            self.index.iter().filter(|entry| entry.key == key).map(|entry| entry.seq).collect();
        for seq in gone {
            self.take_out(Span { first: seq, last: seq });
        }
        if let Some(segment) = self.segment_mut(key) {
            let len = core::mem::take(&mut segment.len);
            self.bytes = self.bytes.saturating_sub(len);
        }
    }
}
