//! What can go wrong, in words that name the rule.

use core::fmt;

use whisperr_core::{SLOT_BYTES_MAX, Seq};

use super::layout::LayoutError;

/// Why the flash log could not do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FlashError<E> {
    /// The driver of the flash failed.
    Flash(E),
    /// What was written does not read back, on any page that could be tried.
    Unverified,
    /// The record is longer than a page of this flash can hold.
    RecordTooLong {
        /// Its length.
        bytes: usize,
        /// The longest that a page can hold.
        max: usize,
    },
    /// The value is longer than a slot can hold.
    SlotTooLong {
        /// Its length.
        bytes: usize,
    },
    /// The sequence number was given out before, or is the last there is.
    SeqUsed {
        /// The number.
        seq: Seq,
        /// The lowest number that is free.
        next: Seq,
    },
}

impl<E: fmt::Debug> fmt::Display for FlashError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flash(error) => write!(f, "the flash failed: {error:?}"),
            Self::Unverified => f.write_str("what was written to the flash does not read back"),
            Self::RecordTooLong { bytes, max } => {
                write!(f, "record of {bytes} bytes exceeds the limit of {max}")
            }
            Self::SlotTooLong { bytes } => {
                write!(f, "slot of {bytes} bytes exceeds the limit of {SLOT_BYTES_MAX}")
            }
            Self::SeqUsed { seq, next } => {
                write!(f, "sequence number {seq} is below the next free one, {next}")
            }
        }
    }
}

impl<E: fmt::Debug> core::error::Error for FlashError<E> {}

/// Why a step of the log failed, without the driver's own word: that one stays in the medium until somebody outside
/// is told. An error of a type that the log does not know would have to be kept, and its end be provided for, wherever
/// a step waits for the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// The driver failed.
    Flash,
    /// What was written does not read back.
    Unverified,
}

/// Why there is no flash log here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FlashOpenError<E> {
    /// The flash, or the part of it that was named, cannot hold one.
    Layout(LayoutError),
    /// The driver of the flash failed wherever it was asked.
    Flash(E),
}

impl<E: fmt::Debug> fmt::Display for FlashOpenError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Layout(error) => error.fmt(f),
            Self::Flash(error) => write!(f, "the flash failed: {error:?}"),
        }
    }
}

impl<E: fmt::Debug> core::error::Error for FlashOpenError<E> {}

impl<E> From<LayoutError> for FlashOpenError<E> {
    fn from(error: LayoutError) -> Self {
        Self::Layout(error)
    }
}
