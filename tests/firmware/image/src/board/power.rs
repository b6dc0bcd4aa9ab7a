//! The end of the machine.

use core::arch::asm;

use super::{psram, stack};
use crate::layout::STACK;

/// Ends QEMU with this exit status: nothing runs after it, as when the power fails.
pub(crate) fn off(status: u32) -> ! {
    /// The application ended, with a status.
    const STOPPED: u32 = 0x2_0026;
    const EXIT_EXTENDED: u32 = 0x20;
    psram::store(STACK, stack::used());
    let block = [STOPPED, status];
    loop {
        // SAFETY: semihosting's SYS_EXIT_EXTENDED reads two words at r1, which live until then.
        unsafe {
            asm!("bkpt 0xAB", inlateout("r0") EXIT_EXTENDED => _, in("r1") block.as_ptr(), options(nostack));
        }
    }
}
