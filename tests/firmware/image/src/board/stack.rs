//! How deep the stack ever was.

use core::arch::asm;

const PAINT: u32 = 0xDEAD_BEEF;
/// Of the stack that is in use while it is painted.
const MARGIN: usize = 256;

unsafe extern "C" {
    /// The first word behind the statics, and the one above the stack: symbols of the linker script.
    static mut __sheap: u32;
    static _stack_start: u32;
}

fn bottom() -> usize {
    (&raw mut __sheap) as usize
}

/// Paints what the stack has not reached. The first thing to do.
pub(crate) fn paint() {
    let top: usize;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, sp", out(reg) top, options(nomem, nostack, preserves_flags)) };
    for address in (bottom()..top - MARGIN).step_by(4) {
        // SAFETY: between the statics and the stack pointer, with a margin, nothing lives: there is no heap.
        unsafe { (address as *mut u32).write_volatile(PAINT) };
    }
}

/// Bytes of stack that were ever used.
pub(crate) fn used() -> u32 {
    let top = (&raw const _stack_start) as usize;
    // SAFETY: words of RAM between the statics and the top of the stack, read only.
    let is_paint = |address: &usize| unsafe { (*address as *const u32).read_volatile() } == PAINT;
    let unused = (bottom()..top).step_by(4).take_while(is_paint).count();
    (top - bottom() - unused * 4) as u32
}
