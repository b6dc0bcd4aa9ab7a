//! How fast a backlog goes out after an outage.

use core::time::Duration;

use crate::clock::millis;
use crate::rng::Rng;

/// With a backlog of this many batches, a success adds the normal rate of one device to its rate.
const BATCHES_TO_DOUBLE: u64 = 512;

/// The pause between the batches of a backlog.
///
/// A fleet that lost its server owes many batches per device, and a server has room for little more
/// than what the fleet sends in normal times. So a device starts at that: one request per flush
/// interval. From there the rate rises by addition with every success, the more the longer the
/// backlog is, and falls by half with every refusal: as in TCP that is what makes many senders who know
/// nothing of each other share what there is. Letting the pause fall by itself made 100,000 devices
/// send six times what their server could take, and a refusal for every served request
/// (`tests/fleet`, reliability study 3.6).
///
/// A pause is never longer than the flush interval: a backlog is not sent more slowly than what is
/// new, so without a refusal it delays nothing by more than that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pace {
    /// 0 when nothing is paced.
    pause_ms: u64,
    max_ms: u64,
    /// A batch was acknowledged since `owed` was taken.
    acknowledged: bool,
    /// What was owed when a batch last went out; more than any queue holds before the first.
    owed: u32,
}

impl Pace {
    pub(crate) const fn new(flush_interval: Duration) -> Self {
        Self { pause_ms: 0, max_ms: millis(flush_interval), acknowledged: false, owed: u32::MAX }
    }

    /// The server is back after an outage in which the backoff grew to `backoff_ms`.
    pub(crate) fn start(&mut self, backoff_ms: u64) {
        self.pause_ms = self.pause_ms.max(backoff_ms.min(self.max_ms));
        self.acknowledged = true;
        self.owed = u32::MAX;
    }

    /// A batch was acknowledged, and so many more are due.
    pub(crate) fn speed_up(&mut self, batches: u32) {
        self.acknowledged = true;
        // 1 / pause rises by batches / (BATCHES_TO_DOUBLE * max). A product that saturates is, with pauses of a
        // day at most, far more than the quarter that counts.
        let less = self.pause_ms.saturating_mul(self.pause_ms).saturating_mul(batches.into());
        let less = less.checked_div(self.max_ms.saturating_mul(BATCHES_TO_DOUBLE)).unwrap_or(0);
        self.pause_ms = self.pause_ms.saturating_sub(less.min(self.pause_ms / 4));
    }

    /// The server refused, or did not answer.
    pub(crate) fn slow_down(&mut self) {
        self.pause_ms = self.pause_ms.saturating_mul(2).min(self.max_ms);
    }

    /// The next batch goes out, of `owed` operations. A device that records faster than it sends
    /// speeds up at once: the bound of its queue must not evict what the server would take.
    pub(crate) const fn note_sending(&mut self, owed: u32) {
        if self.acknowledged {
            if owed >= self.owed {
                self.pause_ms /= 2;
            }
            self.owed = owed;
            self.acknowledged = false;
        }
    }

    /// Nothing is owed any more.
    pub(crate) const fn end(&mut self) {
        self.pause_ms = 0;
    }

    /// The next pause, with jitter over its second half.
    pub(crate) fn draw_ms(&self, rng: &mut Rng) -> u64 {
        self.pause_ms.saturating_sub(rng.up_to(self.pause_ms / 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(600);

    fn started() -> Pace {
        let mut pace = Pace::new(INTERVAL);
        pace.start(u64::MAX);
        pace
    }

    #[test]
    fn a_backlog_starts_at_the_flush_interval_or_the_backoff() {
        for (backoff_ms, expected) in [(u64::MAX, 600_000), (16_000, 16_000), (0, 0)] {
            let mut pace = Pace::new(INTERVAL);
            pace.start(backoff_ms);
            assert_eq!(pace.pause_ms, expected);
        }
    }

    #[test]
    fn a_long_backlog_hurries_and_a_short_one_hardly() {
        let after = |batches: u32| {
            let mut pace = started();
            for left in (0..batches).rev() {
                pace.speed_up(left);
            }
            pace.pause_ms
        };

        assert!((500_000..600_000).contains(&after(11)), "{}", after(11));
        assert!((150_000..220_000).contains(&after(48)), "{}", after(48));
        assert!(after(1000) < 5_000, "{}", after(1000));
    }

    #[test]
    fn a_refusal_halves_the_rate_down_to_that_of_normal_times() {
        let mut pace = started();
        for _ in 0..20 {
            pace.speed_up(48);
        }
        let before = pace.pause_ms;
        assert!(before < 300_000, "{before}");
        pace.slow_down();
        assert_eq!(pace.pause_ms, 2 * before);
        for _ in 0..9 {
            pace.slow_down();
        }

        assert_eq!(pace.pause_ms, 600_000);
    }

    #[test]
    fn a_queue_that_grows_all_the_same_halves_the_pause() {
        let mut pace = started();
        pace.note_sending(1000);
        // A retry of the same batch finds more, and says nothing.
        pace.note_sending(1100);
        assert_eq!(pace.pause_ms, 600_000);
        pace.speed_up(0);
        pace.note_sending(1000);

        assert_eq!(pace.pause_ms, 300_000);
        pace.speed_up(0);
        pace.note_sending(999);
        assert_eq!(pace.pause_ms, 300_000);
    }

    #[test]
    fn pauses_keep_to_the_second_half_and_use_it() {
        let mut rng = Rng::new(5);
        let pace = started();
        let drawn: [u64; 64] = core::array::from_fn(|_| pace.draw_ms(&mut rng));

        assert!(drawn.iter().all(|ms| (300_000..=600_000).contains(ms)), "{drawn:?}");
        assert!(drawn.iter().any(|ms| *ms < 350_000), "{drawn:?}");
        assert!(drawn.iter().any(|ms| *ms > 550_000), "{drawn:?}");
        assert_eq!(Pace::new(INTERVAL).draw_ms(&mut rng), 0);
    }

    #[test]
    fn the_longest_pause_does_not_overflow() {
        let mut pace = Pace::new(Duration::MAX);
        pace.start(u64::MAX);
        pace.speed_up(u32::MAX);
        pace.slow_down();

        assert_eq!(pace.pause_ms, u64::MAX);
    }
}
