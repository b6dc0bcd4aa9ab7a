//! The watchdog, fed for as long as delivery and the tasks go on.

use core::sync::atomic::{AtomicU32, Ordering};

use embassy_rp::watchdog::Watchdog;
use embassy_time::{Duration, Instant, Timer};

use crate::Kiosk;

/// The longest that the RP2040's watchdog can be told to wait is 8.3 s.
pub const LIMIT: Duration = Duration::from_secs(8);
/// How late the runner may be. A handshake computes for seconds without a pause.
const SLACK: Duration = Duration::from_secs(30);

/// When the thread-mode executor last ran a task, in seconds.
static LAST_BEAT: AtomicU32 = AtomicU32::new(0);

/// Shows that the executor of all other tasks goes round.
#[embassy_executor::task]
pub async fn beat() {
    loop {
        LAST_BEAT.store(seconds(), Ordering::Relaxed);
        Timer::after_secs(1).await;
    }
}

/// In an executor of its own, which interrupts the other: computing for longer than the watchdog's limit is legal,
/// standing still for longer than [`SLACK`] is not.
#[embassy_executor::task]
pub async fn watch(whisperr: Kiosk, mut watchdog: Watchdog) {
    loop {
        let is_overdue = whisperr.next_run().is_overdue(Instant::now().saturating_sub(SLACK));
        let silence = seconds().saturating_sub(LAST_BEAT.load(Ordering::Relaxed));
        if !is_overdue && u64::from(silence) < SLACK.as_secs() {
            watchdog.feed(LIMIT);
        }
        Timer::after_secs(2).await;
    }
}

fn seconds() -> u32 {
    u32::try_from(Instant::now().as_secs()).unwrap_or(u32::MAX)
}
