//! Segments: their names, their headers, and what is known of each while the log is open.

use whisperr_core::Seq;

use super::frame::Binding;

/// The format this code reads and writes.
pub(super) const VERSION: u16 = 1;
/// Bytes of a header.
pub(super) const HEADER: usize = 32;
const MAGIC: &[u8; 8] = b"whsprlog";
const SUFFIX: &str = ".log";
/// The end of what this library ever gives out as an id or a first number.
const NAME_END: u64 = 1 << 63;
/// Names are not covered by a checksum. What one alone can claim leaves room to count on from there.
const CLAIM_END: u64 = 1 << 62;

/// The id of a segment, and the sequence number that was next when it was created.
///
/// Both stand in the header and in the name: records of a segment with a damaged header are found
/// by the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SegmentName {
    pub(super) id: u64,
    pub(super) first: u64,
}

impl SegmentName {
    /// The file of the segment.
    pub(super) fn file(self) -> String {
        format!("{:016x}-{:016x}{SUFFIX}", self.id, self.first)
    }

    /// Recognises exactly what [`file`](Self::file) writes.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (id, first) = name.strip_suffix(SUFFIX)?.split_once('-')?;
        let parsed =
            Self { id: u64::from_str_radix(id, 16).ok()?, first: u64::from_str_radix(first, 16).ok()? };
        (parsed.is_ours() && parsed.file() == name).then_some(parsed)
    }

    /// Whether the name is taken at its word, whatever the file holds.
    pub(super) fn is_plausible(self) -> bool {
        self.is_below(CLAIM_END)
    }

    /// Whether a later start recognises the name.
    pub(super) fn is_ours(self) -> bool {
        self.is_below(NAME_END)
    }

    fn is_below(self, end: u64) -> bool {
        self.id < end && self.first < end
    }

    /// The bytes the segment starts with.
    pub(super) fn header(self) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        let (version, id, first) = (VERSION.to_le_bytes(), self.id.to_le_bytes(), self.first.to_le_bytes());
        let fields = MAGIC.iter().chain(&version).chain(&[0, 0]).chain(&id).chain(&first).copied();
        for (byte, field) in header.iter_mut().zip(fields) {
            *byte = field;
        }
        if let Some((covered, crc)) = header.split_last_chunk_mut::<4>() {
            *crc = crc32c::crc32c(covered).to_le_bytes();
        }
        header
    }

    /// What the first bytes of the file say about it.
    pub(super) fn check(self, start: &[u8]) -> Header {
        let expected = self.header();
        if start.get(..HEADER) == Some(expected.as_slice()) {
            return Header::Valid;
        }
        if let Some(([magic @ .., low, high], rest)) = start.split_first_chunk::<10>()
            && magic == MAGIC
        {
            let version = u16::from_le_bytes([*low, *high]);
            // A flipped bit in the version alone does not make the segment a newer one.
            let rest_is_ours = rest.get(..HEADER - 10) == expected.get(10..);
            if version > VERSION && !rest_is_ours {
                return Header::Newer(version);
            }
        }
        Header::Damaged
    }
}

/// The state of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Header {
    /// As it was written.
    Valid,
    /// Written by a later version of this library.
    Newer(u16),
    /// Anything else.
    Damaged,
}

/// What is known of a segment while the log is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) name: SegmentName,
    pub(super) binding: Binding,
    /// Bytes up to the end of its last frame.
    pub(super) len: u64,
    /// How many records of it are in the index.
    pub(super) live: u32,
    /// The bytes of their frames.
    pub(super) live_bytes: u64,
}

impl Segment {
    pub(super) fn new(name: SegmentName, len: u64) -> Self {
        let binding = Binding::new(name.id, name.first);
        Self { name, binding, len, live: 0, live_bytes: 0 }
    }

    pub(super) fn gain(&mut self, frame_bytes: u64) {
        self.live = self.live.saturating_add(1);
        self.live_bytes = self.live_bytes.saturating_add(frame_bytes);
    }

    pub(super) fn lose(&mut self, frame_bytes: u64) {
        debug_assert!(self.live > 0, "more records leave a segment than entered it");
        self.live = self.live.saturating_sub(1);
        self.live_bytes = self.live_bytes.saturating_sub(frame_bytes);
    }
}

/// The inclusive range of two numbers as the index counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    pub(super) first: u64,
    pub(super) last: u64,
}

impl Span {
    pub(super) fn one(seq: Seq) -> Self {
        Self { first: seq.get(), last: seq.get() }
    }

    pub(super) fn count(self) -> u64 {
        self.last.saturating_sub(self.first).saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_reads_as_it_was_written() {
        let name = SegmentName { id: 0x2a, first: 1 << 40 };

        assert_eq!(name.file(), "000000000000002a-0000010000000000.log");
        assert_eq!(SegmentName::parse(&name.file()), Some(name));
    }

    #[test]
    fn other_names_are_foreign() {
        for name in [
            "lock",
            "damaged",
            "000000000000002A-0000010000000000.log",
            "+00000000000002a-0000010000000000.log",
            "2a-1.log",
            "000000000000002a-0000010000000000.log.tmp",
            "ffffffffffffffff-0000000000000001.log",
            "0000000000000001-ffffffffffffffff.log",
            "0000000000000001.log",
            "é",
        ] {
            assert_eq!(SegmentName::parse(name), None, "{name}");
        }
    }

    #[test]
    fn a_newer_version_is_told_from_a_flipped_bit() {
        let name = SegmentName { id: 3, first: 9 };
        let mut newer = name.header();
        newer[8] = 2;
        assert_eq!(name.check(&newer), Header::Damaged, "the checksum is that of version 1");

        newer[28..].copy_from_slice(&[1, 2, 3, 4]);
        assert_eq!(name.check(&newer), Header::Newer(2));
        assert_eq!(name.check(&newer[..12]), Header::Newer(2), "a newer header may be shorter");
        assert_eq!(name.check(&name.header()), Header::Valid);
        assert_eq!(name.check(&[]), Header::Damaged);
        assert_eq!(name.check(&[0; HEADER]), Header::Damaged);
    }
}
