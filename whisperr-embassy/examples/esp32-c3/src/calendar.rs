//! The clock and the watchdog of the part of the chip that stays awake.

use core::cell::RefCell;

use embassy_sync::blocking_mutex::CriticalSectionMutex;
use esp_hal::rtc_cntl::{Rtc, RwdtStage};
use esp_hal::time::Duration;
use whisperr_embassy::UtcMillis;

/// Before this the clock was never set: it begins at 1970 when the power comes. 2026-01-01.
const SET_SINCE: i64 = 1_767_225_600_000;

/// The watchdog's limit. A connection to a slow network takes half a minute, a handshake seconds.
const LIMIT: Duration = Duration::from_secs(60);

/// The RTC, which counts on through deep sleep. Its oscillator is off by up to some percent, so the date is asked for
/// again whenever the radio is on.
#[derive(Clone, Copy)]
pub struct Calendar(&'static CriticalSectionMutex<RefCell<Rtc<'static>>>);

impl Calendar {
    pub const fn new(rtc: &'static CriticalSectionMutex<RefCell<Rtc<'static>>>) -> Self {
        Self(rtc)
    }

    pub fn set(self, utc: UtcMillis) {
        let us = u64::try_from(utc.get()).unwrap_or(0).saturating_mul(1000);
        self.0.lock(|rtc| rtc.borrow().set_current_time_us(us));
    }

    pub fn start_watchdog(self) {
        self.0.lock(|rtc| {
            let watchdog = &mut rtc.borrow_mut().rwdt;
            watchdog.set_timeout(RwdtStage::Stage0, LIMIT);
            watchdog.enable();
        });
    }

    pub fn feed_watchdog(self) {
        self.0.lock(|rtc| rtc.borrow_mut().rwdt.feed());
    }

    /// Sleep is longer than its limit.
    pub fn stop_watchdog(self) {
        self.0.lock(|rtc| rtc.borrow_mut().rwdt.disable());
    }
}

impl whisperr_embassy::Rtc for Calendar {
    fn utc(&self) -> Option<UtcMillis> {
        let us = self.0.lock(|rtc| rtc.borrow().current_time_us());
        let ms = i64::try_from(us / 1000).unwrap_or(0);
        (ms >= SET_SINCE).then_some(UtcMillis::new(ms))
    }
}
