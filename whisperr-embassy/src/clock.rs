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
