//! Chance from a seed: the same seed, the same run.

use core::cell::Cell;
use std::rc::Rc;

use whisperr_embassy::Entropy;

/// A generator (SplitMix64). Clones draw from the same sequence.
#[derive(Debug, Clone)]
pub struct Chance(Rc<Cell<u64>>);

impl Chance {
    /// A sequence of its own for every seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Rc::new(Cell::new(seed)))
    }

    /// The next number.
    #[must_use]
    pub fn draw(&self) -> u64 {
        self.0.set(self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
        let mixed = self.0.get();
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is at least 1.
    #[must_use]
    pub fn below(&self, end: u64) -> u64 {
        self.draw().checked_rem(end).unwrap_or(0)
    }

    /// Whether something of this likelihood happens.
    #[must_use]
    pub fn percent(&self, percent: u64) -> bool {
        percent > 0 && self.below(100) < percent
    }
}

impl Entropy for Chance {
    fn fill(&mut self, buffer: &mut [u8]) {
        for byte in buffer {
            *byte = self.draw() as u8;
        }
    }
}
