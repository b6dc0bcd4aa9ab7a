//! Where pages lie, and what a flash must be like.

use core::fmt;
use core::ops::Range;

use super::crc::Crc;
use super::frame::OVERHEAD;

/// Bytes of a page header, before padding.
pub(super) const PAGE_HEADER: u32 = 32;
/// The longest removal: two numbers.
const REMOVAL_MAX: u32 = OVERHEAD.saturating_add(16);
/// A short record with what surrounds it.
const SHORT_RECORD: u32 = OVERHEAD.saturating_add(64);
/// Least room for records and slots in a page.
const USABLE_MIN: u32 = 64;
/// The longest unit that a flash may program at once.
pub(super) const WRITE_BYTES_MAX: usize = 32;

/// Why a flash, or a part of it, cannot hold a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LayoutError {
    /// `PAGES` is below two.
    Pages {
        /// What was asked for.
        pages: usize,
    },
    /// The flash programs units of another size than 1, 2, 4, 8, 16 or 32 bytes.
    WriteSize {
        /// Its write size in bytes.
        bytes: usize,
    },
    /// The read size of the flash does not divide its write size.
    ReadSize {
        /// Its read size in bytes.
        bytes: usize,
    },
    /// The range does not start and end at an erase unit.
    Misaligned {
        /// Bytes of an erase unit.
        erase_bytes: usize,
    },
    /// The range ends behind the flash.
    OutOfRange {
        /// Bytes of the flash.
        capacity: usize,
    },
    /// The range holds fewer erase units than pages.
    TooSmall {
        /// Bytes that so many pages take at least.
        min: u32,
    },
    /// A page would hold almost nothing beside its header: use fewer pages, each of more erase units.
    PageTooSmall {
        /// Bytes of a page.
        bytes: u32,
        /// Bytes that a page of this flash needs at least.
        min: u32,
    },
}

impl fmt::Display for LayoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pages { pages } => write!(f, "{pages} pages, a log needs at least 2"),
            Self::WriteSize { bytes } => {
                write!(f, "write size of {bytes} bytes is not 1, 2, 4, 8, 16 or {WRITE_BYTES_MAX}")
            }
            Self::ReadSize { bytes } => {
                write!(f, "read size of {bytes} bytes does not divide the write size")
            }
            Self::Misaligned { erase_bytes } => {
                write!(
                    f,
                    "range does not start and end at a multiple of the erase size of {erase_bytes} bytes"
                )
            }
            Self::OutOfRange { capacity } => {
                write!(f, "range ends behind the flash of {capacity} bytes")
            }
            Self::TooSmall { min } => write!(f, "range is shorter than the {min} bytes its pages need"),
            Self::PageTooSmall { bytes, min } => {
                write!(f, "page of {bytes} bytes is shorter than the {min} bytes it needs")
            }
        }
    }
}

impl core::error::Error for LayoutError {}

/// The sizes that a flash driver states.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub(super) read: usize,
    pub(super) write: usize,
    pub(super) erase: usize,
    pub(super) capacity: usize,
}

/// Where pages lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    start: u32,
    page: u32,
    pages: u32,
    write: u32,
}

impl Layout {
    pub(super) fn new(sizes: Sizes, range: &Range<u32>, pages: usize) -> Result<Self, LayoutError> {
        let count = u32::try_from(pages).unwrap_or(u32::MAX);
        if count < 2 {
            return Err(LayoutError::Pages { pages });
        }
        if sizes.write > WRITE_BYTES_MAX || !sizes.write.is_power_of_two() {
            return Err(LayoutError::WriteSize { bytes: sizes.write });
        }
        if sizes.read == 0 || !sizes.write.is_multiple_of(sizes.read) {
            return Err(LayoutError::ReadSize { bytes: sizes.read });
        }
        let unit = u32::try_from(sizes.erase).unwrap_or(u32::MAX);
        let aligned = unit > 0 && range.start.is_multiple_of(unit) && range.end.is_multiple_of(unit);
        if !aligned || !sizes.erase.is_multiple_of(sizes.write) {
            return Err(LayoutError::Misaligned { erase_bytes: sizes.erase });
        }
        if usize::try_from(range.end).is_ok_and(|end| end > sizes.capacity) {
            return Err(LayoutError::OutOfRange { capacity: sizes.capacity });
        }
        let units = range.end.saturating_sub(range.start).checked_div(unit).unwrap_or(0);
        let page = units.checked_div(count).unwrap_or(0).saturating_mul(unit);
        if page == 0 {
            return Err(LayoutError::TooSmall { min: unit.saturating_mul(count) });
        }
        let write = u32::try_from(sizes.write).unwrap_or(1);
        let layout = Self { start: range.start, page, pages: count, write };
        let min = layout.fixed().saturating_add(layout.padded(USABLE_MIN));
        if page < min {
            return Err(LayoutError::PageTooSmall { bytes: page, min });
        }
        Ok(layout)
    }

    /// Bytes of a page.
    pub(super) const fn page(&self) -> u32 {
        self.page
    }

    /// How many pages there are.
    pub(super) const fn pages(&self) -> u32 {
        self.pages
    }

    /// Bytes that are programmed at once.
    pub(super) const fn write(&self) -> u32 {
        self.write
    }

    /// `bytes`, up to the next multiple of the write size.
    pub(super) const fn padded(&self, bytes: u32) -> u32 {
        bytes.next_multiple_of(self.write)
    }

    /// Bytes of a page header.
    pub(super) const fn header(&self) -> u32 {
        self.padded(PAGE_HEADER)
    }

    /// Bytes of a frame around so many bytes of payload.
    pub(super) fn frame(&self, payload: usize) -> u32 {
        let payload = u32::try_from(payload).unwrap_or(u32::MAX / 2);
        self.padded(payload.saturating_add(OVERHEAD))
    }

    /// Bytes of a page that hold neither records nor slots: its header, the note that it is complete,
    /// and room for a removal behind all that could have to be copied.
    const fn fixed(&self) -> u32 {
        let frames = self.padded(OVERHEAD).saturating_add(self.padded(REMOVAL_MAX));
        self.header().saturating_add(frames).saturating_add(self.write)
    }

    /// Most bytes of live frames that a page may hold, so that they fit another page.
    pub(super) const fn usable(&self) -> u32 {
        self.page.saturating_sub(self.fixed())
    }

    /// Most bytes of live frames before a record is refused. One page is always free; as much as another
    /// holds is the slack that lets the oldest page run empty before its turn comes, also when every
    /// record leaves with a removal of its own.
    pub(super) fn live_max(&self) -> u32 {
        // Every turn of two pages then gains a quarter of one.
        let least = (self.usable() / 4).saturating_mul(3);
        match self.pages.saturating_sub(2) {
            0 => least,
            pages => {
                let (record, removal) = (self.padded(SHORT_RECORD), self.padded(OVERHEAD));
                // A record that does not fit the rest of a page leaves it empty.
                let filled = u64::from(self.usable().saturating_sub(record / 2));
                let bytes = filled.saturating_mul(pages.into()).saturating_mul(record.into());
                let bytes = bytes.checked_div(record.saturating_add(removal).into()).unwrap_or(0);
                u32::try_from(bytes).unwrap_or(u32::MAX).max(least)
            }
        }
    }

    /// The page in which this generation stands.
    pub(super) fn index(&self, generation: u32) -> u32 {
        generation.checked_rem(self.pages).unwrap_or(0)
    }

    /// The address of a place in the page of this generation.
    pub(super) fn address(&self, generation: u32, offset: u32) -> u32 {
        let page = self.index(generation).saturating_mul(self.page);
        self.start.saturating_add(page).saturating_add(offset)
    }

    /// From where every checksum starts: another layout finds nothing.
    pub(super) fn seed(&self) -> Crc {
        Crc::new().with(&self.page.to_le_bytes()).with(&self.pages.to_le_bytes())
    }

    #[cfg(test)]
    pub(super) fn for_tests(page: u32, pages: u32, write: u32) -> Self {
        Self { start: 0, page, pages, write }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    const SIZES: Sizes = Sizes { read: 1, write: 4, erase: 4096, capacity: 1 << 20 };

    #[test]
    fn what_cannot_hold_a_log_is_refused_with_the_limit() {
        let with_write = |write, read| Sizes { write, read, ..SIZES };
        for (sizes, range, pages, expected) in [
            (SIZES, 0..8192, 1, "1 pages, a log needs at least 2"),
            (with_write(64, 1), 0..8192, 2, "write size of 64 bytes is not 1, 2, 4, 8, 16 or 32"),
            (with_write(3, 1), 0..8192, 2, "write size of 3 bytes is not 1, 2, 4, 8, 16 or 32"),
            (with_write(4, 8), 0..8192, 2, "read size of 8 bytes does not divide the write size"),
            (SIZES, 0..8191, 2, "range does not start and end at a multiple of the erase size of 4096 bytes"),
            (SIZES, 0..(2 << 20), 2, "range ends behind the flash of 1048576 bytes"),
            (SIZES, 0..8192, 3, "range is shorter than the 12288 bytes its pages need"),
            (
                Sizes { write: 32, erase: 128, ..SIZES },
                0..256,
                2,
                "page of 128 bytes is shorter than the 192 bytes it needs",
            ),
        ] {
            let refused = Layout::new(sizes, &range, pages).unwrap_err();
            assert_eq!(refused.to_string(), expected);
        }
    }

    #[test]
    fn every_size_in_range_has_a_layout() {
        for write in [1, 2, 4, 8, 16, 32] {
            for shift in 8..=17 {
                let erase = 1 << shift;
                let sizes = Sizes { read: 1, write, erase, capacity: 1 << 20 };
                let end = u32::try_from(2 * erase).unwrap();
                let layout = Layout::new(sizes, &(0..end), 2).unwrap();
                assert!(layout.usable() >= USABLE_MIN, "{write} {erase}");
                assert!(layout.usable() < layout.page());
            }
        }
    }

    #[test]
    fn a_page_takes_as_many_erase_units_as_there_are() {
        let layout = Layout::new(SIZES, &(4096..4096 * 10), 4).unwrap();

        assert_eq!(layout.page(), 2 * 4096);
        assert_eq!(layout.address(5, 16), 4096 + 2 * 4096 + 16);
    }
}
