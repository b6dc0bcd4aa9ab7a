//! Numbers that nobody can guess, from the chip's generator.

use esp_hal::rng::{Trng, TrngError};
use whisperr_embassy::Entropy;

/// The generator of the ESP32-C3, for as long as its numbers are random: while the radio is on, or while the
/// analogue-digital converter feeds it with noise (`TrngSource`). At any other time the same registers hold numbers
/// that only look random, which is why this cannot be made then, and why the HAL panics when the last source of noise
/// is taken away while somebody still holds one.
#[derive(Clone)]
pub struct Chance(Trng);

impl Chance {
    pub fn new() -> Result<Self, TrngError> {
        Trng::try_new().map(Self)
    }
}

impl Entropy for Chance {
    fn fill(&mut self, buffer: &mut [u8]) {
        self.0.read(buffer);
    }
}
