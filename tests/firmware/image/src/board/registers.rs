//! Registers of the board's devices.

/// A register by its address.
#[derive(Clone, Copy)]
pub(super) struct Register(usize);

impl Register {
    /// The register at `address`, which must be one of this board: only its drivers, beside this file, make any.
    pub(super) const fn at(address: usize) -> Self {
        Self(address)
    }

    pub(super) fn read(self) -> u32 {
        // SAFETY: the address is that of a word-sized device register of this machine; no Rust object lives there.
        unsafe { (self.0 as *const u32).read_volatile() }
    }

    pub(super) fn write(self, value: u32) {
        // SAFETY: as for `read`; no device of this board is given memory of the program.
        unsafe { (self.0 as *mut u32).write_volatile(value) }
    }
}
