//! The system's clocks.

use std::time::{Instant as SystemInstant, SystemTime, UNIX_EPOCH};

use whisperr_core::{Clock, Instant, UtcMillis};

/// The monotonic clock of the process and the wall clock of the machine.
///
/// The monotonic one does not run while the machine sleeps on some systems: a flush interval then
/// lasts that much longer.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    start: SystemInstant,
}

impl SystemClock {
    /// A clock that starts here.
    #[must_use]
    pub fn new() -> Self {
        Self { start: SystemInstant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::START.after(self.start.elapsed())
    }

    fn utc(&self) -> Option<UtcMillis> {
        // A clock before 1970 is not set.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
        i64::try_from(since.as_millis()).ok().map(UtcMillis::new)
    }
}
