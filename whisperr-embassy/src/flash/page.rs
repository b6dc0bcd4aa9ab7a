//! The header of a page, and what memory keeps of a page.

use super::crc::Crc;
use super::layout::{Layout, PAGE_HEADER};

/// Bytes of a header, before padding.
pub(super) const HEADER: usize = PAGE_HEADER as usize;
/// Never all zeros or all ones; the last byte is the version of the format.
const MAGIC: u32 = u32::from_le_bytes([b'W', b'q', b'L', 1]);
/// No flash lives for so many turns: what claims more was not written by this code.
const GENERATION_MAX: u32 = 1 << 31;
/// No device lives for so many operations.
const SEQ_MAX: u64 = 1 << 63;

/// What stands at the start of a page, written right behind the erase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PageHeader {
    /// Which turn this is. Generations follow each other around the ring of pages.
    pub(super) generation: u32,
    /// The oldest generation that was still live.
    pub(super) floor: u32,
    /// Everything up to this generation was deleted for good: its records are dead, and every page
    /// that held it is to be erased.
    pub(super) wiped: u32,
    /// No record in the page has a lower number.
    pub(super) base: u64,
    /// The number the next operation would have got.
    pub(super) next: u64,
}

impl PageHeader {
    pub(super) fn encode(&self, layout: &Layout) -> [u8; HEADER] {
        let back = u32::try_from(self.next.saturating_sub(self.base)).unwrap_or(u32::MAX);
        let high = low(self.next >> 32);
        let words = [MAGIC, self.generation, self.floor, self.wiped, back, low(self.next), high];
        let mut bytes = [0; HEADER];
        let (places, _) = bytes.as_chunks_mut::<4>();
        places.iter_mut().zip(words).for_each(|(to, word)| *to = word.to_le_bytes());
        if let Some((body, crc)) = bytes.split_last_chunk_mut::<4>() {
            *crc = Self::checksum(layout, body).to_le_bytes();
        }
        bytes
    }

    fn checksum(layout: &Layout, body: &[u8]) -> u32 {
        Crc::with(layout.seed(), body).finish()
    }

    /// The header in these bytes, if it belongs to the page of this index.
    pub(super) fn decode(layout: &Layout, index: u32, bytes: &[u8; HEADER]) -> Option<Self> {
        let mut words = [0; HEADER / 4];
        let (places, _) = bytes.as_chunks::<4>();
        words.iter_mut().zip(places).for_each(|(word, from)| *word = u32::from_le_bytes(*from));
        let [magic, generation, floor, wiped, back, next, high, crc] = words;
        let next = (u64::from(high) << 32) | u64::from(next);
        let header = Self { generation, floor, wiped, base: next.checked_sub(back.into())?, next };
        let (body, _) = bytes.split_last_chunk::<4>()?;
        let whole = magic == MAGIC && crc == Self::checksum(layout, body);
        let behind = header.generation.checked_sub(header.floor)?;
        (whole
            && layout.index(header.generation) == index
            && header.generation <= GENERATION_MAX
            && header.next <= SEQ_MAX
            && header.base > 0
            && header.wiped < header.generation
            && behind < layout.pages())
        .then_some(header)
    }
}

/// What memory keeps of a page. Numbers are their lowest 32 bits.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageInfo {
    /// No record in the page has a lower number.
    pub(super) base: u32,
    /// No record in the page has a higher number; below `base` when there is none.
    pub(super) last: u32,
    /// At most so many bytes of frames in it are live.
    pub(super) live: u32,
    /// Where its frames end.
    pub(super) end: u32,
}

impl PageInfo {
    pub(super) const EMPTY: Self = Self { base: 0, last: u32::MAX, live: 0, end: 0 };
}

/// The lowest 32 bits of a number.
pub(super) const fn low(seq: u64) -> u32 {
    (seq & 0xFFFF_FFFF) as u32
}

/// The number with these lowest bits that is at most `next`, and less than 2^32 below it.
pub(super) const fn widen(low_bits: u32, next: u64) -> u64 {
    next.saturating_sub(low(next).wrapping_sub(low_bits) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_holds_only_in_its_page_and_layout() {
        let layout = Layout::for_tests(4096, 4, 4);
        let header = PageHeader { generation: 6, floor: 4, wiped: 2, base: 10, next: 70 };
        let bytes = header.encode(&layout);

        assert_eq!(PageHeader::decode(&layout, 2, &bytes), Some(header));
        assert_eq!(PageHeader::decode(&layout, 3, &bytes), None);
        assert_eq!(PageHeader::decode(&Layout::for_tests(4096, 8, 4), 6, &bytes), None);
        for at in 0..HEADER {
            for bit in 0..8 {
                let mut bytes = bytes;
                bytes[at] ^= 1 << bit;
                assert_eq!(PageHeader::decode(&layout, 2, &bytes), None, "{at} {bit}");
            }
        }
    }

    #[test]
    fn what_this_code_never_writes_is_no_header() {
        let layout = Layout::for_tests(4096, 4, 4);
        let header = PageHeader { generation: 6, floor: 4, wiped: 2, base: 10, next: 70 };
        for wrong in [
            PageHeader { generation: GENERATION_MAX + 2, floor: GENERATION_MAX, ..header },
            PageHeader { floor: 2, ..header },
            PageHeader { floor: 7, ..header },
            PageHeader { wiped: 6, ..header },
            PageHeader { next: u64::MAX, ..header },
            PageHeader { base: 0, ..header },
        ] {
            assert_eq!(PageHeader::decode(&layout, 2, &wrong.encode(&layout)), None, "{wrong:?}");
        }
    }

    #[test]
    fn numbers_come_back_from_their_lowest_bits() {
        for next in [1, 5, u64::from(u32::MAX), 1 << 32, (1 << 40) + 3] {
            for back in [0, 1, 4, u64::from(u32::MAX)] {
                if back <= next {
                    assert_eq!(widen(low(next - back), next), next - back);
                }
            }
        }
    }
}
