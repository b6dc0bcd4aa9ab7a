//! The state of the log in memory, and what every part of it needs.

use embedded_storage_async::nor_flash::NorFlash;
use whisperr_core::Slot;

use super::error::Failure;
use super::frame::{Kind, View};
use super::layout::Layout;
use super::medium::{Found, Medium, Sink};
use super::page::{PageHeader, PageInfo, low, widen};
use super::removed::{Known, Removed};

/// Where the value of a slot stands; an empty one stands nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) generation: u32,
    pub(super) offset: u32,
    /// Bytes of the value.
    pub(super) len: u16,
}

impl Place {
    pub(super) const NOWHERE: Self = Self { generation: 0, offset: 0, len: 0 };
}

pub(super) type Slots = [Place; Slot::ALL.len()];

/// A frame whose write began. What the medium says of it is what happened, whoever waits for it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pending {
    pub(super) offset: u32,
    /// The number of the record in it.
    pub(super) seq: Option<u64>,
    /// The page and the size of the one record that it removes.
    pub(super) credit: Option<(u32, u32)>,
}

/// A record that was found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spot {
    pub(super) generation: u32,
    pub(super) offset: u32,
    pub(super) seq: u64,
    pub(super) view: View,
}

/// A queue in NOR flash. See the [module](crate::flash) for what it promises.
#[derive(Debug)]
pub struct FlashStorage<F: NorFlash, const PAGES: usize> {
    pub(super) medium: Medium<F>,
    pub(super) pages: [PageInfo; PAGES],
    /// The generation that is written to; what is in use starts at `floor`.
    pub(super) head: u32,
    pub(super) floor: u32,
    /// Where the next frame goes in the page of `head`; its end, when nothing more may be written there.
    pub(super) position: u32,
    pub(super) pending: Option<Pending>,
    /// The generation whose page is being prepared: it counts once the medium says that it is complete.
    pub(super) turning: Option<u32>,
    /// Records of this generation and below were deleted for good.
    pub(super) wiped: u32,
    /// One more than the highest number given out.
    pub(super) next: u64,
    pub(super) removed: Removed,
    pub(super) slots: Slots,
    /// Where the last walk stood: no record of this number or above stands before, in that page.
    pub(super) cursor: Option<(u32, u32, u64)>,
    /// The generations whose live bytes may be fewer than noted.
    pub(super) stale: Option<(u32, u32)>,
    /// Damage was met that was not accounted for.
    pub(super) suspect: bool,
    /// Pages (modulo 32) with damage that was accounted for.
    pub(super) rough: u32,
    pub(super) damaged: u32,
}

impl<F: NorFlash, const PAGES: usize> FlashStorage<F, PAGES> {
    pub(super) fn empty(flash: F, layout: Layout) -> Self {
        Self {
            medium: Medium::new(flash, layout),
            pages: [PageInfo::EMPTY; PAGES],
            // The first generation is so high that it has as many before it as there are pages.
            head: layout.pages().saturating_sub(1),
            floor: layout.pages(),
            position: layout.page(),
            pending: None,
            turning: None,
            wiped: 0,
            next: 1,
            removed: Removed::new(),
            slots: [Place::NOWHERE; Slot::ALL.len()],
            cursor: None,
            stale: None,
            suspect: false,
            rough: 0,
            damaged: 0,
        }
    }

    pub(super) const fn layout(&self) -> Layout {
        self.medium.layout
    }

    fn index(&self, generation: u32) -> usize {
        usize::try_from(self.layout().index(generation)).unwrap_or(0)
    }

    pub(super) fn info(&self, generation: u32) -> PageInfo {
        self.pages.get(self.index(generation)).copied().unwrap_or(PageInfo::EMPTY)
    }

    pub(super) fn info_mut(&mut self, generation: u32) -> Option<&mut PageInfo> {
        let index = self.index(generation);
        self.pages.get_mut(index)
    }

    /// A page that holds nothing.
    pub(super) fn set_hole(&mut self, generation: u32) {
        let hole = PageInfo { base: low(self.next), last: low(self.next.saturating_sub(1)), live: 0, end: 0 };
        if let Some(info) = self.info_mut(generation) {
            *info = hole;
        }
    }

    /// The lowest number that the page of this generation may hold.
    pub(super) fn base(&self, generation: u32) -> u64 {
        widen(self.info(generation).base, self.next)
    }

    /// The numbers that it may hold.
    pub(super) fn span(&self, generation: u32) -> (u64, u64) {
        (self.base(generation), widen(self.info(generation).last, self.next))
    }

    pub(super) fn live(&self, generation: u32) -> u32 {
        self.info(generation).live
    }

    /// At most so many bytes of frames are live.
    pub(super) fn live_total(&self) -> u32 {
        (self.floor..=self.head).map(|generation| self.live(generation)).fold(0, u32::saturating_add)
    }

    /// Bytes of a frame once it was copied: what was removed along with it is not.
    pub(super) fn live_size(&self, view: &View) -> u32 {
        self.layout().frame(usize::from(view.len).saturating_sub(view.along_len()))
    }

    pub(super) fn lose_live(&mut self, generation: u32, bytes: u32) {
        let in_use = (self.floor..=self.head).contains(&generation);
        if let Some(info) = self.info_mut(generation).filter(|_| in_use) {
            info.live = info.live.saturating_sub(bytes);
        }
    }

    pub(super) fn mark_stale(&mut self, generation: u32) {
        let (first, last) = self.stale.unwrap_or((generation, generation));
        self.stale = Some((first.min(generation), last.max(generation)));
    }

    /// Whether any record from `first` to `last`, removed or not, may still stand in a page.
    pub(super) fn may_stand(&self, first: u64, last: u64) -> bool {
        (self.floor.max(self.wiped.saturating_add(1))..=self.head).any(|generation| {
            let (low, high) = self.span(generation);
            low <= last && first <= high
        })
    }

    /// What stands at a place.
    // Not an `async fn`: a future around another one holds what both are given.
    pub(super) fn look<'a>(
        &'a mut self,
        generation: u32,
        offset: u32,
        sink: Sink<'a>,
    ) -> impl Future<Output = Result<Found, Failure>> + 'a {
        self.medium.look(generation, offset, sink)
    }

    /// The header of the page of this generation, if that is what stands there.
    pub(super) async fn header(&mut self, generation: u32) -> Result<Option<PageHeader>, Failure> {
        let failed = match self.medium.header(generation).await {
            Ok(header) => return Ok(header),
            Err(failed) => failed,
        };
        // Where another page can be read, it is not the driver that fails but the words of this one.
        let other = self.head != generation && matches!(self.medium.header(self.head).await, Ok(Some(_)));
        if other || self.floor > self.head { Ok(None) } else { Err(failed) }
    }

    /// The next whole frame between two places of a page.
    pub(super) async fn next_frame(
        &mut self,
        generation: u32,
        from: u32,
        end: u32,
    ) -> Result<Option<(u32, View)>, Failure> {
        let mut at = from;
        while at < end {
            match self.look(generation, at, Sink::Nothing).await? {
                Found::Frame(view) => return Ok(Some((at, view))),
                Found::Blank => at = self.medium.skip_blank(generation, at, end).await,
                Found::Garbage => {
                    if self.rough & self.rough_bit(generation) == 0 {
                        self.suspect = true;
                    }
                    at = at.saturating_add(self.layout().write());
                }
            }
        }
        Ok(None)
    }

    pub(super) fn rough_bit(&self, generation: u32) -> u32 {
        1_u32.rotate_left(self.layout().index(generation))
    }

    /// Whether the record at this place was removed.
    pub(super) async fn is_removed(
        &mut self,
        generation: u32,
        offset: u32,
        seq: u64,
    ) -> Result<bool, Failure> {
        match self.removed.know(seq) {
            Known::Removed => return Ok(true),
            Known::Kept => return Ok(false),
            Known::Spilled => {}
        }
        // What removes a record stands behind it.
        for page in generation..=self.head {
            let mut at = if page == generation { offset } else { self.layout().header() };
            let (base, end) = (self.base(page), self.info(page).end);
            while let Some((place, view)) = self.next_frame(page, at, end).await? {
                if view.removed(base).is_some_and(|(first, last)| (first..=last).contains(&seq)) {
                    return Ok(true);
                }
                at = place.saturating_add(view.size);
            }
        }
        Ok(false)
    }

    /// Finds out how many bytes are live where that is not known.
    pub(super) async fn freshen(&mut self) -> Result<(), Failure> {
        if let Some((first, last)) = self.stale {
            for generation in first.max(self.floor)..=last.min(self.head) {
                let live = self.count_live(generation).await?;
                if let Some(info) = self.info_mut(generation) {
                    info.live = live;
                }
            }
            self.stale = None;
        }
        Ok(())
    }

    async fn count_live(&mut self, generation: u32) -> Result<u32, Failure> {
        let (base, end) = (self.base(generation), self.info(generation).end);
        let mut at = self.layout().header();
        let mut live = 0_u32;
        while let Some((place, view)) = self.next_frame(generation, at, end).await? {
            at = place.saturating_add(view.size);
            let counts = match view.seq(base) {
                Some(seq) => generation > self.wiped && !self.is_removed(generation, place, seq).await?,
                None => self.holds_slot(generation, place, view),
            };
            if counts {
                live = live.saturating_add(self.live_size(&view));
            }
        }
        Ok(live)
    }

    /// Whether this frame is the value of a slot.
    pub(super) fn holds_slot(&self, generation: u32, offset: u32, view: View) -> bool {
        view.kind == Kind::Slot
            && self.slots.get(view.slot()).is_some_and(|place| {
                place.len > 0 && place.generation == generation && place.offset == offset
            })
    }
}
