//! Makes the log that was found durable, and goes on where it ends.

use core::ops::Range;
use std::io;
use std::sync::Arc;

use super::disk::{Disk, DiskFile};
use super::frame::Frame;
use super::log::{Active, Log};
use super::scan::Scan;
use super::spans::Spans;
use super::start::Purpose;

impl<D: Disk> Log<D> {
    /// Goes on behind the last frame of the newest segment, once that is durable and if it is whole;
    /// `false` when a sync of it failed, which is never repeated.
    pub(super) fn write_on(&mut self, key: u32, scan: &Scan) -> bool {
        let Some(segment) = self.segment(key).copied() else {
            return true;
        };
        let Ok(file) = self.disk.open(&segment.name.file()) else {
            return true;
        };
        let ready = if scan.size > scan.end {
            // Nothing is ever written behind what a cut left.
            file.truncate(scan.end).and_then(|()| self.sync_if(|| file.sync_all()))
        } else {
            self.sync_if(|| file.sync_data())
        };
        // A process that was killed may have left a segment whose name is not durable yet.
        let ready = ready.and_then(|()| self.sync_if(|| self.disk.sync_directory()));
        if ready.is_err() {
            // The next segment takes over; what this one holds is moved there.
            let _ = self.move_records(key);
            return false;
        }
        if !scan.damaged.is_empty() {
            // It is kept as it is: what is written from here on stands in a segment without damage.
            return true;
        }
        // Where blocks cannot be set aside, the segment grows as it is written.
        let _ = file.preallocate(u64::from(self.options.segment_bytes).max(scan.end));
        let file = Arc::new(file);
        self.shared.install(file.clone(), 0);
        let len = scan.end;
        let binding = segment.binding;
        self.active = Some(Active { key, file, binding, len, fresh: 0, abandoned: false });
        true
    }

    /// Starts a segment and writes into it again what the segments from `from` on hold, and what was `removed`; `false` when
    /// that cannot be done, or serves nothing.
    ///
    /// A process that died left no word whether a sync had failed. What can be read may then stand in
    /// the page cache alone, and a second sync says `Ok` without writing it: only what is written
    /// anew can be made durable.
    pub(super) fn write_again(&mut self, from: u32, floor: u64, removed: Spans) -> bool {
        let newest = self.next_key();
        self.floor = floor;
        self.pending = removed;
        if !self.options.syncs() || self.start_segment(Purpose::Grow).is_err() {
            self.floor = 0;
            self.pending.clear();
            return false;
        }
        self.delete_consumed();
        for key in from..newest {
            // What cannot be moved stays where it is, and is made durable there as far as that goes.
            let _ = self.move_records(key);
        }
        // What was moved is durable before what it was moved from can go.
        if self.shared.sync().is_ok() {
            self.tidy();
        }
        true
    }

    /// Makes the segments that were found with the keys `older` durable, but not the one that is written on
    /// and not the one whose sync `failed`.
    ///
    /// A segment is synced before the next one takes its place. But a process that was killed in a
    /// wipe or after a failed sync leaves the start of the next one beside a segment that was not.
    pub(super) fn sync_older(&mut self, older: Range<u32>, floor: u64, failed: Option<u32>) {
        if !self.options.syncs() {
            return;
        }
        let active = self.active.as_ref().map(|active| active.key);
        for key in older.rev() {
            let Some(name) = self.segment(key).map(|segment| segment.name) else { continue };
            if active == Some(key) || failed == Some(key) || name.id < floor {
                continue;
            }
            let synced = self.disk.open(&name.file()).and_then(|file| file.sync_data());
            if synced.is_err() {
                // What can be read of it is moved to the newest one.
                let _ = self.move_records(key);
            }
        }
    }

    /// Sees to it that the segment which is written on has every slot: a cut may have ended its
    /// creation half-way, and the segments before it go when their records do.
    pub(super) fn complete_slots(&mut self, key: u32, stand_in: &[Option<u32>]) {
        if self.active.as_ref().is_none_or(|active| active.key != key) {
            return;
        }
        for (number, stands_in) in (0..).zip(stand_in) {
            let Some(slot) = self.slots.get(usize::from(number)).cloned() else { continue };
            if stands_in.is_none_or(|stands_in| stands_in == key) {
                continue;
            }
            let frame = Frame::Slot { number, version: slot.version, value: slot.value() };
            if self.write(frame).is_err() {
                // The next segment starts with all of them.
                if let Some(active) = &mut self.active {
                    active.abandoned = true;
                }
                return;
            }
            self.moved_position = self.position;
        }
    }

    fn sync_if(&self, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        if self.options.syncs() { sync() } else { Ok(()) }
    }
}
