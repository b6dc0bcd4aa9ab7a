//! The flash of the STM32H5, and what a power cut leaves in it.

use cortex_m::peripheral::SCB;
use cortex_m_rt::exception;
use embassy_embedded_hal::adapter::BlockingAsync;
use embassy_stm32::flash::{Blocking, Flash as ChipFlash};
use embassy_stm32::pac::FLASH;

/// What the queue is kept in. Its writes take 16 bytes at once, its erase units are 8 KiB.
pub type Flash = BlockingAsync<ChipFlash<'static, Blocking>>;

/// A word that was being written when the power went may fail its error correction, and the chip then raises this
/// interrupt whenever that word is read: at every start, when the queue is opened. Without a handler the device would
/// never start again. The queue knows by its own checksums that the word is not to be trusted; here only the flag is
/// cleared. The queue lies in the second bank; anywhere else it is the program that is damaged.
///
/// Other series say the same in other ways, such as a bus fault on the H7, and some have no error correction at all:
/// read the chapter on the flash in your chip's reference manual before you change the board.
#[exception]
unsafe fn NonMaskableInt() {
    let failed = FLASH.eccdetr().read();
    if !(failed.eccd() && failed.bk_ecc()) {
        SCB::sys_reset();
    }
    // Cleared by writing a one.
    FLASH.eccdetr().modify(|register| register.set_eccd(true));
}
