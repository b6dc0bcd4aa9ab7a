//! Opens whatever a directory holds.
//!
//! What is found does not depend on the order of the segments: a record is owed unless its number
//! is removed anywhere, a slot has the value of its highest version, and a number below the next
//! one that is neither owed nor removed is a record that was lost. So a segment that was left over
//! by a failed creation, or that reappears after a power cut, does no harm.

use core::mem::take;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use whisperr_core::Slot;

use super::aside;
use super::disk::{Disk, read_full};
use super::error::OpenError;
use super::frame::Frame;
use super::index::{Entry, Index};
use super::log::{Log, Slots, empty_slots};
use super::options::FileOptions;
use super::reader::Reader;
use super::report::OpenReport;
use super::scan::{Scan, scan};
use super::segment::{HEADER, Header, Segment, SegmentName, Span};
use super::spans::Spans;
use super::syncer::Shared;
use super::tail::Tail;

/// Most bytes of one damaged stretch that are copied.
const COPY_BYTES_MAX: u64 = 256 << 10;
/// Most stretches that are copied at one opening.
const COPIES_MAX: usize = 64;
/// Most records in a byte of a newer segment, whatever its format: bounds the numbers it can use.
const RECORDS_PER_BYTE: u64 = 8;

/// What the segments say, in any order.
struct Findings {
    entries: Vec<Entry>,
    removed: Vec<Span>,
    /// Numbers that segments of a later version, or what cannot be read, may use.
    newer: Vec<Span>,
    slots: Box<Slots>,
    slot_version: u64,
    /// The segments the values were found in.
    slot_keys: [Option<u32>; Slot::ALL.len()],
    floor: u64,
    /// The segment whose last frame says that the log was closed.
    ended: Option<u32>,
    next: u64,
    segments: Vec<Segment>,
    damaged: Vec<(SegmentName, u64, u64)>,
    /// The segment that may be written on: its key, its file, and where its last frame ends.
    last: Option<(u32, Scan)>,
    next_id: u64,
    report: OpenReport,
}

/// Opens the log of a directory.
pub(super) fn open<D: Disk>(disk: D, options: FileOptions) -> Result<(Log<D>, OpenReport), OpenError> {
    options.check()?;
    let names = disk.list().map_err(|error| OpenError::Unusable { path: ".".into(), error })?;
    let mut findings = Findings {
        entries: Vec::new(),
        removed: Vec::new(),
        newer: Vec::new(),
        slots: empty_slots(),
        slot_version: 0,
        slot_keys: [None; Slot::ALL.len()],
        floor: 0,
        ended: None,
        next: 1,
        segments: Vec::new(),
        damaged: Vec::new(),
        last: None,
        next_id: 1,
        report: OpenReport::default(),
    };
    let mut segments = Vec::new();
    for name in names {
        match name.to_str().map(|name| (name, SegmentName::parse(name))) {
            Some((_, Some(segment))) => segments.push(segment),
            Some(("lock" | aside::DAMAGED, None)) => {}
            // No format of this library leaves such a file for good.
            Some((stale, None)) if is_stale(stale) => {
                let _ = disk.remove(stale);
            }
            _ => findings.report.foreign_files = findings.report.foreign_files.saturating_add(1),
        }
    }
    segments.sort_unstable();
    let newest = segments.last().copied();
    for &name in &segments {
        let others = segments.iter().filter(|other| **other != name);
        let read = findings.read_segment(&disk, name, Some(name) == newest, others);
        read.map_err(|error| OpenError::Unusable { path: ".".into(), error })?;
    }
    Ok(findings.into_log(disk, options))
}

/// Whether a name is that of a segment, with the ending of a file that was not finished.
fn is_stale(name: &str) -> bool {
    name.strip_suffix(".tmp").is_some_and(|rest| SegmentName::parse(rest).is_some())
}

/// Whether a name is gone, or names something that is not a file.
fn is_no_file(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidInput)
}

/// Whether the medium gives anything of a segment out.
fn is_readable<D: Disk>(disk: &D, name: SegmentName) -> bool {
    let read = disk.open(&name.file()).and_then(|file| read_full(&file, 0, &mut [0]));
    matches!(read, Ok(1))
}

impl Findings {
    /// Takes what a segment holds. One that is no file, or is not there any more, holds nothing: what
    /// was in it shows as missing numbers. One that cannot be opened may well be there later with
    /// all it holds: to go on without it would be to give its records up.
    ///
    /// The same holds when nothing of it can be read, unless the medium still gives out one of the `others`.
    fn read_segment<'a, D: Disk>(
        &mut self,
        disk: &D,
        name: SegmentName,
        newest: bool,
        mut others: impl Iterator<Item = &'a SegmentName>,
    ) -> io::Result<()> {
        let key = u32::try_from(self.segments.len()).unwrap_or(u32::MAX);
        let mut segment = Segment::new(name, 0);
        let scanned = disk.open(&name.file()).and_then(|file| {
            scan(name, &file, |offset, frame, intact| {
                // A floor gives up what stands before its own segment, never that segment.
                let intact = intact && !matches!(frame, Frame::Floor { id } if id > name.id);
                self.take_frame(key, offset, frame, intact);
            })
        });
        let holds = |scan: &Scan| scan.header != Header::Damaged || scan.end > HEADER as u64;
        if !name.is_plausible() && !scanned.as_ref().is_ok_and(holds) {
            // Nothing but its name says that it is the queue's, and nobody can count on from there.
            self.report.foreign_files = self.report.foreign_files.saturating_add(1);
            return Ok(());
        }
        self.next_id = self.next_id.max(name.id.saturating_add(1));
        self.next = self.next.max(name.first);
        let before = self.last.take();
        let mut scan = match scanned {
            Ok(scan) => scan,
            Err(error) if is_no_file(&error) => {
                self.segments.push(segment);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if let Some(error) = scan.refused.take()
            && !others.any(|other| is_readable(disk, *other))
        {
            return Err(error);
        }
        if let Header::Newer(version) = scan.header {
            self.report.newer_segments = self.report.newer_segments.saturating_add(1);
            self.report.newer_version = self.report.newer_version.max(version);
            // It cannot be read, but no number it may use is given out again.
            let numbers = scan.size.saturating_mul(RECORDS_PER_BYTE);
            let span = Span { first: name.first, last: name.first.saturating_add(numbers) };
            self.next = self.next.max(span.last.saturating_add(1));
            self.newer.push(span);
            self.last = before;
            return Ok(());
        }
        // One that others follow was finished: what it held is lost, and counted.
        let unfinished = newest
            && scan.header == Header::Damaged
            && !scan.partial
            && (scan.blank || scan.size <= HEADER as u64);
        if unfinished && disk.remove(&name.file()).is_ok() {
            self.last = before;
            return Ok(());
        }
        segment.len = scan.end;
        let damaged = scan.damaged.clone();
        let bytes: u64 = damaged.iter().map(|(_, len)| *len).sum();
        self.report.damaged_bytes = self.report.damaged_bytes.saturating_add(bytes);
        let rest = scan.size.saturating_sub(scan.end);
        if scan.partial {
            self.report.damaged_bytes = self.report.damaged_bytes.saturating_add(rest);
            self.skip_unread(scan.size, if newest { rest } else { 0 });
        } else {
            self.report.torn_bytes = self.report.torn_bytes.saturating_add(rest);
        }
        for (offset, len) in damaged.into_iter().take(COPIES_MAX) {
            self.damaged.push((name, offset, len));
        }
        self.segments.push(segment);
        if scan.header == Header::Valid && !scan.partial {
            self.last = Some((key, scan));
        }
        Ok(())
    }

    /// Sees to it that nothing takes the place of what the medium refuses to read, and that the
    /// refusal is told: `behind` are the bytes behind the last number there is.
    fn skip_unread(&mut self, bytes: u64, behind: u64) {
        self.slot_version = self.slot_version.saturating_add(bytes);
        if behind > 0 {
            // Nobody can say how many records stand there. One of them is counted.
            let first = self.next.saturating_add(1);
            let last = first.saturating_add(behind);
            self.newer.push(Span { first, last });
            self.next = last.saturating_add(1);
        }
    }

    fn take_frame(&mut self, key: u32, offset: u64, frame: Frame<'_>, intact: bool) {
        self.ended = matches!(frame, Frame::End).then_some(key);
        match frame {
            Frame::Record { seq, record } | Frame::Placed { seq, record } => {
                let placed = matches!(frame, Frame::Placed { .. });
                let (Ok(offset), Ok(len)) = (u32::try_from(offset), u16::try_from(record.len())) else {
                    return;
                };
                self.next = self.next.max(seq.saturating_add(1));
                self.entries.push(Entry { seq, key, offset, len, placed });
            }
            Frame::Removed { first, last } => {
                self.next = self.next.max(last.saturating_add(1));
                self.removed.push(Span { first, last });
            }
            Frame::Slot { number, version, value } => {
                self.slot_version = self.slot_version.max(version);
                let slot = self.slots.get_mut(usize::from(number));
                if let Some(slot) = slot.filter(|slot| slot.version <= version) {
                    slot.set(version, value);
                    if let Some(stands_in) = self.slot_keys.get_mut(usize::from(number)) {
                        *stands_in = Some(key);
                    }
                }
            }
            // What stands before a floor takes the place of what it gives up.
            Frame::Floor { id } if intact => self.floor = self.floor.max(id),
            Frame::Floor { .. } | Frame::End => {}
        }
    }

    fn into_log<D: Disk>(mut self, disk: D, options: FileOptions) -> (Log<D>, OpenReport) {
        let unsynced_from = self.unsynced_from();
        let (entries, removed, lost) = self.settle();
        self.report.records = entries.len() as u64;
        self.report.missing = lost.count();
        for &(name, offset, len) in self.damaged.iter().take(COPIES_MAX) {
            // The count is what is surfaced; the copy is made where there is room.
            let _ = copy(&disk, name, offset, len);
        }
        #[cfg(whisperr_planted)]
        if whisperr_core::planted::is(whisperr_core::planted::Bug::ReuseNumbers) && entries.is_empty() {
            self.next = 1;
        }
        let shared = Arc::new(Shared::new(options.fsync));
        let last = self.last.take();
        let bytes = self.segments.iter().map(|segment| segment.len).sum();
        let mut log = Log {
            disk,
            options,
            shared,
            segments: VecDeque::from(self.segments),
            front_key: 0,
            next_id: self.next_id,
            active: None,
            index: Index::from_sorted(entries),
            next: self.next,
            slots: self.slots,
            slot_version: self.slot_version,
            tail: Tail::default(),
            pending: Spans::default(),
            lost,
            refused: None,
            floor: 0,
            floor_position: 0,
            moved_position: 0,
            stuck: false,
            untidy: false,
            position: 0,
            pressed: 0,
            bytes,
            reader: Reader::new(),
            process: std::process::id(),
        };
        let found = log.next_key();
        let closed = last.as_ref().is_some_and(|(key, scan)| {
            self.ended == Some(*key) && scan.size == scan.end && scan.damaged.is_empty()
        });
        #[cfg(whisperr_planted)]
        let closed = closed
            || (last.is_some() && whisperr_core::planted::is(whisperr_core::planted::Bug::TrustTheCache));
        let started =
            !closed && !log.segments.is_empty() && log.write_again(unsynced_from, self.floor, removed);
        let mut failed = None;
        if let Some((key, scan)) = last.filter(|_| !started) {
            failed = (!log.write_on(key, &scan)).then_some(key);
            log.complete_slots(key, &self.slot_keys);
        }
        log.sync_older(unsynced_from..found, self.floor, failed);
        if log.active.is_some() && !started {
            // The segment that says so is durable.
            log.floor = self.floor;
            log.delete_consumed();
        }
        (log, self.report)
    }

    /// The oldest segment that a killed process may have left without a sync: the newest one with
    /// records, besides the very newest. What stands between them are starts that came to nothing.
    fn unsynced_from(&self) -> u32 {
        let newest = u32::try_from(self.segments.len()).unwrap_or(u32::MAX).saturating_sub(1);
        self.entries.iter().map(|entry| entry.key).filter(|key| *key < newest).max().unwrap_or(0)
    }

    /// Decides what is owed, what was removed, and what is lost.
    fn settle(&mut self) -> (Vec<Entry>, Spans, Spans) {
        let floor = self.floor;
        let first_kept = self.segments.partition_point(|segment| segment.name.id < floor);
        let removed: Spans = take(&mut self.removed).into_iter().collect();
        let mut entries = take(&mut self.entries);
        entries.retain(|entry| {
            usize::try_from(entry.key).is_ok_and(|key| key >= first_kept) && !removed.contains(entry.seq)
        });
        // Of copies of one record, the one that was written last counts.
        entries.sort_unstable_by(|a, b| (a.seq, b.key, b.offset).cmp(&(b.seq, a.key, a.offset)));
        entries.dedup_by_key(|entry| entry.seq);
        for entry in &entries {
            let at = usize::try_from(entry.key).unwrap_or(usize::MAX);
            if let Some(segment) = self.segments.get_mut(at) {
                segment.gain(entry.frame_bytes() as u64);
            }
        }
        // What stood before the oldest segment was not needed any more.
        let oldest = self.segments.get(first_kept).map_or(self.next, |segment| segment.name.first);
        let held = entries.iter().map(|entry| Span { first: entry.seq, last: entry.seq });
        let others = removed.iter().chain(&self.newer).copied();
        let known: Spans = held.chain(others).collect();
        let lost = known.gaps(oldest, self.next.saturating_sub(1));
        (entries, removed, lost)
    }
}

/// Copies a damaged stretch.
fn copy<D: Disk>(disk: &D, name: SegmentName, offset: u64, len: u64) -> io::Result<()> {
    let file = disk.open(&name.file())?;
    let mut bytes = vec![0; usize::try_from(len.min(COPY_BYTES_MAX)).unwrap_or(0)];
    let read = read_full(&file, offset, &mut bytes)?;
    bytes.truncate(read);
    aside::keep(disk, name, offset, &bytes)
}
