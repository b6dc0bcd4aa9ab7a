//! Time that moves when the world says so.

use core::cell::Cell;
use std::rc::Rc;

use whisperr_core::{Clock, Instant, UtcMillis};

/// A clock shared by everything in a world.
#[derive(Debug, Clone)]
pub struct SimClock {
    now: Rc<Cell<u64>>,
    utc: Rc<Cell<Option<i64>>>,
    /// What passed since the world began, whatever the device's clocks say.
    elapsed: Rc<Cell<u64>>,
}

impl SimClock {
    /// A clock at its start, with this wall clock.
    #[must_use]
    pub fn new(utc: Option<i64>) -> Self {
        Self { now: Rc::default(), utc: Rc::new(Cell::new(utc)), elapsed: Rc::default() }
    }

    /// Moves both faces forward.
    pub fn advance(&self, ms: u64) {
        self.now.set(self.now.get().saturating_add(ms));
        self.utc.set(self.utc.get().map(|utc| utc.saturating_add_unsigned(ms)));
        self.elapsed.set(self.elapsed.get().saturating_add(ms));
    }

    /// Milliseconds since the world began.
    #[must_use]
    pub fn elapsed(&self) -> u64 {
        self.elapsed.get()
    }

    /// Starts the monotonic face anew, as a reboot does.
    pub fn reboot(&self) {
        self.now.set(0);
    }

    /// Sets the wall clock, or takes it away.
    pub fn set_utc(&self, utc: Option<i64>) {
        self.utc.set(utc);
    }
}

impl Clock for SimClock {
    fn now(&self) -> Instant {
        Instant::from_millis(self.now.get())
    }

    fn utc(&self) -> Option<UtcMillis> {
        self.utc.get().map(UtcMillis::new)
    }
}
