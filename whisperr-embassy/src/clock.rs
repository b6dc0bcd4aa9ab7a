//! The clock over embassy-time.

use core::cell::Cell;

use embassy_sync::blocking_mutex::Mutex;
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_time::Instant as EmbassyInstant;
use whisperr_core::{Clock, Instant, UtcMillis};

/// The monotonic clock of embassy-time, and a wall clock that the application sets when it learns
/// the time: from SNTP, an RTC, GNSS, a phone.
///
/// For a static, shared by every task. The monotonic face is that of the time driver: where that one stands still
/// in deep sleep, a flush interval lasts that much longer and the date falls behind until it is set again.
#[derive(Debug)]
pub struct EmbassyClock {
    /// What the wall clock read at the start of the monotonic one.
    started: Mutex<CriticalSectionRawMutex, Cell<Option<i64>>>,
}

impl EmbassyClock {
    /// A clock that does not know the date.
    #[must_use]
    pub const fn new() -> Self {
        Self { started: Mutex::new(Cell::new(None)) }
    }

    /// Sets the wall clock. It may be set again at any time and in either direction: only the date
    /// of later events follows it.
    pub fn set_utc(&self, utc: UtcMillis) {
        let since_start = EmbassyInstant::now().as_millis();
        self.started.lock(|started| started.set(Some(utc.get().saturating_sub_unsigned(since_start))));
    }
}

impl Default for EmbassyClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for EmbassyClock {
    fn now(&self) -> Instant {
        now()
    }

    fn utc(&self) -> Option<UtcMillis> {
        let since_start = EmbassyInstant::now().as_millis();
        let started = self.started.lock(Cell::get);
        started.map(|started| UtcMillis::new(started.saturating_add_unsigned(since_start)))
    }
}

/// A clock that knows the date by itself, also after a reset: a real-time clock with a battery, or the
/// microcontroller's own that runs through sleep.
pub trait Rtc {
    /// The date, or `None` while the clock was never set or lost its power. Read at every call of the handle: it
    /// must not wait. A chip behind a slow bus is read once at start instead, and told to an [`EmbassyClock`].
    fn utc(&self) -> Option<UtcMillis>;
}

impl<T: Rtc + ?Sized> Rtc for &T {
    fn utc(&self) -> Option<UtcMillis> {
        (**self).utc()
    }
}

/// The monotonic clock of embassy-time beside a real-time clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct RtcClock<R> {
    rtc: R,
}

impl<R: Rtc> RtcClock<R> {
    /// A clock that reads its date from `rtc`.
    #[must_use]
    pub const fn new(rtc: R) -> Self {
        Self { rtc }
    }
}

impl<R: Rtc> Clock for RtcClock<R> {
    fn now(&self) -> Instant {
        now()
    }

    fn utc(&self) -> Option<UtcMillis> {
        self.rtc.utc()
    }
}

fn now() -> Instant {
    Instant::from_millis(EmbassyInstant::now().as_millis())
}

/// The first moment of embassy-time at which the clocks here read at least `at`, and never one before it: who woke up
/// early would only go to sleep again.
pub(crate) fn to_embassy(at: Instant) -> EmbassyInstant {
    let (seconds, ms) = (at.as_millis() / 1000, at.as_millis() % 1000);
    let ticks = seconds.saturating_mul(embassy_time::TICK_HZ);
    let rest = ms.saturating_mul(embassy_time::TICK_HZ).div_ceil(1000);
    EmbassyInstant::from_ticks(ticks.saturating_add(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_is_unknown_until_it_is_set_and_then_runs() {
        let clock = EmbassyClock::new();
        let before = clock.now();
        assert_eq!(clock.utc(), None);

        clock.set_utc(UtcMillis::new(1_780_228_800_000));

        let ran = clock.utc().unwrap().get() - 1_780_228_800_000;
        assert!((0..60_000).contains(&ran), "{ran}");
        assert!(clock.now() >= before);
    }

    #[test]
    fn any_date_can_be_set() {
        let clock = EmbassyClock::new();
        for ms in [i64::MIN, -1, 0, i64::MAX] {
            clock.set_utc(UtcMillis::new(ms));
            assert!(clock.utc().is_some());
        }
    }

    #[test]
    fn a_real_time_clock_is_asked_every_time() {
        struct Chip(Cell<Option<i64>>);
        impl Rtc for Chip {
            fn utc(&self) -> Option<UtcMillis> {
                self.0.get().map(UtcMillis::new)
            }
        }
        let chip = Chip(Cell::new(None));
        let clock = RtcClock::new(&chip);
        assert_eq!(clock.utc(), None);

        for ms in [1_780_228_800_000, 1_780_228_700_000] {
            chip.0.set(Some(ms));
            assert_eq!(clock.utc(), Some(UtcMillis::new(ms)));
        }
    }

    #[test]
    fn a_moment_is_not_slept_past_nor_woken_before() {
        for ms in [0, 1, 999, 1000, 1001, 1_780_228_800_123] {
            let at = to_embassy(Instant::from_millis(ms));

            assert_eq!(at.as_millis(), ms);
            assert!(ms == 0 || EmbassyInstant::from_ticks(at.as_ticks() - 1).as_millis() < ms);
        }
        assert_eq!(to_embassy(Instant::from_millis(u64::MAX)), EmbassyInstant::MAX);
    }
}
