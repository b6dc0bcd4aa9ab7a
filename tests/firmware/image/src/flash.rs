//! A NOR flash with the rules and the accidents of one, in the PSRAM.
//!
//! Programming takes bits away, erasing gives all of a unit back. Both pass through states that are neither old nor
//! new, so that a kill at any moment may leave them; and the power fails in the middle of the change that the host
//! names.

use embassy_futures::yield_now;
use embassy_time::Timer;
use embedded_storage_async::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};

use crate::board::{power, psram};
use crate::chance::Chance;
use crate::layout::{CHANGES, CUT_AT, ERASE_BYTES, ERASES, FLASH_BYTES, REPROGRAMMED, TEAR, end, tear};

const ERASED: u32 = u32::MAX;
/// How long an erase takes: long enough that calls and kills fall into it.
const ERASE_US: u64 = 300;
/// Words after which other tasks are let in.
const WORDS_AT_ONCE: usize = 8;

/// The flash. There is one.
pub(crate) struct Nor {
    chance: Chance,
    /// The change in which the power fails.
    cut_at: u32,
    changes: u32,
}

/// Outside the flash, or not at its boundaries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Misplaced;

impl NorFlashError for Misplaced {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::OutOfBounds
    }
}

impl Nor {
    pub(crate) fn new(chance: Chance) -> Self {
        psram::store(CHANGES, 0);
        Self { chance, cut_at: psram::load(CUT_AT), changes: 0 }
    }

    /// Counts a change. The power fails in it when `Some`: how is what it says.
    fn change(&mut self) -> Option<u32> {
        self.changes += 1;
        psram::store(CHANGES, self.changes);
        (self.changes == self.cut_at).then(|| psram::load(TEAR))
    }

    fn program(&mut self, at: u32, word: u32) {
        let old = psram::load(at);
        if old != ERASED {
            psram::store(REPROGRAMMED, psram::load(REPROGRAMMED) + 1);
        }
        let noise = self.chance.next();
        if let Some(how) = self.change() {
            let kept = match how {
                tear::NOTHING => u32::MAX,
                tear::HALF => 0xFFFF_0000,
                tear::BITS => noise,
                _ => 0,
            };
            psram::store(at, old & (word | kept));
            power::off(end::CUT);
        }
        psram::store(at, old & (word | noise));
        psram::store(at, old & word);
    }

    async fn erase_unit(&mut self, from: u32) {
        let words = || (from..from + ERASE_BYTES).step_by(4);
        psram::store(ERASES, psram::load(ERASES) + 1);
        if let Some(how) = self.change() {
            for at in words() {
                let given = match how {
                    tear::NOTHING => 0,
                    tear::HALF if at >= from + ERASE_BYTES / 2 => 0,
                    // Few bits are still what they were, as late in an erase, where such a page nearly passes for a
                    // blank one.
                    tear::BITS => self.chance.next() | self.chance.next() | self.chance.next(),
                    _ => ERASED,
                };
                psram::store(at, psram::load(at) | given);
            }
            power::off(end::CUT);
        }
        for at in words() {
            psram::store(at, psram::load(at) | self.chance.next());
        }
        Timer::after_micros(ERASE_US).await;
        for at in words() {
            psram::store(at, ERASED);
        }
    }
}

impl ErrorType for Nor {
    type Error = Misplaced;
}

impl ReadNorFlash for Nor {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Misplaced> {
        let end =
            offset.checked_add(bytes.len() as u32).filter(|end| *end <= FLASH_BYTES).ok_or(Misplaced)?;
        for (at, byte) in (offset..end).zip(bytes) {
            *byte = psram::load(at & !3).to_le_bytes()[at as usize % 4];
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        FLASH_BYTES as usize
    }
}

impl NorFlash for Nor {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = ERASE_BYTES as usize;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), Misplaced> {
        if from > to || to > FLASH_BYTES || from % ERASE_BYTES != 0 || to % ERASE_BYTES != 0 {
            return Err(Misplaced);
        }
        for unit in (from..to).step_by(Self::ERASE_SIZE) {
            self.erase_unit(unit).await;
        }
        Ok(())
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Misplaced> {
        let end = offset.checked_add(bytes.len() as u32).ok_or(Misplaced)?;
        if end > FLASH_BYTES || offset % 4 != 0 || bytes.len() % 4 != 0 {
            return Err(Misplaced);
        }
        let words =
            bytes.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
        for (index, word) in words.enumerate() {
            self.program(offset + 4 * index as u32, word);
            if index % WORDS_AT_ONCE == WORDS_AT_ONCE - 1 {
                yield_now().await;
            }
        }
        Ok(())
    }
}
