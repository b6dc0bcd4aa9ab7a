//! Numbers that nobody can guess, from the chip's generator.

use core::cell::RefCell;

use embassy_stm32::peripherals::RNG;
use embassy_stm32::rng::Rng;
use embassy_sync::blocking_mutex::CriticalSectionMutex;
use whisperr_embassy::Entropy;

/// The generator of the chip, for every task that asks.
pub type Generator = CriticalSectionMutex<RefCell<Rng<'static, RNG>>>;

/// True random numbers: the hardware tests itself all the time. When its test fails, `fill_bytes` starts it again until
/// it passes; a generator that is broken for good ends in the watchdog's reset, and never in numbers that are none.
#[derive(Clone, Copy)]
pub struct Chance(pub &'static Generator);

impl Entropy for Chance {
    fn fill(&mut self, buffer: &mut [u8]) {
        self.0.lock(|generator| generator.borrow_mut().fill_bytes(buffer));
    }
}
