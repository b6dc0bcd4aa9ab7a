use core::cell::{Cell, RefCell};
use core::task::Waker;

// Linked for its implementation.
use critical_section as _;
use embassy_time_driver::Driver;
use embassy_time_queue_utils::queue_generic::ConstGenericQueue;

std::thread_local! {
    static NOW: Cell<u64> = const { Cell::new(0) };
    static TIMERS: RefCell<ConstGenericQueue<64>> = const { RefCell::new(ConstGenericQueue::new()) };
}

struct VirtualTime;

impl Driver for VirtualTime {
    fn now(&self) -> u64 {
        NOW.get()
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        // A timer that is due already is woken by the next look at the queue.
        TIMERS.with_borrow_mut(|timers| timers.schedule_wake(at, waker));
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
    let next = TIMERS.with_borrow_mut(|timers| timers.next_expiration(NOW.get()));
    (next != u64::MAX).then_some(next)
}

/// Jumps.
pub(crate) fn jump_to(at: u64) {
    NOW.set(NOW.get().max(at));
}
