//! Finding records in the order of their numbers.
//!
//! In every page, numbers rise: first come the records that were copied when the page was prepared,
//! then those that were appended. Between pages they mostly rise as well; where a copy interleaves,
//! the spans of the pages say which others to look into.

use embedded_storage_async::nor_flash::NorFlash;

use super::error::Failure;
use super::log::{FlashStorage, Spot};

impl<F: NorFlash, const PAGES: usize> FlashStorage<F, PAGES> {
    /// The live record of the lowest number from `from` on.
    pub(super) async fn find(&mut self, from: u64) -> Result<Option<Spot>, Failure> {
        let oldest = self.floor.max(self.wiped.saturating_add(1));
        let mut best: Option<Spot> = None;
        // Where the last walk stood is where the next record is, mostly.
        let near = self.cursor.filter(|(.., seq)| *seq <= from).map(|(generation, ..)| generation);
        for generation in near.into_iter().chain(oldest..=self.head) {
            let (low, high) = self.span(generation);
            let too_late = best.is_some_and(|spot| spot.seq < low);
            if high < from || too_late || self.live(generation) == 0 {
                continue;
            }
            let start = match self.cursor {
                Some((page, offset, seq)) if page == generation && seq <= from => offset,
                _ => self.layout().header(),
            };
            if let Some(spot) = self.find_in(generation, start, from).await?
                && best.is_none_or(|best| spot.seq < best.seq)
            {
                best = Some(spot);
                if spot.seq == from {
                    break;
                }
            }
        }
        if let Some(spot) = &best {
            self.remember(spot);
        }
        Ok(best)
    }

    const fn remember(&mut self, spot: &Spot) {
        self.cursor = Some((spot.generation, spot.offset, spot.seq));
    }

    /// The same within one page, from a place in it.
    pub(super) async fn find_in(
        &mut self,
        generation: u32,
        start: u32,
        from: u64,
    ) -> Result<Option<Spot>, Failure> {
        let (base, end) = (self.base(generation), self.info(generation).end);
        let mut at = start;
        while let Some((offset, view)) = self.next_frame(generation, at, end).await? {
            if let Some(seq) = view.seq(base)
                && seq >= from
                && !self.is_removed(generation, offset, seq).await?
            {
                return Ok(Some(Spot { generation, offset, seq, view }));
            }
            at = offset.saturating_add(view.size);
        }
        Ok(None)
    }

    /// Joins removed ranges between which nothing is kept, when there is no room for another.
    pub(super) async fn join_ranges(&mut self) -> Result<(), Failure> {
        if !self.removed.is_full() {
            return Ok(());
        }
        let mut at = 0_usize;
        while let (Some((_, last)), Some((first, _))) =
            (self.removed.get(at), self.removed.get(at.saturating_add(1)))
        {
            let kept = self.find(last.saturating_add(1)).await?;
            if kept.is_some_and(|spot| spot.seq < first) {
                at = at.saturating_add(1);
            } else {
                self.removed.join(at);
            }
        }
        Ok(())
    }
}
