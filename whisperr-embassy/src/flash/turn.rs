//! The turn of a page: erased, given a header, and filled with what must be kept of the oldest page.
//!
//! A page is erased only here, right before it is used again: no half-erased page is ever taken for an
//! erased one, and no page is erased more often than its turn comes. The copies do not count until the
//! frame behind them says that they are all there; the page they come from is not needed from then on,
//! and it is erased at the next turn at the earliest. A cut in between starts the turn anew.

use core::pin::pin;

use embedded_storage_async::nor_flash::NorFlash;
use whisperr_core::apart;

use super::error::Failure;
use super::frame::{self, Kind, LEAD, View};
use super::log::{FlashStorage, Place, Slots};
use super::medium::{Content, Found, Payload, Sink};
use super::page::{PageHeader, PageInfo, low};
use super::removed::Removed;

/// How often a page is tried before the next one is.
const TRIES: u32 = 2;

/// A turn that did not come to its end.
struct Failed {
    failure: Failure,
    /// The medium says that the page does not count. Otherwise nobody knows.
    certain: bool,
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        Self { failure, certain: false }
    }
}

impl Failed {
    fn certain(written: Result<(), Failure>) -> Self {
        Self { failure: written.err().unwrap_or(Failure::Unverified), certain: true }
    }
}

/// What a page holds.
pub(super) struct Loaded {
    pub(super) header: PageHeader,
    pub(super) info: PageInfo,
    /// The slots, with the values in this page.
    pub(super) slots: Slots,
    /// The oldest generation that is needed, by the word of this page.
    pub(super) floor: u32,
    /// It holds what is only written once the page is complete.
    pub(super) proved: bool,
    /// One more than the highest number in it.
    pub(super) next: u64,
    /// Something that is not whole stands behind the last frame.
    pub(super) torn: bool,
    /// Something that is not whole stands before another frame.
    pub(super) rough: bool,
}

impl<F: NorFlash, const PAGES: usize> FlashStorage<F, PAGES> {
    /// Goes on to the next page of the ring. With `wiped` raised, everything up to that generation is
    /// dead once this returns.
    pub(super) async fn turn(&mut self, wiped: u32) -> Result<(), Failure> {
        self.freshen().await?;
        if self.removed.has_spilled() {
            // What memory had no room for may have room by now.
            apart(pin!(self.recall_removed())).await?;
        }
        let mut floor = self.floor;
        while floor <= self.head && self.live(floor) == 0 {
            floor = floor.saturating_add(1);
        }
        // The page of `head` may be written to as long as it is the last one.
        self.floor = self.floor.max(floor.min(self.head));
        let first = self.head.saturating_add(1);
        // The page of the last one is where `floor` stands now: that must be copied. The page of `head` is
        // never given up before another one is complete: it knows which numbers were given out.
        let last = floor.min(self.head).saturating_add(self.layout().pages()).saturating_sub(1);
        let mut failure = Failure::Unverified;
        for generation in first..=last {
            for _ in 0..TRIES {
                self.turning = Some(generation);
                let turned = { apart(pin!(self.turn_to(generation, floor, wiped))).await };
                match turned {
                    Ok(()) => return Ok(()),
                    Err(failed) => {
                        failure = failed.failure;
                        if !failed.certain {
                            return Err(failure);
                        }
                    }
                }
            }
            // What is to be deleted must be erased: the page is not passed over.
            if wiped != self.wiped || self.is_wiping() {
                break;
            }
            self.set_hole(generation);
        }
        self.turning = None;
        Err(failure)
    }

    /// Whether pages are to be erased that held what was deleted for good.
    pub(super) fn is_wiping(&self) -> bool {
        self.head < self.wiped.saturating_add(self.layout().pages())
    }

    /// Finds out what became of a turn that was given up half way: a dropped future, or a flash that
    /// could not be read.
    pub(super) async fn settle_turn(&mut self) -> Result<(), Failure> {
        if let Some(generation) = self.turning {
            if let Some(header) = self.header(generation).await? {
                let mut loaded = self.before_load(header);
                apart(pin!(self.load(&mut loaded))).await?;
                if self.is_complete(&loaded) {
                    self.adopt(&loaded);
                }
            }
            self.turning = None;
        }
        Ok(())
    }

    /// Whether everything that this page replaces was copied.
    pub(super) fn is_complete(&self, loaded: &Loaded) -> bool {
        loaded.header.generation.saturating_sub(loaded.floor).saturating_add(1) < self.layout().pages()
    }

    async fn turn_to(&mut self, generation: u32, floor: u32, wiped: u32) -> Result<(), Failed> {
        let layout = self.layout();
        let erased = self.medium.erase(generation).await;
        if erased != Ok(true) {
            return Err(Failed::certain(erased.map(drop)));
        }
        let copies = generation.saturating_sub(floor).saturating_add(1) >= layout.pages();
        let records = copies && floor > wiped;
        let oldest = if records { self.find_in(floor, layout.header(), 0).await? } else { None };
        let base = oldest.map_or(self.next, |spot| spot.seq);
        let header = PageHeader { generation, floor, wiped, base, next: self.next };
        let written = self.medium.write_header(&header).await;
        if self.header(generation).await? != Some(header) {
            return Err(Failed::certain(written));
        }
        if copies {
            let mut at = layout.header();
            let mut from = layout.header();
            let end = self.info(floor).end;
            while let Some((offset, view)) = self.next_frame(floor, from, end).await? {
                from = offset.saturating_add(view.size);
                let (kind, field, seq) = match view.seq(self.base(floor)) {
                    Some(seq) if records && !self.is_removed(floor, offset, seq).await? => {
                        let (kind, field) = Self::record_kind(seq, base, false);
                        (kind, field, seq)
                    }
                    None if self.holds_slot(floor, offset, view) => {
                        (Kind::Slot, u32::try_from(view.slot()).unwrap_or(0), 0)
                    }
                    _ => continue,
                };
                let mut front = [0; LEAD];
                // What was removed along with it is gone already.
                let placed = frame::front(kind, field, seq, base, None, &mut front);
                let (field, len) = placed.unwrap_or((field, 0));
                let front = front.get(..len).unwrap_or_default();
                let (skip, len) = (view.skipped(), view.content_len());
                let content = Content::Frame { generation: floor, offset, skip, len };
                let payload = Payload { front, content };
                at = self.prove(generation, at, kind, field, payload).await?;
            }
            let live = generation.saturating_sub(floor).saturating_sub(1);
            let payload = Payload { front: &[], content: Content::Bytes(&[]) };
            self.prove(generation, at, Kind::Turned, live, payload).await?;
        }
        let mut loaded = self.before_load(header);
        apart(pin!(self.load(&mut loaded))).await?;
        self.adopt(&loaded);
        self.turning = None;
        Ok(())
    }

    /// Writes a frame into a page that does not count yet, and returns where it ends.
    async fn prove(
        &mut self,
        generation: u32,
        offset: u32,
        kind: Kind,
        field: u32,
        payload: Payload<'_>,
    ) -> Result<u32, Failed> {
        let end = offset.saturating_add(self.layout().frame(payload.len()));
        if end > self.layout().page() {
            return Err(Failed::certain(Ok(())));
        }
        let written = self.medium.emit(generation, offset, kind, field, payload).await;
        match self.look(generation, offset, Sink::Nothing).await? {
            Found::Frame(View { kind: found, .. }) if found == kind => Ok(end),
            _ => Err(Failed::certain(written)),
        }
    }

    /// A page of which only the header is read.
    pub(super) fn before_load(&self, header: PageHeader) -> Loaded {
        let info = PageInfo {
            base: low(header.base),
            last: low(header.base.saturating_sub(1)),
            live: 0,
            end: self.layout().header(),
        };
        let (slots, floor, next) = (self.slots, header.floor, header.next);
        Loaded { header, info, slots, floor, proved: false, next, torn: false, rough: false }
    }

    /// Reads the rest of a page from front to end. Into what the caller has: a future holds what it returns once more.
    pub(super) async fn load(&mut self, loaded: &mut Loaded) -> Result<(), Failure> {
        let PageHeader { generation, base, .. } = loaded.header;
        let page = self.layout().page();
        let mut at = loaded.info.end;
        let mut lowest = base;
        while at < page {
            match self.look(generation, at, Sink::Nothing).await? {
                Found::Blank => at = self.medium.skip_blank(generation, at, page).await,
                Found::Garbage => {
                    loaded.torn = true;
                    at = at.saturating_add(self.layout().write());
                }
                Found::Frame(view) => {
                    let offset = at;
                    at = at.saturating_add(view.size);
                    loaded.rough |= core::mem::take(&mut loaded.torn);
                    loaded.info.end = at;
                    if let Some(seq) = view.seq(base).filter(|seq| *seq >= lowest) {
                        lowest = seq.saturating_add(1);
                        loaded.info.last = low(seq);
                        loaded.info.live = loaded.info.live.saturating_add(self.live_size(&view));
                        loaded.next = loaded.next.max(lowest);
                    }
                    loaded.note(offset, view, self.live_size(&view));
                }
            }
        }
        if loaded.proved {
            // At most one page was copied.
            let oldest = generation.saturating_add(2).saturating_sub(self.layout().pages());
            loaded.floor = loaded.floor.max(oldest);
        }
        Ok(())
    }

    /// Takes a page that is complete for the one that is written to.
    pub(super) fn adopt(&mut self, loaded: &Loaded) {
        let header = loaded.header;
        self.head = header.generation;
        self.floor = self.floor.max(loaded.floor);
        if let Some(info) = self.info_mut(header.generation) {
            *info = loaded.info;
        }
        self.slots = loaded.slots;
        self.next = self.next.max(loaded.next);
        self.position = if loaded.torn { self.layout().page() } else { loaded.info.end };
        self.rough &= !self.rough_bit(header.generation);
        if loaded.rough {
            self.suspect = true;
        }
        // Until it is counted, every frame in it counts.
        self.mark_stale(header.generation);
        if header.wiped > self.wiped {
            self.wiped = header.wiped;
            self.removed = Removed::new();
            self.mark_stale(self.floor);
        }
        let oldest = self.floor.max(self.wiped.saturating_add(1));
        self.cursor = self.cursor.filter(|(generation, ..)| *generation >= oldest);
        self.removed.keep(self.removed.which(|first, last| self.may_stand(first, last)));
    }

    /// Reads every removed range of which something may be left from the medium.
    pub(super) async fn recall_removed(&mut self) -> Result<(), Failure> {
        let mut removed = Removed::new();
        for generation in self.floor.max(self.wiped.saturating_add(1))..=self.head {
            let (base, end) = (self.base(generation), self.info(generation).end);
            let mut at = self.layout().header();
            while let Some((offset, view)) = self.next_frame(generation, at, end).await? {
                at = offset.saturating_add(view.size);
                if let Some((first, last)) = view.removed(base)
                    && self.may_stand(first, last)
                {
                    removed.insert(first, last);
                }
            }
        }
        self.removed = removed;
        Ok(())
    }
}

impl Loaded {
    fn note(&mut self, offset: u32, view: View, live: u32) {
        let generation = self.header.generation;
        let base = self.header.base;
        let appended = view.seq(base).is_some_and(|seq| seq >= self.header.next);
        // Neither is written before the page is complete.
        self.proved |= appended || view.removed(base).is_some();
        match view.kind {
            Kind::Turned => {
                self.floor = generation.saturating_sub(view.field).max(self.floor);
            }
            Kind::Slot => {
                if let Some(slot) = self.slots.get_mut(view.slot()) {
                    *slot = Place { generation, offset, len: view.content_len() };
                    self.info.live = self.info.live.saturating_add(live);
                }
            }
            _ => {}
        }
    }
}
