//! Writing frames: where there is room, and never behind one that may be torn.

use embedded_storage_async::nor_flash::NorFlash;
use whisperr_core::Fault;

use super::error::Failure;
use super::frame::{self, FIELDS, Kind, LEAD, PLACED, View, number_in_front};
use super::log::{FlashStorage, Pending, Place};
use super::medium::{Content, Found, Payload, Sink};
use super::page::low;

/// On how many pages a frame is tried.
pub(super) const TRIES: u32 = 3;

/// What a frame is to say.
#[derive(Debug, Clone, Copy)]
pub(super) enum Said<'a> {
    /// A record of this number.
    Record { number: u64, record: &'a [u8] },
    /// The value of a slot.
    Slot { number: u8, value: &'a [u8] },
    /// The removal of everything from `first` to `last`; `credit` is the page and the size of the record if it is one.
    Removal { kind: Kind, first: u64, last: u64, credit: Option<(u32, u32)> },
}

impl<F: NorFlash, const PAGES: usize> FlashStorage<F, PAGES> {
    /// Writes a frame where there is room.
    pub(super) async fn put(&mut self, said: Said<'_>) -> Result<(), Fault<Failure>> {
        let (longest, lives) = match said {
            Said::Record { record, .. } => (record.len().saturating_add(PLACED), true),
            Said::Slot { value, .. } => (value.len(), !value.is_empty()),
            Said::Removal { .. } => (LEAD, false),
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
        let mut pending = Pending { offset: self.position, seq: None, credit: None };
        let (kind, field, front, content) = match said {
            Said::Record { number, record } => {
                pending.seq = Some(number);
                let (kind, field) = Self::record_kind(number, base, number > self.next);
                (kind, field, number_in_front(kind, number, &mut front), record)
            }
            Said::Slot { number, value } => (Kind::Slot, number.into(), &[][..], value),
            Said::Removal { kind, first, last, credit } => {
                pending.credit = credit;
                let (field, len) = frame::removal(base, first, last, &mut front);
                (kind, field, front.get(..len).unwrap_or_default(), &[][..])
            }
        };
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
        if let Some(info) = self.info_mut(head) {
            info.end = end;
            if let Some(seq) = seq {
                info.last = low(seq);
            }
            if seq.is_some() || (view.kind == Kind::Slot && view.len > 0) {
                info.live = info.live.saturating_add(view.size);
            }
        }
        if let Some(seq) = seq {
            self.next = self.next.max(seq.saturating_add(1));
        }
        if view.kind == Kind::Slot {
            let number = usize::try_from(view.field).unwrap_or(usize::MAX);
            let place = Place { generation: head, offset: pending.offset, len: view.len };
            if let Some(old) = self.slots.get(number).copied().filter(|old| old.len > 0) {
                let bytes = self.layout().frame(old.len.into());
                self.lose_live(old.generation, bytes);
            }
            if let Some(slot) = self.slots.get_mut(number) {
                *slot = place;
            }
        }
        if let Some((first, last)) = view.removed(base) {
            self.removed.insert(first, last);
            if let Some((generation, bytes)) = pending.credit {
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

    /// How a record is written to a page whose lowest number is `base`.
    pub(super) fn record_kind(seq: u64, base: u64, behind_gap: bool) -> (Kind, u32) {
        let distance = seq.checked_sub(base).and_then(|distance| u32::try_from(distance).ok());
        match distance {
            Some(distance) if distance < FIELDS && !behind_gap => (Kind::Record, distance),
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
