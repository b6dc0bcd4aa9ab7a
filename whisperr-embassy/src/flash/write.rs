//! Writing frames: where there is room, and never behind one that may be torn.

use embedded_storage_async::nor_flash::NorFlash;
use whisperr_core::Fault;

use super::error::Failure;
use super::frame::{self, ALONG, DISTANCES, Kind, LEAD, PLACED, View};
use super::log::{FlashStorage, Pending, Place};
use super::medium::{Content, Found, Payload, Sink};
use super::page::low;

/// On how many pages a frame is tried.
pub(super) const TRIES: u32 = 3;

/// The removal of everything from `first` to `last`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gone {
    pub(super) first: u64,
    pub(super) last: u64,
    /// The page and the size of the record if it is one.
    pub(super) credit: Option<(u32, u32)>,
}

/// What a frame is to say.
#[derive(Debug, Clone, Copy)]
pub(super) struct Said<'a> {
    pub(super) what: What<'a>,
    /// What is removed, by itself or along with it.
    pub(super) gone: Option<&'a Gone>,
}

/// What a frame holds.
#[derive(Debug, Clone, Copy)]
pub(super) enum What<'a> {
    /// A record of this number.
    Record { number: u64, record: &'a [u8] },
    /// The value of a slot.
    Slot { number: u8, value: &'a [u8] },
    /// A removal by itself.
    Removal(Kind),
}

impl<F: NorFlash, const PAGES: usize> FlashStorage<F, PAGES> {
    /// Writes a frame where there is room.
    pub(super) async fn put(&mut self, said: Said<'_>) -> Result<(), Fault<Failure>> {
        let along = if said.gone.is_some() { ALONG } else { 0 };
        let (longest, lives) = match said.what {
            What::Record { number, record } => {
                (record.len().saturating_add(self.placed_len(number)).saturating_add(along), true)
            }
            What::Slot { value, .. } => (value.len().saturating_add(along), !value.is_empty()),
            What::Removal(_) => (LEAD, false),
        };
        let longest = self.layout().frame(longest);
        let mut failure = Failure::Unverified;
        for _ in 0..TRIES {
            self.make_room(longest, lives).await?;
            match self.write(said).await {
                Ok(()) => return Ok(()),
                Err(failed) => failure = failed,
            }
        }
        Err(Fault::Medium(failure))
    }

    /// Writes a frame to the page of `head`, for which there is room.
    async fn write(&mut self, said: Said<'_>) -> Result<(), Failure> {
        let base = self.base(self.head);
        let mut front = [0; LEAD];
        let credit = said.gone.and_then(|gone| gone.credit);
        let mut pending = Pending { offset: self.position, seq: None, credit };
        let (kind, field, content) = match said.what {
            What::Record { number, record } => {
                pending.seq = Some(number);
                let (kind, distance) = Self::record_kind(number, base, number > self.next);
                (kind, distance, record)
            }
            What::Slot { number, value } => (Kind::Slot, number.into(), value),
            What::Removal(kind) => (kind, 0, &[][..]),
        };
        let (field, len) = match (said.what, said.gone) {
            (What::Removal(_), Some(gone)) => frame::removal(base, gone.first, gone.last, &mut front),
            (_, gone) => {
                let along = gone.map(|gone| (gone.first, gone.last));
                let number = pending.seq.unwrap_or(0);
                // Who asks has made sure that it goes along with any frame.
                frame::front(kind, field, number, base, along, &mut front).ok_or(Failure::Unverified)?
            }
        };
        let front = front.get(..len).unwrap_or_default();
        let payload = Payload { front, content: Content::Bytes(content) };
        // Before the write begins: whatever becomes of it, these words are not programmed again.
        self.position = pending.offset.saturating_add(self.layout().frame(payload.len()));
        self.pending = Some(pending);
        let written = self.medium.emit(self.head, pending.offset, kind, field, payload).await;
        if self.settle().await? {
            return Ok(());
        }
        Err(written.err().unwrap_or(Failure::Unverified))
    }

    /// Finds out what became of a call whose future was dropped, before anything is looked at or changed:
    /// what was not there once must not come about later.
    pub(super) async fn catch_up(&mut self) -> Result<(), Failure> {
        self.settle().await?;
        self.settle_turn().await
    }

    /// Finds out what became of the last write; `true` when all of it is on the medium.
    pub(super) async fn settle(&mut self) -> Result<bool, Failure> {
        let Some(pending) = self.pending else { return Ok(false) };
        let found = self.look(self.head, pending.offset, Sink::Nothing).await?;
        self.pending = None;
        if let Found::Frame(view) = found {
            self.apply(pending, view);
            return Ok(true);
        }
        // Nothing is written behind a frame that may be torn.
        self.position = self.layout().page();
        Ok(false)
    }

    /// Memory follows the medium.
    fn apply(&mut self, pending: Pending, view: View) {
        let (head, base) = (self.head, self.base(self.head));
        let end = pending.offset.saturating_add(view.size);
        let seq = view.seq(base);
        let live = self.live_size(&view);
        if let Some(info) = self.info_mut(head) {
            info.end = end;
            if let Some(seq) = seq {
                info.last = low(seq);
            }
            if seq.is_some() || (view.kind == Kind::Slot && view.content_len() > 0) {
                info.live = info.live.saturating_add(live);
            }
        }
        if let Some(seq) = seq {
            self.next = self.next.max(seq.saturating_add(1));
        }
        if view.kind == Kind::Slot {
            let place = Place { generation: head, offset: pending.offset, len: view.content_len() };
            if let Some(old) = self.slots.get(view.slot()).copied().filter(|old| old.len > 0) {
                let bytes = self.layout().frame(old.len.into());
                self.lose_live(old.generation, bytes);
            }
            if let Some(slot) = self.slots.get_mut(view.slot()) {
                *slot = place;
            }
        }
        if let Some((first, last)) = view.removed(base) {
            self.removed.insert(first, last);
            // The page of the one record may have turned since it was found.
            let credit = pending.credit.filter(|(generation, _)| (self.floor..=head).contains(generation));
            if let Some((generation, bytes)) = credit {
                self.lose_live(generation, bytes);
            } else {
                for generation in self.floor..=head {
                    let (low, high) = self.span(generation);
                    if low <= last && first <= high {
                        self.mark_stale(generation);
                    }
                }
            }
        }
    }

    /// The lowest number that the page of `head` has as its lowest, now or after any turn.
    #[inline(never)]
    pub(super) fn lowest_base(&self) -> u64 {
        (self.floor..=self.head).map(|generation| self.base(generation)).fold(self.next, u64::min)
    }

    /// Most bytes that the number of a record takes, in whatever page it will stand.
    pub(super) fn placed_len(&self, number: u64) -> usize {
        let (kind, _) = Self::record_kind(number, self.lowest_base(), number > self.next);
        if kind == Kind::Placed { PLACED } else { 0 }
    }

    /// How a record is written to a page whose lowest number is `base`.
    pub(super) fn record_kind(seq: u64, base: u64, behind_gap: bool) -> (Kind, u32) {
        let distance = seq.checked_sub(base).and_then(|distance| u32::try_from(distance).ok());
        match distance {
            Some(distance) if distance < DISTANCES && !behind_gap => (Kind::Record, distance),
            _ => (Kind::Placed, 0),
        }
    }

    /// Makes sure that the page of `head` takes a frame of so many bytes: one that lives and may have
    /// to be copied, or a removal.
    pub(super) async fn make_room(&mut self, bytes: u32, lives: bool) -> Result<(), Fault<Failure>> {
        self.settle_turn().await?;
        for _ in 0..=self.layout().pages() {
            if self.has_room(bytes, lives) {
                return Ok(());
            }
            if lives {
                self.freshen().await?;
                if self.has_room(bytes, lives) {
                    return Ok(());
                }
                if !self.turning_helps(bytes) {
                    return Err(Fault::Full);
                }
            }
            self.turn(self.wiped).await?;
        }
        Err(Fault::Full)
    }

    fn has_room(&self, bytes: u32, lives: bool) -> bool {
        let fits = self.position.saturating_add(bytes) <= self.layout().page();
        fits && (!lives || self.live(self.head).saturating_add(bytes) <= self.layout().usable())
    }

    /// Whether a page is ahead in the ring that would have room, once its turn came.
    fn turning_helps(&self, bytes: u32) -> bool {
        let pages = self.layout().pages();
        let dead = (self.floor..=self.head).take_while(|generation| self.live(*generation) == 0).count();
        let floor = self.floor.saturating_add(u32::try_from(dead).unwrap_or(0));
        let usable = self.layout().usable();
        (1..pages).any(|turns| {
            let generation = self.head.saturating_add(turns);
            let copied = match generation.saturating_add(1).saturating_sub(floor).checked_sub(pages) {
                Some(behind) => self.live(floor.saturating_add(behind)),
                None => 0,
            };
            copied.saturating_add(bytes) <= usable
        })
    }
}
