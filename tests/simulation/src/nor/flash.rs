//! The driver over the model.

use core::cell::RefCell;
use core::future::{Future, pending, poll_fn};
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use std::rc::Rc;

use embedded_storage_async::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};

use super::chip::{Chip, NorCounts, NorRates, Tear};
use crate::choices::Choices;
use crate::coverage::Seen;

/// Most polls of one call: none waits for long.
const POLLS_MAX: u32 = 50_000_000;

/// A NOR flash that programs `WRITE` bytes and erases `ERASE` bytes at once. Clones are the same flash.
///
/// It holds its user to the rules: bits go from 1 to 0, and every word is programmed once between two
/// erases. A breach is kept for [`breach`](Self::breach).
#[derive(Debug, Clone)]
pub struct SimNor<const WRITE: usize, const ERASE: usize>(Rc<RefCell<Chip>>);

/// An operation of the flash failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is no third kind")]
pub enum NorError {
    /// By a fault.
    Failed,
    /// It was asked for what does not exist.
    OutOfRange,
}

impl NorFlashError for NorError {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::Failed => NorFlashErrorKind::Other,
            Self::OutOfRange => NorFlashErrorKind::OutOfBounds,
        }
    }
}

/// How a call ended.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "there is no fourth way")]
pub enum Driven<T> {
    /// By itself.
    Done(T),
    /// The power failed.
    Off,
    /// Its future was dropped.
    Dropped,
}

impl<const WRITE: usize, const ERASE: usize> SimNor<WRITE, ERASE> {
    /// An erased flash of so many erase units.
    #[must_use]
    pub fn new(units: usize, choices: Choices) -> Self {
        Self(Rc::new(RefCell::new(Chip::new(WRITE, ERASE, units, choices))))
    }

    /// Another flash in the same state, with chances of its own.
    #[must_use]
    pub fn copied(&self) -> Self {
        let mut chip = self.0.borrow().clone();
        chip.choices = Choices::seeded(1);
        Self(Rc::new(RefCell::new(chip)))
    }

    /// Fills the flash with what an unknown program left; every word counts as programmed.
    pub fn fill(&self, bytes: impl Fn(usize) -> u8) {
        self.0.borrow_mut().fill(bytes);
    }

    /// Makes bits 0 for ever.
    pub fn stick(&self, at: usize, mask: u8) {
        self.0.borrow_mut().stick(at, mask);
    }

    /// Sets the rates of faults from here on.
    pub fn set_rates(&self, rates: NorRates) {
        self.0.borrow_mut().rates = rates;
    }

    /// Whether faults other than cuts may happen.
    #[must_use]
    pub fn is_faulty(&self) -> bool {
        self.0.borrow().rates != NorRates::default()
    }

    /// Fails the power in the middle of the change of a word or a page that comes behind so many others.
    pub fn cut_after(&self, changes: u64, tear: Option<Tear>) {
        let chip = &mut *self.0.borrow_mut();
        chip.cut_in = Some(changes);
        chip.tear = tear;
    }

    /// Whether the power failed.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.0.borrow().off
    }

    /// Switches the power on, with no cut planned.
    pub fn power_on(&self) {
        let chip = &mut *self.0.borrow_mut();
        chip.off = false;
        chip.cut_in = None;
        chip.forget();
    }

    /// Lets every operation wait before and behind its effect.
    pub fn set_pauses(&self, pauses: bool) {
        self.0.borrow_mut().pauses = pauses;
    }

    /// Whether calls without power never end, as in a process that dies with it, or fail
    /// where they would change something.
    pub fn set_hangs(&self, hangs: bool) {
        self.0.borrow_mut().hangs = hangs;
    }

    /// What was done so far.
    #[must_use]
    pub fn counts(&self) -> NorCounts {
        self.0.borrow().counts
    }

    /// Changes of a word or a page so far.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.0.borrow().changes
    }

    /// How often each unit was erased.
    #[must_use]
    pub fn erases(&self) -> Vec<u64> {
        self.0.borrow().erases.clone()
    }

    /// How many changes a fault hit.
    #[must_use]
    pub fn hits(&self) -> u64 {
        self.0.borrow().hits
    }

    /// The first breach of the rules of NOR flash.
    #[must_use]
    pub fn breach(&self) -> Option<String> {
        self.0.borrow().breach.clone()
    }

    /// What happened how often.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.0.borrow().seen.clone()
    }

    /// Takes what happened how often.
    #[must_use]
    pub fn take_seen(&self) -> Seen {
        core::mem::take(&mut self.0.borrow_mut().seen)
    }

    /// All bytes that a person with the chip in hand could read.
    #[must_use]
    pub fn raw(&self) -> Vec<u8> {
        self.0.borrow().bytes.clone()
    }

    /// Changes bytes at rest.
    pub fn rot(&self, at: usize, mask: u8) {
        if let Some(byte) = self.0.borrow_mut().bytes.get_mut(at) {
            *byte ^= mask;
        }
    }

    /// Drives a call to its end, or to its so many-th poll.
    pub fn drive<T>(&self, polls: Option<u32>, call: impl Future<Output = T>) -> Driven<T> {
        let mut call = pin!(call);
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..polls.unwrap_or(POLLS_MAX) {
            if let Poll::Ready(done) = call.as_mut().poll(&mut context) {
                return Driven::Done(done);
            }
            if self.is_off() {
                return Driven::Off;
            }
        }
        Driven::Dropped
    }

    async fn pause(&self) {
        if self.0.borrow().pauses {
            let mut waited = false;
            poll_fn(|_| if core::mem::replace(&mut waited, true) { Poll::Ready(()) } else { Poll::Pending })
                .await;
        }
    }

    /// Without power nothing answers, or everything fails.
    async fn powered(&self) -> Result<(), NorError> {
        if self.is_off() { self.die().await } else { Ok(()) }
    }

    async fn die<T>(&self) -> Result<T, NorError> {
        if self.0.borrow().hangs {
            pending::<()>().await;
        }
        Err(NorError::Failed)
    }

    fn check(&self, from: usize, len: usize, unit: usize) -> Result<(), NorError> {
        let size = self.0.borrow().bytes.len();
        let aligned = from.is_multiple_of(unit) && len.is_multiple_of(unit);
        if aligned && from.saturating_add(len) <= size { Ok(()) } else { Err(NorError::OutOfRange) }
    }
}

impl<const WRITE: usize, const ERASE: usize> ErrorType for SimNor<WRITE, ERASE> {
    type Error = NorError;
}

impl<const WRITE: usize, const ERASE: usize> ReadNorFlash for SimNor<WRITE, ERASE> {
    // As coarse as a log may expect.
    const READ_SIZE: usize = WRITE;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorError> {
        // Where nothing hangs, what stands there can still be looked at.
        if self.0.borrow().hangs {
            self.powered().await?;
        }
        self.pause().await;
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        self.check(at, bytes.len(), WRITE)?;
        self.0.borrow_mut().read(at, bytes).map_err(|()| NorError::Failed)
    }

    fn capacity(&self) -> usize {
        self.0.borrow().bytes.len()
    }
}

impl<const WRITE: usize, const ERASE: usize> NorFlash for SimNor<WRITE, ERASE> {
    const WRITE_SIZE: usize = WRITE;
    const ERASE_SIZE: usize = ERASE;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), NorError> {
        self.powered().await?;
        self.pause().await;
        let at = usize::try_from(from).unwrap_or(usize::MAX);
        let end = usize::try_from(to).unwrap_or(usize::MAX);
        self.check(at, end.saturating_sub(at), ERASE)?;
        for unit in (at..end).step_by(ERASE) {
            let erased = self.0.borrow_mut().erase(unit.checked_div(ERASE).unwrap_or(0));
            match erased {
                Some(done) => done.map_err(|()| NorError::Failed)?,
                None => self.die().await?,
            }
            self.pause().await;
        }
        Ok(())
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorError> {
        self.powered().await?;
        self.pause().await;
        let mut at = usize::try_from(offset).unwrap_or(usize::MAX);
        self.check(at, bytes.len(), WRITE)?;
        for word in bytes.chunks(WRITE) {
            let programmed = self.0.borrow_mut().program(at, word);
            match programmed {
                Some(done) => done.map_err(|()| NorError::Failed)?,
                None => self.die().await?,
            }
            at = at.saturating_add(WRITE);
            self.pause().await;
        }
        Ok(())
    }
}
