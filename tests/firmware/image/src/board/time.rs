//! The time driver of embassy: one timer counts, the other rings.

use core::cell::{Cell, RefCell};
use core::task::Waker;

use critical_section::{CriticalSection, Mutex};
use embassy_time_driver::Driver;
use embassy_time_queue_utils::Queue;

use super::registers::Register;

/// Both timers count at 25 MHz; a tick of embassy is a microsecond.
const COUNTS_PER_TICK: u64 = 25;
const RUN: u32 = 1 << 0;
const INTERRUPT: u32 = 1 << 3;

struct Timer {
    control: Register,
    value: Register,
    reload: Register,
    status: Register,
}

impl Timer {
    const fn at(base: usize) -> Self {
        Self {
            control: Register::at(base),
            value: Register::at(base + 4),
            reload: Register::at(base + 8),
            status: Register::at(base + 0xC),
        }
    }
}

const CLOCK: Timer = Timer::at(0x4000_0000);
const ALARM: Timer = Timer::at(0x4000_1000);

struct BoardTime {
    /// How often the clock came down to 0: once in 171 seconds.
    wraps: Mutex<Cell<u32>>,
    queue: Mutex<RefCell<Queue>>,
}

embassy_time_driver::time_driver_impl!(static TIME: BoardTime = BoardTime {
    wraps: Mutex::new(Cell::new(0)),
    queue: Mutex::new(RefCell::new(Queue::new())),
});

impl BoardTime {
    fn ticks(&self, cs: CriticalSection<'_>) -> u64 {
        let mut wraps = self.wraps.borrow(cs).get();
        let mut value = CLOCK.value.read();
        if CLOCK.status.read() != 0 {
            // It came down to 0 and nobody has counted that yet; the value may be from before it.
            value = CLOCK.value.read();
            wraps = wraps.wrapping_add(1);
        }
        ((u64::from(wraps) << 32) | u64::from(!value)) / COUNTS_PER_TICK
    }

    /// Wakes who is due, and sets the alarm for the next.
    fn arm(&self, cs: CriticalSection<'_>) {
        let mut queue = self.queue.borrow(cs).borrow_mut();
        loop {
            let now = self.ticks(cs);
            let next = queue.next_expiration(now);
            ALARM.control.write(0);
            ALARM.status.write(1);
            if next == u64::MAX {
                return;
            }
            let now = self.ticks(cs);
            if next > now {
                let counts = (next - now).saturating_mul(COUNTS_PER_TICK).min(u64::from(u32::MAX));
                ALARM.reload.write(counts as u32);
                ALARM.value.write(counts as u32);
                ALARM.control.write(RUN | INTERRUPT);
                return;
            }
        }
    }
}

impl Driver for BoardTime {
    fn now(&self) -> u64 {
        critical_section::with(|cs| self.ticks(cs))
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        critical_section::with(|cs| {
            let is_new = self.queue.borrow(cs).borrow_mut().schedule_wake(at, waker);
            if is_new {
                self.arm(cs);
            }
        });
    }
}

pub(super) fn start() {
    CLOCK.reload.write(u32::MAX);
    CLOCK.value.write(u32::MAX);
    CLOCK.control.write(RUN | INTERRUPT);
}

pub(super) fn clock_wrapped() {
    critical_section::with(|cs| {
        CLOCK.status.write(1);
        let wraps = TIME.wraps.borrow(cs);
        wraps.set(wraps.get().wrapping_add(1));
    });
}

pub(super) fn alarm_rang() {
    critical_section::with(|cs| TIME.arm(cs));
}
