//! Chance from a seed.

/// A small deterministic generator (xoroshiro128++, Blackman and Vigna) for jitter and ids.
///
/// Not for secrets. The state is the seed's: equal seeds give equal sequences on every platform,
/// which is what makes a simulated run repeatable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rng {
    state: [u64; 2],
}

impl Rng {
    pub(crate) fn new(seed: u128) -> Self {
        // A mixer in front, since the generator is weak on seeds with few bits set and stands still on 0.
        let (low, high) = (seed as u64, (seed >> 64) as u64);
        let first = mix(low ^ mix(high));
        Self { state: [first, mix(first ^ high ^ 1) | 1] }
    }

    pub(crate) fn next_u64(&mut self) -> u64 {
        let [first, second] = self.state;
        let result = first.wrapping_add(second).rotate_left(17).wrapping_add(first);
        let second = second ^ first;
        self.state = [first.rotate_left(49) ^ second ^ (second << 21), second.rotate_left(28)];
        result
    }

    /// A number from 0 to `max`, both included.
    pub(crate) fn up_to(&mut self, max: u64) -> u64 {
        // The high half of the product: even enough for delays, without a division or a loop.
        let range = u128::from(max).wrapping_add(1);
        (u128::from(self.next_u64()).wrapping_mul(range) >> 64) as u64
    }

    pub(crate) fn next_u128(&mut self) -> u128 {
        (u128::from(self.next_u64()) << 64) | u128::from(self.next_u64())
    }
}

/// The finaliser of SplitMix64: every bit of the input moves half of the output.
pub(crate) const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_agree_and_others_do_not() {
        let draw = |seed| {
            let mut rng = Rng::new(seed);
            [rng.next_u64(), rng.next_u64(), rng.next_u64()]
        };

        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(0), draw(1));
        assert_ne!(draw(1), draw(1 << 64));
    }

    #[test]
    fn a_bounded_draw_reaches_both_ends_and_nothing_beyond() {
        let mut rng = Rng::new(3);
        let mut seen = [false; 4];

        for _ in 0..200 {
            seen[usize::try_from(rng.up_to(3)).unwrap()] = true;
        }

        assert_eq!(seen, [true; 4]);
        assert_eq!(rng.up_to(0), 0);
        let _any = rng.up_to(u64::MAX);
    }
}
