//! A queue in NOR flash: [`FlashStorage`], the [`Storage`] over any `embedded-storage-async`
//! [`NorFlash`].
//!
//! # What it needs
//!
//! Write sizes of 1 to 32 bytes, two pages or more, each of one or several erase units of 256 bytes to
//! 128 KiB. No word is programmed twice between two erases, so flash with error correction will do.
//! No allocation, no buffer of a page or a record: memory is 16 bytes a page and a few hundred more.
//!
//! # What it promises
//!
//! `Ok` means that the frame was read back from the medium, whole. A power cut at any moment, in the
//! middle of a word or of an erase, and a future that is dropped at any `await` leave every change done
//! or not done; so do writes and erases that fail or are silently ignored. Opening is total: any bytes
//! give a working log. A record that does not read back whole three times in a row is counted for
//! [`Storage::take_damaged`], and the log goes on behind it.
//!
//! # Wear
//!
//! Pages are used strictly in a circle, and each is erased right before it is used again: no page is
//! erased more often than its turn comes. What must be kept of the oldest page is copied when room is
//! needed; with operations that leave in the order in which they came, that is next to nothing.
//! A restart costs one write unit, not a page. An event that takes the place of the oldest in a full queue, and
//! a delivered batch with its ledger, are one write each ([`Storage::remove_with`]).
//!
//! # Privacy
//!
//! Records hold contact data. A record that was delivered or evicted stays readable, to who has the
//! chip in hand, until its page turns. [`Storage::wipe`], which opting out calls, erases every page
//! before it returns; cut short, it is finished by the next opening.
//!
//! # Limits
//!
//! A record is at most [`FlashStorage::record_bytes_max`] long. The log keeps one page free, and a good page
//! more as slack, so that writing stays cheap when it is full: see [`FlashStorage::capacity`]. What stands in another layout
//! (page size or number of pages) or another version of the format is as if it were not there.
//! A word that reads as erased counts as erased, as for the flash controllers themselves.

mod crc;
mod error;
mod frame;
mod layout;
mod log;
mod medium;
mod open;
mod page;
mod removed;
mod turn;
mod walk;
mod write;

use core::ops::Range;
use core::pin::pin;

use embedded_storage_async::nor_flash::NorFlash;
use whisperr_core::{
    Fault, RECORD_BYTES_MAX, RemoveWith, SLOT_BYTES_MAX, Seq, SeqRange, Slot, Storage, Stored, apart,
};

pub use error::{FlashError, FlashOpenError};
pub use layout::LayoutError;
pub use log::FlashStorage;

use error::Failure;
use frame::Kind;
use frame::{ALONG, PLACED};
use log::Place;
use medium::{Found, Sink};
use page::widen;
use write::{Gone, Said, TRIES, What};

/// How a range is removed.
#[derive(Debug, Clone, Copy)]
enum Delete<'a> {
    Alone(Kind),
    With(RemoveWith<'a>),
}

impl<F: NorFlash, const PAGES: usize> FlashStorage<F, PAGES> {
    /// Opens the log in `range` (bytes from the start of the flash), which may hold anything: what is no
    /// log is an empty one. Nothing is erased before the first write, apart from the rest of a wipe that
    /// was cut short.
    ///
    /// The range is divided into `PAGES` pages of as many erase units as fit.
    ///
    /// # Errors
    /// [`FlashOpenError::Layout`] for a flash or a range that cannot hold a log, [`FlashOpenError::Flash`]
    /// when the driver cannot read.
    pub async fn open(flash: F, range: Range<u32>) -> Result<Self, FlashOpenError<F::Error>> {
        let layout = Self::layout_of(&flash, &range)?;
        let mut log = Self::empty(flash, layout);
        let recovered = { apart(pin!(log.recover())).await };
        match recovered {
            Ok(()) => Ok(log),
            Err(failure) => match log.medium.error(failure) {
                FlashError::Flash(error) => Err(FlashOpenError::Flash(error)),
                // No other error comes from reading.
                _ => Ok(log),
            },
        }
    }

    /// Erases `range` and starts an empty log in it: operations, slots and numbers are gone.
    ///
    /// # Errors
    /// As [`open`](Self::open), and [`FlashOpenError::Flash`] when the driver cannot erase. Call again.
    pub async fn format(flash: F, range: Range<u32>) -> Result<Self, FlashOpenError<F::Error>> {
        let layout = Self::layout_of(&flash, &range)?;
        let mut log = Self::empty(flash, layout);
        for index in 0..layout.pages() {
            if let Err(failure) = log.medium.erase(index).await
                && let FlashError::Flash(error) = log.medium.error(failure)
            {
                return Err(FlashOpenError::Flash(error));
            }
        }
        Ok(log)
    }

    /// Gives the flash back.
    pub fn release(self) -> F {
        self.medium.flash
    }

    /// The longest record that fits, in bytes.
    #[must_use]
    pub fn record_bytes_max(&self) -> usize {
        let room = self.layout().usable().min(self.layout().live_max());
        let room = room.saturating_sub(room.checked_rem(self.layout().write()).unwrap_or(0));
        let overhead = frame::HEAD.saturating_add(frame::FOOT).saturating_add(PLACED);
        usize::try_from(room)
            .unwrap_or(usize::MAX)
            .saturating_sub(overhead)
            .min(RECORD_BYTES_MAX.saturating_sub(PLACED))
    }

    /// How many bytes of records, slots and what surrounds them the log holds at most. Around a record
    /// stand 10 bytes, padded to the write size.
    #[must_use]
    pub fn capacity(&self) -> u32 {
        self.layout().live_max()
    }

    /// The answer to somebody outside.
    fn told<T>(&mut self, done: Result<T, Fault<Failure>>) -> Result<T, Fault<FlashError<F::Error>>> {
        done.map_err(|fault| match fault {
            Fault::Full => Fault::Full,
            Fault::Medium(failure) => Fault::Medium(self.medium.error(failure)),
        })
    }

    /// Makes sure that a record may be stored under this number.
    fn check(&self, seq: Seq, record: &[u8]) -> Result<(), FlashError<F::Error>> {
        let max = self.record_bytes_max();
        if record.len() > max {
            return Err(FlashError::RecordTooLong { bytes: record.len(), max });
        }
        // A write that was given up half way may have taken a number.
        let next = self.next_seq();
        if seq < next || seq.get() > i64::MAX.unsigned_abs() {
            return Err(FlashError::SeqUsed { seq, next });
        }
        Ok(())
    }

    const fn check_slot(value: &[u8]) -> Result<(), FlashError<F::Error>> {
        if value.len() > SLOT_BYTES_MAX {
            return Err(FlashError::SlotTooLong { bytes: value.len() });
        }
        Ok(())
    }

    /// Makes sure that the log has room for a record, once what goes along with it is gone.
    async fn check_room(
        &mut self,
        number: u64,
        record: &[u8],
        gone: Option<&Gone>,
    ) -> Result<(), Fault<Failure>> {
        // Memory keeps 32 bits of a number.
        let oldest =
            if self.floor > self.head { self.next } else { widen(self.info(self.floor).base, self.next) };
        if number.saturating_sub(oldest) >= u64::from(u32::MAX / 2) {
            return Err(Fault::Full);
        }
        let bytes = record.len().saturating_add(self.placed_len(number));
        if gone.is_some() && bytes > usize::from(u16::MAX).saturating_sub(ALONG) {
            return Err(Fault::Full);
        }
        let freed = gone.and_then(|gone| gone.credit).map_or(0, |(_, bytes)| bytes);
        // What is live once this is done, at most.
        let live_max = self.layout().live_max().saturating_add(freed);
        let longest = self.layout().frame(bytes);
        if self.live_total().saturating_add(longest) > live_max {
            self.freshen().await?;
            if self.live_total().saturating_add(longest) > live_max {
                return Err(Fault::Full);
            }
        }
        Ok(())
    }

    async fn append_record(&mut self, number: u64, record: &[u8]) -> Result<(), Fault<Failure>> {
        self.check_room(number, record, None).await?;
        self.put(Said { what: What::Record { number, record }, gone: None }).await
    }

    async fn find_and_copy(&mut self, from: Seq, buffer: &mut [u8]) -> Result<Option<Stored>, Failure> {
        self.catch_up().await?;
        let mut found = None;
        // Once more when what was found is not whole any more.
        for _ in 0..TRIES {
            found = None;
            let Some(spot) = self.find(from.get()).await? else { break };
            let stored = Stored { seq: Seq::new(spot.seq), len: spot.view.content_len().into() };
            if buffer.is_empty() {
                found = Some(stored);
                break;
            }
            let sink = Sink::Copy(buffer);
            if let Found::Frame(_) = self.look(spot.generation, spot.offset, sink).await? {
                found = Some(stored);
                break;
            }
        }
        if self.suspect {
            self.audit().await?;
        }
        Ok(found)
    }

    /// Removes a range, alone or with something that is written in the same frame; `false` where that cannot be.
    async fn delete(&mut self, range: SeqRange, how: Delete<'_>) -> Result<bool, Fault<Failure>> {
        self.catch_up().await?;
        let last = range.last.get().min(self.next.saturating_sub(1));
        let spot = self.find(range.first.get()).await?.filter(|spot| spot.seq <= last);
        let alone = matches!(how, Delete::Alone(_));
        let Some(spot) = spot else { return Ok(alone) };
        if !alone && !frame::goes_along(self.lowest_base(), self.next, spot.seq, last) {
            return Ok(false);
        }
        self.join_ranges().await?;
        let only = spot.seq == last && (self.floor..=self.head).contains(&spot.generation);
        let credit = only.then(|| (spot.generation, self.live_size(&spot.view)));
        let gone = Gone { first: spot.seq, last, credit };
        let what = match how {
            Delete::Alone(kind) => What::Removal(kind),
            Delete::With(RemoveWith::Slot { slot, value }) => What::Slot { number: slot.number(), value },
            Delete::With(RemoveWith::Record { seq, record }) => {
                self.check_room(seq.get(), record, Some(&gone)).await?;
                What::Record { number: seq.get(), record }
            }
        };
        self.put(Said { what, gone: Some(&gone) }).await?;
        Ok(true)
    }

    async fn load_slot(&mut self, slot: Slot, buffer: &mut [u8]) -> Result<usize, Failure> {
        self.catch_up().await?;
        let place = self.place(slot);
        let len = usize::from(place.len);
        if len == 0 || len > buffer.len() {
            return Ok(0);
        }
        let found = self.look(place.generation, place.offset, Sink::Copy(buffer)).await?;
        Ok(if matches!(found, Found::Frame(_)) { len } else { 0 })
    }

    async fn store_slot(&mut self, slot: Slot, value: &[u8]) -> Result<(), Fault<Failure>> {
        self.catch_up().await?;
        if self.holds(slot, value).await? {
            return Ok(());
        }
        self.put(Said { what: What::Slot { number: slot.number(), value }, gone: None }).await
    }

    async fn wipe_all(&mut self) -> Result<(), Failure> {
        self.catch_up().await?;
        self.turn(self.head).await?;
        self.finish_wipe().await
    }

    /// Whether the value of a slot is this one.
    async fn holds(&mut self, slot: Slot, value: &[u8]) -> Result<bool, Failure> {
        let place = self.place(slot);
        if usize::from(place.len) != value.len() {
            return Ok(false);
        }
        if value.is_empty() {
            return Ok(true);
        }
        let mut same = true;
        let found = self.look(place.generation, place.offset, Sink::Compare(value, &mut same)).await?;
        Ok(same && matches!(found, Found::Frame(_)))
    }

    fn place(&self, slot: Slot) -> Place {
        self.slots.get(usize::from(slot.number())).copied().unwrap_or(Place::NOWHERE)
    }
}

impl<F: NorFlash, const PAGES: usize> Storage for FlashStorage<F, PAGES> {
    type Error = FlashError<F::Error>;

    fn next_seq(&self) -> Seq {
        // Nobody knows yet whether a write that was given up half way is on the medium.
        let pending = self.pending.and_then(|pending| pending.seq).map_or(0, |seq| seq.saturating_add(1));
        Seq::new(self.next.max(pending))
    }

    async fn append(&mut self, seq: Seq, record: &[u8]) -> Result<(), Fault<Self::Error>> {
        let appended = match self.catch_up().await {
            Ok(()) => {
                self.check(seq, record)?;
                self.append_record(seq.get(), record).await
            }
            Err(failure) => Err(failure.into()),
        };
        self.told(appended)
    }

    async fn read(&mut self, from: Seq, buffer: &mut [u8]) -> Result<Option<Stored>, Fault<Self::Error>> {
        let found = self.find_and_copy(from, buffer).await;
        self.told(found.map_err(Fault::from))
    }

    async fn remove(&mut self, range: SeqRange) -> Result<(), Fault<Self::Error>> {
        let removed = self.delete(range, Delete::Alone(Kind::Removed)).await;
        self.told(removed.map(drop))
    }

    /// In one frame, for up to 256 numbers in a row.
    async fn remove_with(
        &mut self,
        range: SeqRange,
        with: RemoveWith<'_>,
    ) -> Result<bool, Fault<Self::Error>> {
        match with {
            RemoveWith::Record { seq, record } => self.check(seq, record)?,
            RemoveWith::Slot { value, .. } => Self::check_slot(value)?,
        }
        let done = self.delete(range, Delete::With(with)).await;
        self.told(done)
    }

    /// The record stays readable, marked as set aside, until its page turns.
    async fn set_aside(&mut self, seq: Seq) -> Result<(), Fault<Self::Error>> {
        let moved = self.delete(SeqRange::one(seq), Delete::Alone(Kind::Aside)).await;
        self.told(moved.map(drop))
    }

    async fn load(&mut self, slot: Slot, buffer: &mut [u8]) -> Result<usize, Fault<Self::Error>> {
        let loaded = self.load_slot(slot, buffer).await;
        self.told(loaded.map_err(Fault::from))
    }

    async fn store(&mut self, slot: Slot, value: &[u8]) -> Result<(), Fault<Self::Error>> {
        Self::check_slot(value)?;
        let stored = self.store_slot(slot, value).await;
        self.told(stored)
    }

    async fn wipe(&mut self) -> Result<(), Fault<Self::Error>> {
        let wiped = self.wipe_all().await;
        self.told(wiped.map_err(Fault::from))
    }

    fn take_damaged(&mut self) -> u32 {
        core::mem::take(&mut self.damaged)
    }
}
