//! The two faces of time: a monotonic one that drives decisions, a wall clock that only dates.

use core::time::Duration;

/// A moment on the monotonic clock: milliseconds since an arbitrary start, such as boot.
///
/// Never compared with a date. Arithmetic saturates at both ends, so no input can overflow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(u64);

impl Instant {
    /// The start of the clock.
    pub const START: Self = Self(0);

    /// The moment `ms` milliseconds after the start of the clock.
    #[must_use]
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms)
    }

    /// Milliseconds since the start of the clock.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The moment `delay` later, in whole milliseconds, at most the largest moment there is.
    #[must_use]
    pub const fn after(self, delay: Duration) -> Self {
        self.after_ms(millis(delay))
    }

    /// The same, for delays that were computed: a [`Duration`] of them costs a division on the way in.
    pub(crate) const fn after_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Time from `earlier` to this moment; zero when `earlier` is not earlier.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// A moment of the calendar: milliseconds since 1970-01-01T00:00:00Z, negative before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UtcMillis(i64);

impl UtcMillis {
    /// The moment `ms` milliseconds after 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn new(ms: i64) -> Self {
        Self(ms)
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The moment `delay` earlier, saturating.
    #[must_use]
    pub const fn before(self, delay: Duration) -> Self {
        self.before_ms(millis(delay))
    }

    /// The moment `delay` later, saturating.
    #[must_use]
    pub const fn after(self, delay: Duration) -> Self {
        self.after_ms(millis(delay))
    }

    pub(crate) const fn before_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_sub_unsigned(ms))
    }

    pub(crate) const fn after_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add_unsigned(ms))
    }
}

/// Tells the time. It never waits: waiting is the driver's work.
pub trait Clock {
    /// Time since an arbitrary start, such as boot. Never goes back while the device runs.
    fn now(&self) -> Instant;

    /// The wall clock, or `None` while the device does not know the date. It may jump in either
    /// direction at any moment: only the date of later events follows it, no decision does.
    ///
    /// Events recorded without a date wait for one, and what is behind them waits too. A device that never learns the
    /// time should identify its user first at each start: the `Date` of the reply then dates its events, as
    /// estimates.
    fn utc(&self) -> Option<UtcMillis>;
}

impl<T: Clock + ?Sized> Clock for &T {
    fn now(&self) -> Instant {
        (**self).now()
    }

    fn utc(&self) -> Option<UtcMillis> {
        (**self).utc()
    }
}

/// Whole milliseconds of a duration, saturating: the core's only unit of time.
#[inline(never)] // Some twenty callers, and 64-bit arithmetic is long on a 32-bit processor.
pub(crate) const fn millis(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1000).saturating_add(duration.subsec_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_saturate_at_both_ends() {
        let late = Instant::from_millis(u64::MAX);

        assert_eq!(late.after(Duration::MAX), late);
        assert_eq!(Instant::START.since(late), Duration::ZERO);
    }

    #[test]
    fn dates_saturate_at_both_ends() {
        assert_eq!(UtcMillis::new(i64::MIN).before(Duration::MAX).get(), i64::MIN);
        assert_eq!(UtcMillis::new(i64::MAX).after(Duration::MAX).get(), i64::MAX);
    }

    #[test]
    fn a_duration_longer_than_the_clock_is_as_long_as_the_clock() {
        let milliseconds = Duration::from_millis(u64::MAX);

        for (duration, expected) in [
            (Duration::from_nanos(999_999), 0),
            (milliseconds - Duration::from_millis(1), u64::MAX - 1),
            (milliseconds, u64::MAX),
            (milliseconds + Duration::from_millis(1), u64::MAX),
            (Duration::MAX, u64::MAX),
        ] {
            assert_eq!(millis(duration), expected, "{duration:?}");
        }
    }
}
