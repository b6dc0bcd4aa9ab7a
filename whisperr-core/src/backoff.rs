//! How long to wait after failures.

use crate::rng::Rng;

/// Exponential backoff with jitter over the whole range, bounded on both sides.
///
/// Level 1 waits up to the base, each level up to twice as long, never above the cap. Full jitter: a
/// fleet that lost power together must not come back together (reliability study: synchronous boots
/// without jitter peak at 40 times the capacity). The draw is never below a sixteenth of the
/// ceiling or a millisecond, so that an unlucky one does not hammer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Backoff {
    base_ms: u64,
    cap_ms: u64,
}

impl Backoff {
    pub(crate) const fn new(base_ms: u64, cap_ms: u64) -> Self {
        Self { base_ms, cap_ms }
    }

    /// The longest delay at a level.
    pub(crate) fn ceiling_ms(self, level: u8) -> u64 {
        let Some(doublings) = level.checked_sub(1) else { return 0 };
        let scale = 1_u64.checked_shl(doublings.into()).unwrap_or(u64::MAX);
        self.base_ms.saturating_mul(scale).min(self.cap_ms)
    }

    /// A delay at a level; none at level 0.
    pub(crate) fn delay_ms(self, level: u8, rng: &mut Rng) -> u64 {
        let ceiling = self.ceiling_ms(level);
        rng.up_to(ceiling).max(ceiling / 16).max(ceiling.min(1))
    }

    /// The level above, as long as that makes a difference.
    pub(crate) fn above(self, level: u8) -> u8 {
        if level > 0 && self.ceiling_ms(level) >= self.cap_ms { level } else { level.saturating_add(1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff::new(1000, 300_000);

    #[test]
    fn ceilings_double_up_to_the_cap() {
        let ceilings = [0, 1, 2, 3, 8, 9, 10, 64, 65, 255].map(|level| BACKOFF.ceiling_ms(level));

        assert_eq!(ceilings, [0, 1000, 2000, 4000, 128_000, 256_000, 300_000, 300_000, 300_000, 300_000]);
    }

    #[test]
    fn delays_stay_between_a_sixteenth_and_the_ceiling_and_use_the_range() {
        let mut rng = Rng::new(5);
        for level in 1..20 {
            let ceiling = BACKOFF.ceiling_ms(level);
            let drawn: [u64; 64] = core::array::from_fn(|_| BACKOFF.delay_ms(level, &mut rng));
            assert!(drawn.iter().all(|ms| (ceiling / 16..=ceiling).contains(ms)), "{level}: {drawn:?}");
            assert!(drawn.iter().any(|ms| *ms < ceiling / 4), "{level}: {drawn:?}");
            assert!(drawn.iter().any(|ms| *ms > ceiling / 4 * 3), "{level}: {drawn:?}");
        }
    }

    #[test]
    fn the_level_stops_rising_at_the_cap() {
        let mut level = 0;
        for _ in 0..300 {
            level = BACKOFF.above(level);
        }

        assert_eq!(level, 10);
    }

    #[test]
    fn a_failure_counts_also_where_no_delay_is_longer_than_nothing() {
        let hasty = Backoff::new(1000, 0);

        assert_eq!([0, 1, 2].map(|level| hasty.above(level)), [1, 1, 2]);
        assert_eq!(hasty.delay_ms(1, &mut Rng::new(5)), 0);
    }
}
