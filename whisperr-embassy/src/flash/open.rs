//! Opening: whatever the bytes are, a working log comes out.

use core::ops::Range;

use embedded_storage_async::nor_flash::NorFlash;

use super::error::{Failure, FlashOpenError};
use super::frame::Kind;
use super::layout::{Layout, Sizes};
use super::log::FlashStorage;
use super::turn::Loaded;
use super::write::{Gone, Said, What};

/// Most lost ranges that one look notes down on the medium; the next start finds the others again.
const NOTES: usize = 8;

impl<F: NorFlash, const PAGES: usize> FlashStorage<F, PAGES> {
    pub(super) fn layout_of(flash: &F, range: &Range<u32>) -> Result<Layout, FlashOpenError<F::Error>> {
        let sizes = Sizes {
            read: F::READ_SIZE,
            write: F::WRITE_SIZE,
            erase: F::ERASE_SIZE,
            capacity: flash.capacity(),
        };
        Ok(Layout::new(sizes, range, PAGES)?)
    }

    /// Reads what the medium holds.
    pub(super) async fn recover(&mut self) -> Result<(), Failure> {
        let Some(newest) = self.newest().await? else { return Ok(()) };
        let header = newest.header;
        self.head = header.generation;
        self.floor = newest.floor;
        self.wiped = header.wiped;
        let (mut torn, mut end) = (true, self.layout().page());
        for generation in self.floor..=self.head {
            let header = self.header(generation).await?;
            let Some(header) = header else {
                self.set_hole(generation);
                self.suspect = true;
                continue;
            };
            let mut loaded = self.before_load(header);
            self.load(&mut loaded).await?;
            self.next = self.next.max(loaded.next);
            self.slots = loaded.slots;
            if let Some(info) = self.info_mut(generation) {
                *info = loaded.info;
            }
            self.mark_stale(generation);
            self.suspect |= loaded.rough || loaded.torn;
            (torn, end) = (loaded.torn, loaded.info.end);
        }
        // The next word may have been programmed by a write of which nothing is to be seen.
        let gap = self.layout().write();
        self.position = if torn { self.layout().page() } else { end.saturating_add(gap) };
        self.next = self.next.max(1);
        for generation in self.floor..=self.head {
            if self.info(generation).end == 0 {
                self.set_hole(generation);
            }
        }
        self.recall_removed().await?;
        // What it finds is told; what it cannot read, a walk meets again.
        let _later = self.audit().await;
        // A flash that cannot be erased stays readable; the next start tries again.
        let _later = self.finish_wipe().await;
        Ok(())
    }

    /// The page of the highest generation that is complete.
    async fn newest(&mut self) -> Result<Option<Loaded>, Failure> {
        let mut below = u32::MAX;
        for _ in 0..self.layout().pages() {
            let mut newest = None;
            let mut readable = false;
            for index in 0..self.layout().pages() {
                if let Ok(header) = self.medium.header_at(index).await {
                    readable = true;
                    let header = header.filter(|header| header.generation < below);
                    newest = newest.max(header.map(|header| header.generation));
                }
            }
            if !readable {
                return Err(Failure::Flash);
            }
            let Some(generation) = newest else { return Ok(None) };
            if let Some(header) = self.medium.header(generation).await? {
                let mut loaded = self.before_load(header);
                self.load(&mut loaded).await?;
                if self.is_complete(&loaded) {
                    return Ok(Some(loaded));
                }
            }
            below = generation;
        }
        Ok(None)
    }

    /// Erases what a wipe has not erased yet.
    pub(super) async fn finish_wipe(&mut self) -> Result<(), Failure> {
        while self.is_wiping() {
            self.settle_turn().await?;
            if self.is_wiping() {
                self.turn(self.wiped).await?;
            }
        }
        Ok(())
    }

    /// Looks for records that were there and are not whole any more.
    ///
    /// The header of a page says which number came next when it was prepared. From there on to the next
    /// page's, every number must stand in the page, unless a record says that it comes behind a gap.
    pub(super) async fn audit(&mut self) -> Result<(), Failure> {
        if !core::mem::take(&mut self.suspect) {
            return Ok(());
        }
        let mut notes = [(0, 0); NOTES];
        let noted = self.find_lost(&mut notes).await?;
        self.suspect = false;
        for at in 0..noted {
            let Some((first, last)) = notes.get(at).copied() else { break };
            // So that the next start does not count it again.
            let gone = Gone { first, last, credit: None };
            let said = Said { what: What::Removal(Kind::Removed), gone: Some(&gone) };
            let _later = self.put(said).await;
        }
        Ok(())
    }

    /// Counts what was lost, notes the first of it, and returns how much there was to note. A function of its own: what
    /// it keeps is gone from the future before anything is written.
    async fn find_lost(&mut self, notes: &mut [(u64, u64); NOTES]) -> Result<usize, Failure> {
        let mut noted = 0_usize;
        let mut expected: Option<(u32, u64)> = None;
        for generation in self.floor.max(self.wiped.saturating_add(1))..=self.head {
            let header = self.header(generation).await?;
            let Some(header) = header else { continue };
            let mut lost = expected.map(|(page, first)| (page, first, header.next));
            let mut native = header.next;
            let (base, end) = (self.base(generation), self.info(generation).end);
            let mut at = self.layout().header();
            loop {
                if let Some((page, first, behind)) = lost.take()
                    && first < behind
                    && self.mark_lost(page, first, behind.saturating_sub(1)).await?
                {
                    if let Some(note) = notes.get_mut(noted) {
                        *note = (first, behind.saturating_sub(1));
                    }
                    noted = noted.saturating_add(1);
                }
                let Some((offset, view)) = self.next_frame(generation, at, end).await? else { break };
                at = offset.saturating_add(view.size);
                if let Some(seq) = view.seq(base).filter(|seq| *seq >= native) {
                    if view.kind == Kind::Record {
                        lost = Some((generation, native, seq));
                    }
                    native = seq.saturating_add(1);
                }
            }
            self.rough |= self.rough_bit(generation);
            expected = Some((generation, native));
        }
        if let Some((page, first)) = expected
            && first < self.next
            && self.mark_lost(page, first, self.next.saturating_sub(1)).await?
            && let Some(note) = notes.get_mut(noted)
        {
            *note = (first, self.next.saturating_sub(1));
            noted = noted.saturating_add(1);
        }
        Ok(noted)
    }

    /// Counts the numbers of a range that were not removed before they were lost.
    async fn mark_lost(&mut self, generation: u32, first: u64, last: u64) -> Result<bool, Failure> {
        let before = self.damaged;
        // No more records than that ever stood in a page.
        let most = u64::from(self.layout().page());
        let end = last.min(first.saturating_add(most));
        let start = self.layout().header();
        for seq in first..=end {
            if !self.is_removed(generation, start, seq).await? {
                self.damaged = self.damaged.saturating_add(1);
            }
        }
        if self.damaged == before {
            return Ok(false);
        }
        self.removed.insert(first, last);
        // Joined ranges leave room for it.
        self.join_ranges().await?;
        Ok(true)
    }
}
