//! Starting a segment: everything in it is durable before it takes the place of the one before.

use std::io;
use std::sync::Arc;

use whisperr_core::Fault;

use super::disk::{Disk, DiskFile, write_all};
use super::error::{FileError, Step, fault};
use super::frame::{Binding, Frame};
use super::index::Entry;
use super::log::{Active, Log, SPANS_PER_WRITE};
use super::segment::SegmentName;

/// What a segment is started for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The one before is full, or there is none.
    Grow,
    /// The one before cannot be made durable.
    Recover,
    /// Nothing before it is needed.
    Wipe,
}

impl<D: Disk> Log<D> {
    /// After a failed sync: writes what it covered to another segment, and makes it durable there.
    pub(super) fn recover(&mut self) -> Result<(), Fault<FileError>> {
        self.start_segment(Purpose::Recover)
    }

    /// Starts a segment with the slots and removals that recovery needs, durable before it is used.
    pub(super) fn start_segment(&mut self, purpose: Purpose) -> Result<(), Fault<FileError>> {
        self.check_process()?;
        let (name, file) = self.create_file()?;
        let key = self.next_key();
        let floor = if purpose == Purpose::Wipe { name.id } else { self.floor };
        let binding = Binding::new(name.id, name.first);
        let mut bytes = Vec::from(name.header());
        for (number, slot) in (0..).zip(self.slots.iter()) {
            if slot.version > 0 {
                let (version, value) = (slot.version, slot.value());
                binding.encode(Frame::Slot { number, version, value }, &mut bytes);
            }
        }
        let mut waiting = 0;
        let mut moved = Vec::new();
        if purpose != Purpose::Wipe {
            waiting = self.pending.len().min(SPANS_PER_WRITE);
            for span in self.pending.iter().take(waiting) {
                binding.encode(Frame::Removed { first: span.first, last: span.last }, &mut bytes);
            }
        }
        if purpose == Purpose::Recover {
            moved = self.replay(key, binding, &mut bytes);
        }
        if floor > 0 {
            // Last: it counts only where everything before it is intact.
            binding.encode(Frame::Floor { id: floor }, &mut bytes);
        }
        if let Err(error) = self.settle(&file, &bytes) {
            // Nothing is used of a segment that stays; it goes with the next floor.
            if self.disk.remove(&name.file()).is_err() {
                self.add_segment(name, bytes.len() as u64);
            }
            return Err(error);
        }
        let file = Arc::new(file);
        let len = bytes.len() as u64;
        self.add_segment(name, len);
        for entry in moved {
            self.move_record(entry);
        }
        self.floor = floor;
        self.floor_position = self.position;
        self.pending.drop_front(waiting);
        self.shared.install(file.clone(), self.position);
        self.tail.release(self.position);
        self.active = Some(Active { key, file, binding, len, fresh: len, abandoned: false });
        self.stuck = false;
        self.untidy = true;
        Ok(())
    }

    /// Creates the file of the next segment.
    fn create_file(&mut self) -> Result<(SegmentName, D::File), Fault<FileError>> {
        // A name can be taken by a file that appeared since the directory was read.
        for _ in 0..8 {
            let name = SegmentName { id: self.next_id, first: self.next };
            if !name.is_ours() {
                return Err(fault(Step::Create, &io::ErrorKind::InvalidInput.into()));
            }
            self.next_id = self.next_id.saturating_add(1);
            match self.disk.create(&name.file()) {
                Ok(file) => return Ok((name, file)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(fault(Step::Create, &error)),
            }
        }
        Err(fault(Step::Create, &io::ErrorKind::AlreadyExists.into()))
    }

    /// Writes the first bytes of a segment and makes them durable, and its name.
    fn settle(&self, file: &D::File, bytes: &[u8]) -> Result<(), Fault<FileError>> {
        let blocks = u64::from(self.options.segment_bytes).max(bytes.len() as u64);
        // Where blocks cannot be set aside, the segment grows as it is written.
        let _ = file.preallocate(blocks);
        write_all(file, 0, bytes).map_err(|error| fault(Step::Write, &error))?;
        if self.options.syncs() {
            file.sync_all().map_err(|error| fault(Step::Sync, &error))?;
            #[cfg(whisperr_planted)]
            if whisperr_core::planted::is(whisperr_core::planted::Bug::NoDirectorySync) {
                return Ok(());
            }
            self.disk.sync_directory().map_err(|error| fault(Step::Sync, &error))?;
        }
        Ok(())
    }

    /// Encodes again what the active segment holds and no sync covers. Returns the new places.
    fn replay(&self, key: u32, binding: Binding, bytes: &mut Vec<u8>) -> Vec<Entry> {
        let mut moved = Vec::new();
        let Some(active) = &self.active else {
            return moved;
        };
        for chunk in self.tail.chunks() {
            let mut rest = chunk;
            while let Some((frame, len)) = active.binding.decode(rest) {
                rest = rest.get(len..).unwrap_or_default();
                match frame {
                    Frame::Record { seq, record } | Frame::Placed { seq, record } => {
                        let live = self.index.get(seq).filter(|old| old.key == active.key);
                        if let Some(old) = live {
                            let offset = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                            binding.encode(Frame::Placed { seq, record }, bytes);
                            moved.push(Entry { key, offset, placed: true, ..old });
                        }
                    }
                    Frame::Removed { .. } => binding.encode(frame, bytes),
                    // The segment starts with them.
                    Frame::Slot { .. } | Frame::Floor { .. } | Frame::End => {}
                }
            }
        }
        moved
    }
}
