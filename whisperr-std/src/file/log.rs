//! The log while it is open: segments, the place of every record, and the one way to write.

use std::collections::VecDeque;
use std::sync::Arc;

use whisperr_core::{Fault, SLOT_BYTES_MAX, Seq, Slot};

use super::disk::{Disk, DiskFile, write_all};
use super::error::{FileError, Step, fault};
use super::frame::{Binding, Frame, RECORD_OVERHEAD};
use super::index::{Entry, Index};
use super::options::FileOptions;
use super::reader::Reader;
use super::segment::{Segment, SegmentName, Span};
use super::spans::Spans;
use super::start::Purpose;
use super::syncer::Shared;
use super::tail::Tail;

/// Most removals that join another frame's write.
pub(super) const SPANS_PER_WRITE: usize = 512;
/// A record leaves this part of a segment to other frames, so that removals find room on a medium
/// that has none left: the blocks are set aside.
const RESERVE_PART: u64 = 16;

/// The values of the slots. The version orders them whatever segments they are found in.
#[derive(Debug, Clone)]
pub(super) struct SlotValue {
    pub(super) version: u64,
    pub(super) len: usize,
    pub(super) bytes: [u8; SLOT_BYTES_MAX],
}

impl SlotValue {
    const EMPTY: Self = Self { version: 0, len: 0, bytes: [0; SLOT_BYTES_MAX] };

    pub(super) fn value(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Takes a value of at most [`SLOT_BYTES_MAX`] bytes.
    pub(super) fn set(&mut self, version: u64, value: &[u8]) {
        self.version = version;
        self.len = value.len().min(SLOT_BYTES_MAX);
        for (byte, new) in self.bytes.iter_mut().zip(value) {
            *byte = *new;
        }
    }
}

pub(super) type Slots = [SlotValue; Slot::ALL.len()];

pub(super) fn empty_slots() -> Box<Slots> {
    Box::new([SlotValue::EMPTY; Slot::ALL.len()])
}

/// The segment that is written to.
#[derive(Debug)]
pub(super) struct Active<F> {
    pub(super) key: u32,
    pub(super) file: Arc<F>,
    pub(super) binding: Binding,
    pub(super) len: u64,
    /// Length when the segment was started: header, slots and what else recovery needs.
    pub(super) fresh: u64,
    /// Whether nothing more may be written to it.
    pub(super) abandoned: bool,
}

/// Everything behind a storage.
#[derive(Debug)]
pub(super) struct Log<D: Disk> {
    pub(super) disk: D,
    pub(super) options: FileOptions,
    pub(super) shared: Arc<Shared>,
    /// By id. The key of the first is `front_key`, the others count on.
    pub(super) segments: VecDeque<Segment>,
    pub(super) front_key: u32,
    pub(super) next_id: u64,
    pub(super) active: Option<Active<D::File>>,
    pub(super) index: Index,
    pub(super) next: u64,
    pub(super) slots: Box<Slots>,
    pub(super) slot_version: u64,
    pub(super) tail: Tail,
    /// Removals that are not yet on the medium.
    pub(super) pending: Spans,
    /// Records found damaged, until somebody takes the count.
    pub(super) lost: Spans,
    /// Which read the medium refused last, and how often in a row.
    pub(super) refused: Option<(u64, u8)>,
    /// Segments below this id hold nothing that is needed...
    pub(super) floor: u64,
    /// ...which is durable when this position is.
    pub(super) floor_position: u64,
    /// The position behind the last record that was copied from an older segment.
    pub(super) moved_position: u64,
    /// Whether a segment could not be deleted. Tried again with the next one.
    pub(super) stuck: bool,
    /// Whether a segment was started since the log was last tidied.
    pub(super) untidy: bool,
    /// Bytes written since the log was opened.
    pub(super) position: u64,
    /// Up to where a sync was asked for out of turn.
    pub(super) pressed: u64,
    /// Bytes of all segments.
    pub(super) bytes: u64,
    pub(super) reader: Reader<D::File>,
    /// The process that opened the log.
    pub(super) process: u32,
}

impl<D: Disk> Log<D> {
    /// A fork shares the files and the lock, but not what the log knows of them.
    ///
    /// Asking for the process costs a system call, as much as everything else an append does beside
    /// its write. So appends are checked when they start a segment; everything else at once.
    pub(super) fn check_process(&self) -> Result<(), Fault<FileError>> {
        if self.process == std::process::id() {
            Ok(())
        } else {
            Err(FileError::Forked { owner: self.process }.into())
        }
    }

    pub(super) fn segment(&self, key: u32) -> Option<&Segment> {
        self.segments.get(usize::try_from(key.wrapping_sub(self.front_key)).ok()?)
    }

    pub(super) fn segment_mut(&mut self, key: u32) -> Option<&mut Segment> {
        self.segments.get_mut(usize::try_from(key.wrapping_sub(self.front_key)).ok()?)
    }

    /// The key of the segment that is added next.
    pub(super) fn next_key(&self) -> u32 {
        self.front_key.wrapping_add(u32::try_from(self.segments.len()).unwrap_or(u32::MAX))
    }

    /// Adds a segment behind all others.
    pub(super) fn add_segment(&mut self, name: SegmentName, len: u64) {
        self.segments.push_back(Segment::new(name, len));
        self.bytes = self.bytes.saturating_add(len);
    }

    /// Appends a record under a number that is free.
    pub(super) fn append(&mut self, seq: Seq, record: &[u8]) -> Result<(), Fault<FileError>> {
        let Ok(len) = u16::try_from(record.len()) else {
            return Err(FileError::RecordTooLong { bytes: record.len() }.into());
        };
        let seq = seq.get();
        if seq < self.next || seq == u64::MAX {
            let next = Seq::new(self.next);
            return Err(FileError::SeqUsed { seq: Seq::new(seq), next }.into());
        }
        let frame = Frame::Record { seq, record };
        if self.index.bytes().saturating_add(frame.size() as u64) > self.options.live_bytes_max() {
            return Err(Fault::Full);
        }
        if self.bytes.saturating_add(frame.size() as u64) > self.options.max_bytes {
            self.make_space();
            if self.bytes.saturating_add(frame.size() as u64) > self.options.max_bytes {
                return Err(FileError::DiskFull.into());
            }
        }
        // Numbers that were never given out must not look lost.
        let skipped = (seq > self.next).then(|| Span { first: self.next, last: seq.saturating_sub(1) });
        let written = match self.write_behind(skipped, frame) {
            Err(Fault::Full) if self.make_space() => self.write_behind(skipped, frame),
            written => written,
        };
        // Unlike the bound of records, a full disk does not give way to an eviction: blocks come back
        // by the segment only.
        let (key, offset, size) = written.map_err(|fault| match fault {
            Fault::Full => Fault::Medium(FileError::DiskFull),
            fault => fault,
        })?;
        let placed = size != record.len().saturating_add(RECORD_OVERHEAD);
        let entry = Entry { seq, key, offset, len, placed };
        self.index.push(entry);
        if let Some(segment) = self.segment_mut(key) {
            segment.gain(size as u64);
        }
        self.next = seq.saturating_add(1);
        if self.untidy {
            self.tidy();
        } else if self.has_consumed() {
            self.delete_consumed();
        }
        Ok(())
    }

    /// Writes one frame behind all others, and with it removals that wait for a write.
    ///
    /// Returns the segment, the offset and the length of the frame. Nothing changes on an error.
    pub(super) fn write(&mut self, frame: Frame<'_>) -> Result<(u32, u32, usize), Fault<FileError>> {
        self.write_behind(None, frame)
    }

    fn write_behind(
        &mut self,
        skipped: Option<Span>,
        frame: Frame<'_>,
    ) -> Result<(u32, u32, usize), Fault<FileError>> {
        if self.shared.failed() {
            self.recover()?;
        }
        let waiting = self.pending.len().min(SPANS_PER_WRITE);
        let removed_size = Frame::Removed { first: 0, last: 0 }.size();
        let others_size = removed_size.saturating_mul(waiting.saturating_add(1));
        let size =
            frame.size().saturating_add(if waiting > 0 || skipped.is_some() { others_size } else { 0 });
        self.make_room(size as u64, matches!(frame, Frame::Record { .. } | Frame::Placed { .. }))?;
        // A segment that was started for it took the removals along.
        let waiting = self.pending.len().min(waiting);
        let Some(active) = self.active.as_mut() else {
            return Err(Fault::Full);
        };
        let durable = self.shared.durable();
        self.tail.release(durable);
        let (buffer, before) = self.tail.begin(size);
        for span in self.pending.iter().take(waiting).chain(&skipped) {
            active.binding.encode(Frame::Removed { first: span.first, last: span.last }, buffer);
        }
        let frame_at = buffer.len();
        active.binding.encode(frame, buffer);
        let frame_bytes = buffer.len().saturating_sub(frame_at);
        let bytes = buffer.get(before..).unwrap_or_default();
        let offset = active.len.saturating_add(frame_at.saturating_sub(before) as u64);
        let written = bytes.len() as u64;
        if let Err(error) = write_all(&*active.file, active.len, bytes) {
            self.tail.roll_back(before);
            let fault = fault(Step::Write, &error);
            // Only a file without room is written to again, and only without what it took.
            active.abandoned = active.file.truncate(active.len).is_err() || fault != Fault::Full;
            return Err(fault);
        }
        active.len = active.len.saturating_add(written);
        let key = active.key;
        self.pending.drop_front(waiting);
        self.bytes = self.bytes.saturating_add(written);
        self.position = self.position.saturating_add(written);
        self.tail.commit(self.position);
        if let Some(segment) = self.segment_mut(key) {
            segment.len = segment.len.saturating_add(written);
        }
        self.shared.publish(self.position);
        self.shared.press(self.position, durable, &mut self.pressed);
        // Segments end below 4 GiB: `make_room` starts another one long before.
        Ok((key, u32::try_from(offset).unwrap_or(u32::MAX), frame_bytes))
    }

    /// Notes that everything is durable, if it is.
    pub(super) fn close(&mut self) {
        if self.options.syncs() && self.active.is_some() && self.shared.sync().is_ok() {
            // Without it, the next opening takes more care than it must.
            let _ = self.write(Frame::End);
        }
    }

    /// Makes sure that the active segment takes `size` more bytes.
    fn make_room(&mut self, size: u64, record: bool) -> Result<(), Fault<FileError>> {
        let Some(active) = &self.active else {
            return self.start_segment(Purpose::Grow);
        };
        let segment_bytes = u64::from(self.options.segment_bytes);
        let reserve = if record { segment_bytes / RESERVE_PART } else { 0 };
        let fits = active.len.saturating_add(size) <= segment_bytes.saturating_sub(reserve);
        if !active.abandoned && (fits || active.len == active.fresh) {
            return Ok(());
        }
        // All of a segment is durable before the next one begins.
        #[cfg(whisperr_planted)]
        if whisperr_core::planted::is(whisperr_core::planted::Bug::RotateUnsynced) {
            return self.start_segment(Purpose::Grow);
        }
        if self.options.syncs() && self.shared.sync().is_err() {
            return self.recover();
        }
        self.start_segment(Purpose::Grow)
    }

    /// Notes that a record stands elsewhere.
    pub(super) fn move_record(&mut self, entry: Entry) {
        if let Some(old) = self.index.get(entry.seq) {
            if let Some(segment) = self.segment_mut(old.key) {
                segment.lose(old.frame_bytes() as u64);
            }
            if let Some(segment) = self.segment_mut(entry.key) {
                segment.gain(entry.frame_bytes() as u64);
            }
            self.index.replace(entry);
        }
    }

    /// Replaces the value of a slot.
    pub(super) fn store(&mut self, slot: Slot, value: &[u8]) -> Result<(), Fault<FileError>> {
        if value.len() > SLOT_BYTES_MAX {
            return Err(FileError::SlotTooLong { bytes: value.len() }.into());
        }
        let number = slot.number();
        let same = self.slots.get(usize::from(number)).is_some_and(|held| held.value() == value);
        if same {
            return Ok(());
        }
        let version = self.slot_version.saturating_add(1);
        self.write(Frame::Slot { number, version, value })?;
        self.slot_version = version;
        if let Some(held) = self.slots.get_mut(usize::from(number)) {
            held.set(version, value);
        }
        self.tidy();
        Ok(())
    }
}
