use core::cell::{Cell, RefCell};
use core::task::Waker;

// Linked for its implementation.
use critical_section as _;
use embassy_time_driver::Driver;

std::thread_local! {
    static NOW: Cell<u64> = const { Cell::new(0) };
    static TIMERS: RefCell<Vec<(u64, Waker)>> = const { RefCell::new(Vec::new()) };
}

struct VirtualTime;

impl Driver for VirtualTime {
    fn now(&self) -> u64 {
        NOW.get()
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        // A timer that is due already is woken by the next look. A task has one, the first: it looks for itself when
        // it is awake. There is no bound: a queue that is full would wake tasks to make room, for ever.
        TIMERS.with_borrow_mut(|timers| match timers.iter_mut().find(|(_, of)| of.will_wake(waker)) {
            Some((due, _)) => *due = at.min(*due),
            None => timers.push((at, waker.clone())),
        });
    }
}

embassy_time_driver::time_driver_impl!(static DRIVER: VirtualTime = VirtualTime);

/// Microseconds since the first look at this thread's clock.
#[must_use]
pub fn now_us() -> u64 {
    NOW.get()
}

/// Lets a microsecond pass.
pub(crate) fn tick() {
    NOW.set(NOW.get().saturating_add(1));
}

/// Wakes the timers that are due and returns when the next one is.
pub(crate) fn wake_due() -> Option<u64> {
    TIMERS.with_borrow_mut(|timers| {
        timers.retain(|(at, waker)| {
            let is_due = *at <= NOW.get();
            if is_due {
                waker.wake_by_ref();
            }
            !is_due
        });
        timers.iter().map(|(at, _)| *at).min()
    })
}

/// Jumps.
pub(crate) fn jump_to(at: u64) {
    NOW.set(NOW.get().max(at));
}
