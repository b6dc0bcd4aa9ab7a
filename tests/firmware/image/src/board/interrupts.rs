//! Which interrupt is whose.

use cortex_m::interrupt::InterruptNumber;
use cortex_m::peripheral::NVIC;
use cortex_m_rt::exception;

use super::{ethernet, time};

#[derive(Clone, Copy)]
enum Interrupt {
    Clock = 8,
    Alarm = 9,
    Ethernet = 13,
}

// SAFETY: the numbers are those of the machine, and each names another interrupt.
unsafe impl InterruptNumber for Interrupt {
    fn number(self) -> u16 {
        self as u16
    }
}

/// Lets the interrupts through.
pub(super) fn unmask() {
    for interrupt in [Interrupt::Clock, Interrupt::Alarm, Interrupt::Ethernet] {
        // SAFETY: nothing relies on these interrupts being masked; shared state is behind critical sections.
        unsafe { NVIC::unmask(interrupt) };
    }
}

/// Without a vector table for this part, every interrupt arrives here.
#[exception]
unsafe fn DefaultHandler(number: i16) {
    const CLOCK: i16 = Interrupt::Clock as i16;
    const ALARM: i16 = Interrupt::Alarm as i16;
    const ETHERNET: i16 = Interrupt::Ethernet as i16;
    match number {
        CLOCK => time::clock_wrapped(),
        ALARM => time::alarm_rang(),
        ETHERNET => ethernet::interrupted(),
        _ => panic!("interrupt {number}"),
    }
}
