//! Numbers that are as good as random and the same for the same seed.

use whisperr_embassy::Entropy;

/// SplitMix64.
pub(crate) struct Chance(u64);

impl Chance {
    /// A generator of its own for each purpose.
    pub(crate) const fn new(seed: u32, purpose: u32) -> Self {
        Self(((seed as u64) << 32) | purpose as u64)
    }

    pub(crate) const fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z >> 32) as u32
    }

    /// A number from `from` to below `to`.
    pub(crate) const fn between(&mut self, from: u32, to: u32) -> u32 {
        from + self.next() % (to - from)
    }
}

/// Good enough for ids in a test: the host draws another seed for every life.
impl Entropy for Chance {
    fn fill(&mut self, buffer: &mut [u8]) {
        for byte in buffer {
            *byte = self.next() as u8;
        }
    }
}
