//! The no_std, no-alloc heart of the Whisperr SDK.
#![no_std]
#![forbid(unsafe_code)]

mod clock;
mod ready;
mod storage;

pub use clock::{Clock, Instant, UtcMillis};
pub use ready::ready;
pub use storage::{Fault, RECORD_BYTES_MAX, SLOT_BYTES_MAX, Seq, SeqRange, Slot, Storage, Stored};
