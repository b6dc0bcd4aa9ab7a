//! The clock over embassy-time.

use core::cell::Cell;

use embassy_time::Instant as EmbassyInstant;
use whisperr_core::{Clock, Instant, UtcMillis};

/// The monotonic clock of embassy-time, and a wall clock that the application sets when it learns
/// the time: from SNTP, an RTC, GNSS, a phone.
///
/// For one executor: it is not `Sync`.
#[derive(Debug, Default)]
pub struct EmbassyClock {
    /// What the wall clock read at the start of the monotonic one.
    started: Cell<Option<i64>>,
}

impl EmbassyClock {
    /// A clock that does not know the date.
    #[must_use]
    pub const fn new() -> Self {
        Self { started: Cell::new(None) }
    }

    /// Sets the wall clock. It may be set again at any time and in either direction: only the date
    /// of later events follows it.
    pub fn set_utc(&self, utc: UtcMillis) {
        let since_start = EmbassyInstant::now().as_millis();
        self.started.set(Some(utc.get().saturating_sub_unsigned(since_start)));
    }
}

impl Clock for EmbassyClock {
    fn now(&self) -> Instant {
        Instant::from_millis(EmbassyInstant::now().as_millis())
    }

    fn utc(&self) -> Option<UtcMillis> {
        let since_start = EmbassyInstant::now().as_millis();
        self.started.get().map(|started| UtcMillis::new(started.saturating_add_unsigned(since_start)))
    }
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
}
