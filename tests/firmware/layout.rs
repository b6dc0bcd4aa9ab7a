//! What the host and the firmware say to each other through the flash image: the one file that both are built from.
//!
//! The image is the machine's PSRAM, mapped from a file. The flash is at its start; behind it lies what a device does
//! not have: the parameters of a life, written by the host before it starts the machine, and the oracle, which the
//! firmware writes word by word and which survives every kill.

/// Bytes of the image, exactly.
pub(crate) const IMAGE_BYTES: u32 = 16 << 20;
/// Bytes of an erase unit of the flash.
pub(crate) const ERASE_BYTES: u32 = 4096;
/// Pages of the queue, one unit each.
pub(crate) const PAGES: u32 = 6;
/// Bytes of the flash.
pub(crate) const FLASH_BYTES: u32 = ERASE_BYTES * PAGES;

/// Where the parameters are: words, in this order.
pub(crate) const PARAMETERS: u32 = 15 << 20;
/// What the firmware is to do, one of [`mode`].
pub(crate) const MODE: u32 = PARAMETERS;
/// Where chance begins.
pub(crate) const SEED: u32 = PARAMETERS + 4;
/// The collector's port on the host.
pub(crate) const PORT: u32 = PARAMETERS + 8;
/// The power fails in this change of the flash, counted from 1; never when 0.
pub(crate) const CUT_AT: u32 = PARAMETERS + 12;
/// What becomes of the word or the page that is being changed then, one of [`tear`].
pub(crate) const TEAR: u32 = PARAMETERS + 16;
/// The version of the firmware.
pub(crate) const VERSION: u32 = PARAMETERS + 20;
/// The date in milliseconds, low word first: what a time server would say.
pub(crate) const UTC: u32 = PARAMETERS + 24;
/// The certificate authority that a device with TLS trusts: bytes of the DER, and the DER.
pub(crate) const CA_LENGTH: u32 = PARAMETERS + 64;
pub(crate) const CA: u32 = PARAMETERS + 68;
/// Most bytes of it, whole words.
pub(crate) const CA_BYTES: u32 = 1024;

/// Where the oracle is: words, in this order.
pub(crate) const ORACLE: u32 = PARAMETERS + 4096;
/// Starts of the firmware.
pub(crate) const BOOTS: u32 = ORACLE;
/// Starts that opened the queue.
pub(crate) const OPENED: u32 = ORACLE + 4;
/// Changes of the flash in this life: words programmed and units erased.
pub(crate) const CHANGES: u32 = ORACLE + 8;
/// Units erased in all lives.
pub(crate) const ERASES: u32 = ORACLE + 12;
/// Most bytes of stack in this life, written when it ends by itself or by a power cut.
pub(crate) const STACK: u32 = ORACLE + 16;
/// Words programmed twice between two erases, which many chips forbid.
pub(crate) const REPROGRAMMED: u32 = ORACLE + 20;
/// The ledger at the end of a [`mode::DRAIN`]: words, in the order of [`LEDGER_NAMES`].
pub(crate) const LEDGER: u32 = ORACLE + 64;
/// The counters of the ledger.
pub(crate) const LEDGER_NAMES: [&str; 8] =
    ["accepted", "acknowledged", "dropped", "evicted", "expired", "deleted", "damaged", "owed"];
/// Words of the journal so far.
pub(crate) const JOURNAL_LENGTH: u32 = ORACLE + 128;
/// The journal: what was tried and what came of it, one word each, see [`entry`].
pub(crate) const JOURNAL: u32 = PARAMETERS + (64 << 10);
/// Words that fit.
pub(crate) const JOURNAL_WORDS: u32 = (IMAGE_BYTES - JOURNAL) / 4;

/// What the firmware is to do.
pub(crate) mod mode {
    /// A kiosk, until the power fails.
    pub(crate) const KIOSK: u32 = 0;
    /// The same steps in the same order, then the end.
    pub(crate) const SCRIPT: u32 = 1;
    /// Nothing is said; everything owed is delivered, then the end.
    pub(crate) const DRAIN: u32 = 2;
    /// A kiosk that closes after a number of events, for the measurement of its stack.
    pub(crate) const SHORT_DAY: u32 = 3;
    /// Some events, with the date known from the start, one flush, and the end whatever came of it.
    pub(crate) const ONE_FLUSH: u32 = 4;
}

/// What a power cut makes of what is being changed.
pub(crate) mod tear {
    /// It has not begun.
    pub(crate) const NOTHING: u32 = 0;
    /// It is done.
    pub(crate) const ALL: u32 = 1;
    /// The first half is done.
    pub(crate) const HALF: u32 = 2;
    /// Every bit that changes has or has not.
    pub(crate) const BITS: u32 = 3;
    /// How many there are.
    pub(crate) const COUNT: u32 = 4;
}

/// How a life ended, as QEMU's exit status.
pub(crate) mod end {
    /// Everything was done.
    pub(crate) const DONE: u32 = 0;
    /// The power failed where it was told to.
    pub(crate) const CUT: u32 = 77;
    /// What is owed was not delivered in time.
    pub(crate) const LATE: u32 = 78;
    /// The queue did not open.
    pub(crate) const CLOSED: u32 = 79;
    /// A panic; what it said is on the serial line.
    pub(crate) const PANIC: u32 = 101;
}

/// A word of the journal: what came of it, who said it, and its number.
pub(crate) mod entry {
    /// The call is about to be made.
    pub(crate) const TRY: u32 = 1;
    /// The call returned `Ok`.
    pub(crate) const OK: u32 = 2;
    /// The call returned an error.
    pub(crate) const REFUSED: u32 = 3;
    /// The speaker whose numbers are those of identify calls.
    pub(crate) const IDENTIFY: u32 = 15;

    /// Packs one.
    pub(crate) const fn pack(outcome: u32, speaker: u32, number: u32) -> u32 {
        (outcome << 28) | ((speaker & 15) << 24) | (number & 0x00FF_FFFF)
    }

    /// Unpacks one: outcome, speaker, number.
    pub(crate) const fn unpack(word: u32) -> (u32, u32, u32) {
        (word >> 28, (word >> 24) & 15, word & 0x00FF_FFFF)
    }
}
