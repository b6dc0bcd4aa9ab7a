//! The board, mps2-an386: all that touches the machine, and all that is unsafe.

pub(crate) mod ethernet;
pub(crate) mod executor;
mod interrupts;
pub(crate) mod power;
pub(crate) mod psram;
mod registers;
pub(crate) mod serial;
pub(crate) mod stack;
mod time;

/// Starts the clock, the serial line and the interrupts.
pub(crate) fn start() {
    serial::start();
    time::start();
    interrupts::unmask();
}
