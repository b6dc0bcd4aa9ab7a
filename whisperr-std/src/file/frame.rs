//! The frames of a segment: how a record, a removal, a slot and a floor look on the medium.
//!
//! ```text
//! kind 1 · length 2 · sequence 2 · check 1 · [payload] · CRC-32C 4      all little endian
//! ```
//! Ten bytes around a record. The sequence is its distance from the segment's first one. Both
//! checksums start from the segment's id and first sequence, so that bytes of another segment,
//! such as recycled blocks, never look valid. The check byte covers what stands before it, so that
//! looking for the next frame behind damage does not have to believe a length first.

use crc32c::crc32c_append;
use whisperr_core::{RECORD_BYTES_MAX, SLOT_BYTES_MAX};

/// What a record costs on the medium beside its own bytes.
pub(super) const RECORD_OVERHEAD: usize = 10;
/// What a record costs that is not where its sequence number would place it.
pub(super) const PLACED_OVERHEAD: usize = 18;
/// The longest frame.
pub(super) const FRAME_MAX: usize = RECORD_BYTES_MAX.saturating_add(PLACED_OVERHEAD);
/// Head of a frame, up to its payload.
const HEAD: usize = 6;
/// Foot of a frame, behind its payload.
pub(super) const CRC: usize = 4;

// None of them is zero: zeros, as a cut leaves them, are never a frame.
const RECORD: u8 = 0xA1;
const PLACED: u8 = 0xB2;
const REMOVED: u8 = 0xC4;
const SLOT: u8 = 0xD7;
const FLOOR: u8 = 0xE8;
const END: u8 = 0xF3;

/// One frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Frame<'a> {
    /// A record.
    Record { seq: u64, record: &'a [u8] },
    /// A record that was copied from another segment, under its old number.
    Placed { seq: u64, record: &'a [u8] },
    /// These numbers hold no record: removed, never given out, or known to be lost.
    Removed { first: u64, last: u64 },
    /// The value of a slot; the highest version counts.
    Slot { number: u8, version: u64, value: &'a [u8] },
    /// Segments below this id hold nothing that is still needed.
    Floor { id: u64 },
    /// Everything before this is durable: the log was closed here.
    End,
}

impl Frame<'_> {
    /// How many bytes the frame takes at most.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Record { record, .. } | Self::Placed { record, .. } => {
                record.len().saturating_add(PLACED_OVERHEAD)
            }
            Self::Removed { .. } => RECORD_OVERHEAD.saturating_add(2 * VARINT_MAX),
            Self::Slot { value, .. } => value.len().saturating_add(RECORD_OVERHEAD + 1 + VARINT_MAX),
            Self::Floor { .. } => RECORD_OVERHEAD.saturating_add(VARINT_MAX),
            Self::End => RECORD_OVERHEAD,
        }
    }
}

/// Ties frames to the segment they stand in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Binding {
    base: u64,
    seed: u32,
}

impl Binding {
    pub(super) fn new(id: u64, base: u64) -> Self {
        Self { base, seed: crc32c_append(crc32c::crc32c(&id.to_le_bytes()), &base.to_le_bytes()) }
    }

    /// Appends `frame` to `out`. Records, placed records and slot values are within their limits.
    pub(super) fn encode(self, frame: Frame<'_>, out: &mut Vec<u8>) {
        match frame {
            Frame::Record { seq, record } => {
                match seq.checked_sub(self.base).and_then(|low| u16::try_from(low).ok()) {
                    Some(low) => self.seal(out, RECORD, low, record.len(), &[], record),
                    None => self.encode(Frame::Placed { seq, record }, out),
                }
            }
            Frame::Placed { seq, record } => {
                self.seal(out, PLACED, 0, record.len(), &seq.to_le_bytes(), record);
            }
            Frame::Removed { first, last } => {
                let mut payload = Varints::default();
                payload.put(first);
                payload.put(last.saturating_sub(first));
                self.seal(out, REMOVED, 0, payload.len, payload.bytes(), &[]);
            }
            Frame::Slot { number, version, value } => {
                let mut payload = Varints::default();
                payload.put(number.into());
                payload.put(version);
                let len = payload.len.saturating_add(value.len());
                self.seal(out, SLOT, 0, len, payload.bytes(), value);
            }
            Frame::Floor { id } => {
                let mut payload = Varints::default();
                payload.put(id);
                self.seal(out, FLOOR, 0, payload.len, payload.bytes(), &[]);
            }
            Frame::End => self.seal(out, END, 0, 0, &[], &[]),
        }
    }

    fn seal(self, out: &mut Vec<u8>, kind: u8, low: u16, len: usize, front: &[u8], back: &[u8]) {
        let [len_low, len_high] = u16::try_from(len).unwrap_or(u16::MAX).to_le_bytes();
        let [seq_low, seq_high] = low.to_le_bytes();
        let head = [kind, len_low, len_high, seq_low, seq_high];
        let mut crc = crc32c_append(self.seed, &head);
        let [check, ..] = crc.to_le_bytes();
        out.extend_from_slice(&[kind, len_low, len_high, seq_low, seq_high, check]);
        out.extend_from_slice(front);
        out.extend_from_slice(back);
        if !front.is_empty() {
            crc = crc32c_append(crc, front);
        }
        crc = crc32c_append(crc, back);
        out.extend_from_slice(&crc.to_le_bytes());
    }

    /// The length of the frame whose head `bytes` starts with; `None` for what is not a head.
    pub(super) fn measure(self, bytes: &[u8]) -> Option<usize> {
        self.head(bytes).map(|head| head.size)
    }

    fn head(self, bytes: &[u8]) -> Option<Head> {
        let &[kind, l0, l1, s0, s1, check] = bytes.first_chunk::<HEAD>()?;
        let extra = match kind {
            RECORD | REMOVED | SLOT | FLOOR | END => 0,
            PLACED => 8,
            _ => return None,
        };
        let crc = crc32c_append(self.seed, &[kind, l0, l1, s0, s1]);
        let [right, ..] = crc.to_le_bytes();
        if check != right {
            return None;
        }
        let payload = usize::from(u16::from_le_bytes([l0, l1])).saturating_add(extra);
        let low = u16::from_le_bytes([s0, s1]);
        Some(Head { kind, low, crc, size: payload.saturating_add(HEAD + CRC) })
    }

    /// The frame that `bytes` starts with, and its length.
    pub(super) fn decode(self, bytes: &[u8]) -> Option<(Frame<'_>, usize)> {
        let head = self.head(bytes)?;
        let frame = bytes.get(..head.size)?;
        let (frame, crc) = frame.split_last_chunk::<CRC>()?;
        let payload = frame.get(HEAD..)?;
        if crc32c_append(head.crc, payload) != u32::from_le_bytes(*crc) {
            return None;
        }
        Some((self.parse(head, payload)?, head.size))
    }

    fn parse(self, head: Head, payload: &[u8]) -> Option<Frame<'_>> {
        match head.kind {
            RECORD => {
                let seq = self.base.checked_add(head.low.into())?;
                Some(Frame::Record { seq, record: payload })
            }
            PLACED => {
                let (seq, record) = payload.split_first_chunk::<8>()?;
                Some(Frame::Placed { seq: u64::from_le_bytes(*seq), record })
            }
            REMOVED => {
                let (first, rest) = varint(payload)?;
                let (more, rest) = varint(rest)?;
                let last = first.checked_add(more)?;
                rest.is_empty().then_some(Frame::Removed { first, last })
            }
            SLOT => {
                let (number, rest) = varint(payload)?;
                let (version, value) = varint(rest)?;
                let number = u8::try_from(number).ok()?;
                (value.len() <= SLOT_BYTES_MAX).then_some(Frame::Slot { number, version, value })
            }
            FLOOR => {
                let (id, rest) = varint(payload)?;
                rest.is_empty().then_some(Frame::Floor { id })
            }
            END => payload.is_empty().then_some(Frame::End),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Head {
    kind: u8,
    low: u16,
    crc: u32,
    size: usize,
}

const VARINT_MAX: usize = 10;

/// Up to two numbers, seven bits a byte, lowest first.
#[derive(Debug, Default)]
struct Varints {
    buffer: [u8; 2 * VARINT_MAX],
    len: usize,
}

impl Varints {
    fn put(&mut self, number: u64) {
        let mut rest = number;
        for byte in self.buffer.iter_mut().skip(self.len) {
            self.len = self.len.saturating_add(1);
            let [low, ..] = rest.to_le_bytes();
            rest >>= 7;
            *byte = if rest == 0 { low & 0x7F } else { low | 0x80 };
            if rest == 0 {
                break;
            }
        }
    }

    fn bytes(&self) -> &[u8] {
        self.buffer.get(..self.len).unwrap_or_default()
    }
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0_u64;
    for (at, byte) in bytes.iter().enumerate().take(VARINT_MAX) {
        let shift = u32::try_from(at).ok()?.checked_mul(7)?;
        let bits = u64::from(byte & 0x7F);
        number |= bits.checked_shl(shift).filter(|moved| moved >> shift == bits)?;
        if byte & 0x80 == 0 {
            return Some((number, bytes.get(at..)?.get(1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const BINDING: (u64, u64) = (7, 1000);

    fn frames() -> Vec<Frame<'static>> {
        vec![
            Frame::Record { seq: 1000, record: b"" },
            Frame::Record { seq: 1000 + 65_535, record: b"door_opened" },
            Frame::Placed { seq: 3, record: b"identify" },
            Frame::Removed { first: 1, last: 1 },
            Frame::Removed { first: 0, last: u64::MAX },
            Frame::Slot { number: 6, version: 1 << 40, value: &[7; SLOT_BYTES_MAX] },
            Frame::Slot { number: 0, version: 1, value: b"" },
            Frame::Floor { id: u64::MAX },
            Frame::End,
        ]
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let binding = Binding::new(BINDING.0, BINDING.1);
        for frame in frames() {
            let mut bytes = Vec::new();

            binding.encode(frame, &mut bytes);

            assert_eq!(binding.decode(&bytes), Some((frame, bytes.len())), "{frame:?}");
            assert_eq!(binding.measure(&bytes), Some(bytes.len()), "{frame:?}");
            assert!(bytes.len() <= frame.size(), "{frame:?}");
        }
    }

    #[test]
    fn a_record_costs_ten_bytes() {
        let mut bytes = Vec::new();

        Binding::new(1, 1).encode(Frame::Record { seq: 2, record: b"abc" }, &mut bytes);

        assert_eq!(bytes.len(), 3 + RECORD_OVERHEAD);
    }

    #[test]
    fn a_record_far_from_the_first_is_placed() {
        let binding = Binding::new(1, 1000);
        for seq in [999, 1000 + 65_536, u64::MAX] {
            let mut bytes = Vec::new();

            binding.encode(Frame::Record { seq, record: b"abc" }, &mut bytes);

            let placed = Frame::Placed { seq, record: b"abc" };
            assert_eq!(binding.decode(&bytes), Some((placed, 3 + PLACED_OVERHEAD)), "{seq}");
        }
    }

    #[test]
    fn no_flipped_bit_and_no_cut_is_a_frame() {
        let binding = Binding::new(BINDING.0, BINDING.1);
        for frame in frames() {
            let mut bytes = Vec::new();
            binding.encode(frame, &mut bytes);
            for bit in 0..bytes.len() * 8 {
                bytes[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(binding.decode(&bytes), None, "{frame:?} bit {bit}");
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            for len in 0..bytes.len() {
                assert_eq!(binding.decode(&bytes[..len]), None, "{frame:?} cut at {len}");
            }
        }
    }

    #[test]
    fn zeros_and_frames_of_other_segments_are_no_frames() {
        let mut bytes = Vec::new();
        Binding::new(7, 1000).encode(Frame::Record { seq: 1001, record: b"abc" }, &mut bytes);

        assert_eq!(Binding::new(8, 1000).decode(&bytes), None);
        assert_eq!(Binding::new(7, 1001).decode(&bytes), None);
        assert_eq!(Binding::new(7, 1000).decode(&[0; 64]), None);
    }
}
