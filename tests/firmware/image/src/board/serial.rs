//! The serial line, for last words.

use core::fmt::{self, Write};

use super::registers::Register;

const DATA: Register = Register::at(0x4000_4000);
const STATE: Register = Register::at(0x4000_4004);
const CONTROL: Register = Register::at(0x4000_4008);
const DIVIDER: Register = Register::at(0x4000_4010);
const IS_FULL: u32 = 1;
const TRANSMIT: u32 = 1;

pub(super) fn start() {
    DIVIDER.write(16);
    CONTROL.write(TRANSMIT);
}

struct Line;

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            while STATE.read() & IS_FULL != 0 {}
            DATA.write(u32::from(byte));
        }
        Ok(())
    }
}

/// Says a line.
pub(crate) fn say(words: fmt::Arguments<'_>) {
    // The line itself never fails.
    let _ = Line.write_fmt(words);
    let _ = Line.write_str("\n");
}
