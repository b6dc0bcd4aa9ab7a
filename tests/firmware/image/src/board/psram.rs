//! The 16 MiB that are a file of the host: what is stored here outlives the machine.

use crate::layout::IMAGE_BYTES;

const BASE: usize = 0x2100_0000;

fn address(offset: u32) -> usize {
    assert!(offset < IMAGE_BYTES && offset.is_multiple_of(4), "no word of the image at {offset}");
    BASE + offset as usize
}

/// The word at `offset`.
pub(crate) fn load(offset: u32) -> u32 {
    // SAFETY: the address was checked to be a word of the PSRAM, where no Rust object lives.
    unsafe { (address(offset) as *const u32).read_volatile() }
}

/// Changes the word at `offset`, at once and whole.
pub(crate) fn store(offset: u32, word: u32) {
    // SAFETY: as for `load`.
    unsafe { (address(offset) as *mut u32).write_volatile(word) }
}
