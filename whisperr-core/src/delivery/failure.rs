//! What follows an attempt that failed, and the success after it.

use super::{Delivery, LEVELS_PER_SUCCESS, State, Stop};
use crate::batch::Batch;
use crate::clock::{Instant, UtcMillis, millis};
use crate::notice::Notice;
#[cfg(whisperr_planted)]
use crate::planted::{self, Bug};
use crate::transport::{Reply, RetryAfter};

/// A `Retry-After` counts for at most this long (contract, section 5).
const RETRY_AFTER_MAX_MS: u64 = 60_000;

impl Delivery {
    pub(super) fn handle_failure(&mut self, now: Instant, utc: Option<UtcMillis>, reply: Option<Reply>) {
        let status = reply.map(|reply| reply.status);
        self.failures = self.failures.saturating_add(1);
        self.level = self.backoff.above(self.level);
        self.pace.slow_down();
        // A retry is one of the batches of the backlog, too.
        let pause = self.pace.draw_ms(&mut self.rng).min(millis(self.config.max_retry_delay));
        let asked = reply.and_then(|reply| asked_ms(&reply, utc));
        #[cfg(whisperr_planted)]
        let asked = asked.filter(|_| !planted::is(Bug::IgnoreRetryAfter));
        let delay = match asked {
            Some(asked) => self.beyond(asked.min(RETRY_AFTER_MAX_MS)),
            None => self.backoff.delay_ms(self.level, &mut self.rng).max(self.exhausted_ms()),
        };
        #[cfg(whisperr_planted)]
        let (delay, pause) = if planted::is(Bug::NoBackoff) { (0, 0) } else { (delay, pause) };
        self.state = State::BackingOff { until: now.after_ms(delay.max(pause)), firm: asked.is_some() };
        if self.flush {
            // Asked for during this attempt: a flush is answered by attempts that began after it.
            self.failures = 0;
        } else if self.failures > self.config.max_retries && !self.exhausted {
            self.exhausted = true;
            self.notices.add(Notice::RetryExhausted { attempts: self.failures, status });
            self.stop(Stop::RetryExhausted);
        }
    }

    /// What the server asked for, with jitter on top and never below: all the devices that were told
    /// the same moment would meet there. The jitter grows with the backoff, up to two minutes, so that
    /// a server that refuses most of a fleet sees it spread out.
    fn beyond(&mut self, asked: u64) -> u64 {
        let least = (asked / 4).max(millis(self.config.retry_base_delay) / 2);
        let spread = self.backoff.ceiling_ms(self.level).min(2 * RETRY_AFTER_MAX_MS).max(least);
        asked.saturating_add(self.rng.up_to(spread))
    }

    /// Once the retries are spent there are only flushes, and those no more than twice as often as
    /// in normal times: the fleet that waits for a server then never sends it more than twice its
    /// normal load, however short `max_retry_delay` is. Half of the interval less an eighth, and for
    /// once less up to all of it, since who failed together would go on together.
    fn exhausted_ms(&mut self) -> u64 {
        if self.failures <= self.config.max_retries {
            return 0;
        }
        let half = millis(self.config.flush_interval) / 2;
        let early = self.rng.up_to(if self.exhausted { half / 8 } else { half });
        half.saturating_sub(early)
    }

    /// A batch was acknowledged: what is left of the backlog goes out faster, or begins to be paced.
    /// A failure or two is no outage, and leaves no backlog.
    pub(super) fn adjust_pace(&mut self, batch: Batch) {
        if self.exhausted {
            self.pace.start(u64::MAX);
        } else if self.level > LEVELS_PER_SUCCESS {
            self.pace.start(self.backoff.ceiling_ms(self.level));
        }
        let left = self.due.saturating_sub(batch.count.into());
        self.pace.speed_up(left.checked_div(batch.count.into()).unwrap_or(0));
    }
}

/// How long the server asked to be left alone.
fn asked_ms(reply: &Reply, utc: Option<UtcMillis>) -> Option<u64> {
    if !matches!(reply.status, 429 | 503) {
        return None;
    }
    Some(match reply.retry_after? {
        RetryAfter::Delay(delay) => millis(delay),
        // The server's own clock if it sent one: the device's may be wrong by years.
        RetryAfter::Date(date) => {
            let wait = date.get().saturating_sub(reply.date.or(utc)?.get());
            u64::try_from(wait).unwrap_or(0)
        }
    })
}
