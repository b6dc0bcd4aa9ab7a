//! How a record, a slot, a removal and a commit look on the medium.
//!
//! ```text
//! kind 3 bits, field 21 bits · length 2 · check 1 · [payload] · CRC-32C 4      little endian
//! ```
//! Ten bytes around a record, padded to the write size. The sequence number is the distance from the
//! lowest one of the page. Both checksums start from the generation of the page and the place in it:
//! bytes of an earlier turn, or of a frame that was copied elsewhere, never look valid. The check byte
//! spares a search behind damage from believing a length; it decides nothing by itself.
//!
//! A record or a slot may remove up to 256 numbers at the same time: [`REMOVES`] is set in its field, and four
//! bytes in front of its content say which. Both are on the medium, or neither.

use super::crc::Crc;
use super::layout::Layout;

/// Head of a frame, up to its payload.
pub(super) const HEAD: usize = 6;
/// Foot of a frame, behind its payload.
pub(super) const FOOT: usize = 4;
/// What a frame costs beside its payload, before padding.
pub(super) const OVERHEAD: u32 = 10;
/// First bytes of a payload that a [`View`] keeps.
pub(super) const LEAD: usize = 16;
/// The number of a record that stands far from the lowest one of its page.
pub(super) const PLACED: usize = 8;
/// Bytes of a removal that goes along with a record or a slot.
pub(super) const ALONG: usize = 4;
/// Set in the field of a record or a slot with which a removal goes along.
const REMOVES: u32 = 1 << 20;
/// Distances of records from the lowest number of their page.
pub(super) const DISTANCES: u32 = REMOVES;
/// Values of the field.
const FIELDS: u32 = 1 << 21;

/// What a frame says. Neither all zeros nor all ones is a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A record; the field is its distance from the page's lowest number.
    Record = 1,
    /// A record with its number in front, for what is far away or comes behind numbers not given out.
    Placed = 2,
    /// A slot; the field is its number.
    Slot = 3,
    /// A removed range.
    Removed = 4,
    /// One record that was set aside: removed, and not delivered.
    Aside = 5,
    /// What had to be copied is in this page; the field is how many generations are still live
    /// besides this one.
    Turned = 6,
}

impl Kind {
    const fn of(byte: u8) -> Option<Self> {
        Some(match byte >> 5 {
            1 => Self::Record,
            2 => Self::Placed,
            3 => Self::Slot,
            4 => Self::Removed,
            5 => Self::Aside,
            6 => Self::Turned,
            _ => return None,
        })
    }
}

/// The checksum from which a frame at this place starts.
pub(super) fn seed(layout: &Layout, generation: u32, offset: u32) -> Crc {
    layout.seed().with(&generation.to_le_bytes()).with(&offset.to_le_bytes())
}

/// The head of a frame and the checksum over it.
pub(super) fn head(seed: Crc, kind: Kind, field: u32, len: u16) -> ([u8; HEAD], Crc) {
    let [low, mid, high, _] = field.to_le_bytes();
    let [len_low, len_high] = len.to_le_bytes();
    let first = ((kind as u8) << 5) | (high & 0x1F);
    let crc = seed.with(&[first, low, mid, len_low, len_high]);
    let [check, ..] = crc.finish().to_le_bytes();
    ([first, low, mid, len_low, len_high, check], crc)
}

/// A head that was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) kind: Kind,
    pub(super) field: u32,
    pub(super) len: u16,
    pub(super) crc: Crc,
}

impl Head {
    pub(super) fn parse(seed: Crc, bytes: &[u8]) -> Option<Self> {
        let &[first, low, mid, len_low, len_high, check] = bytes.first_chunk::<HEAD>()?;
        let kind = Kind::of(first)?;
        let crc = seed.with(&[first, low, mid, len_low, len_high]);
        let [right, ..] = crc.finish().to_le_bytes();
        (check == right).then_some(Self {
            kind,
            field: u32::from_le_bytes([low, mid, first & 0x1F, 0]),
            len: u16::from_le_bytes([len_low, len_high]),
            crc,
        })
    }
}

/// A frame that was found whole.
#[derive(Debug, Clone, Copy)]
pub(super) struct View {
    pub(super) kind: Kind,
    pub(super) field: u32,
    /// Bytes of payload.
    pub(super) len: u16,
    /// Bytes of the frame with its padding.
    pub(super) size: u32,
    /// The first bytes of the payload.
    pub(super) lead: [u8; LEAD],
}

impl View {
    /// Whether a removal goes along.
    const fn removes(&self) -> bool {
        matches!(self.kind, Kind::Record | Kind::Placed | Kind::Slot) && self.field & REMOVES != 0
    }

    /// The number of a slot.
    pub(super) fn slot(&self) -> usize {
        usize::try_from(self.field & !REMOVES).unwrap_or(usize::MAX)
    }

    /// The number of a record in a page whose lowest number is `base`.
    pub(super) fn seq(&self, base: u64) -> Option<u64> {
        match self.kind {
            Kind::Record => base.checked_add((self.field & !REMOVES).into()),
            Kind::Placed => Some(u64::from_le_bytes(*self.lead.first_chunk()?)),
            _ => None,
        }
    }

    /// Bytes in front of the record or the value itself.
    pub(super) const fn skipped(&self) -> u16 {
        let placed = if matches!(self.kind, Kind::Placed) { PLACED } else { 0 };
        placed.saturating_add(self.along_len()) as u16
    }

    /// Bytes of the removal that goes along.
    pub(super) const fn along_len(&self) -> usize {
        if self.removes() { ALONG } else { 0 }
    }

    /// Bytes of the record or of the slot's value.
    pub(super) const fn content_len(&self) -> u16 {
        self.len.saturating_sub(self.skipped())
    }

    /// The numbers that a removal names.
    pub(super) fn removed(&self, base: u64) -> Option<(u64, u64)> {
        if self.removes() {
            let at = usize::from(self.skipped()).checked_sub(ALONG)?;
            let [low, mid, high, more] = *self.lead.get(at..)?.first_chunk::<ALONG>()?;
            let distance = u64::from(u32::from_le_bytes([low, mid, high, 0]));
            let first = base.checked_add(distance)?.checked_sub(NEAR)?;
            return Some((first, first.checked_add(more.into())?));
        }
        if !matches!(self.kind, Kind::Removed | Kind::Aside) {
            return None;
        }
        let (low, high) = self.lead.split_first_chunk::<8>()?;
        let (low, high) = (u64::from_le_bytes(*low), u64::from_le_bytes(*high.first_chunk()?));
        if usize::from(self.len) == LEAD {
            return (low <= high).then_some((low, high));
        }
        let first = base.checked_add(self.field.into())?.checked_sub(BEHIND.into())?;
        Some((first, first.checked_add(low)?))
    }
}

/// How far before the page's lowest number a short removal may start.
const BEHIND: u32 = FIELDS / 2;

/// How far before the page's lowest number, or behind it, a removal that goes along may start.
const NEAR: u64 = 1 << 23;

/// Whether a removal can go along with any frame of a page whose lowest number is between `lowest` and `next`.
pub(super) const fn goes_along(lowest: u64, next: u64, first: u64, last: u64) -> bool {
    let reach = next.saturating_sub(if lowest < first { lowest } else { first });
    reach < NEAR && first <= last && last < next && last.saturating_sub(first) <= u8::MAX as u64
}

/// What goes in front of a record or a value: the number of a record that stands far from the lowest one of its
/// page, and the removal that [goes along](goes_along). Returns the field of the frame and how many bytes it took.
pub(super) fn front(
    kind: Kind,
    field: u32,
    number: u64,
    base: u64,
    along: Option<(u64, u64)>,
    buffer: &mut [u8; LEAD],
) -> Option<(u32, usize)> {
    let mut len = 0;
    if kind == Kind::Placed {
        *buffer.first_chunk_mut()? = number.to_le_bytes();
        len = PLACED;
    }
    let Some((first, last)) = along else { return Some((field, len)) };
    let distance = first.saturating_add(NEAR).checked_sub(base)?;
    let more = u8::try_from(last.checked_sub(first)?).ok()?;
    let [low, mid, high, 0, ..] = distance.to_le_bytes() else { return None };
    *buffer.get_mut(len..)?.first_chunk_mut()? = [low, mid, high, more];
    Some((field | REMOVES, len.saturating_add(ALONG)))
}

/// The field of a removal, and how many bytes of `payload` it takes.
pub(super) fn removal(base: u64, first: u64, last: u64, payload: &mut [u8; LEAD]) -> (u32, usize) {
    let field = (first.saturating_add(BEHIND.into())).checked_sub(base);
    if let Some(field) = field.and_then(|field| u32::try_from(field).ok()).filter(|field| *field < FIELDS) {
        let more = last.saturating_sub(first);
        let used = 64_u32.saturating_sub(more.leading_zeros()).div_ceil(8);
        payload.iter_mut().zip(more.to_le_bytes()).for_each(|(to, from)| *to = from);
        return (field, usize::try_from(used).unwrap_or(8));
    }
    let both = first.to_le_bytes().into_iter().chain(last.to_le_bytes());
    payload.iter_mut().zip(both).for_each(|(to, from)| *to = from);
    (0, LEAD)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(kind: Kind, field: u32, lead: [u8; LEAD], len: usize) -> View {
        View { kind, field, len: u16::try_from(len).unwrap(), size: 0, lead }
    }

    #[test]
    fn a_removal_comes_back_whatever_its_numbers_are() {
        let far = u64::from(FIELDS);
        for base in [1, 100, far, 3 * far, u64::MAX - far] {
            for first in [0, 1, 99, base, base - base.min(far), base + far / 2, u64::MAX] {
                for more in [0, 1, 255, 256, far, u64::MAX] {
                    let last = first.saturating_add(more);
                    let mut payload = [0; LEAD];
                    let (field, len) = removal(base, first, last, &mut payload);
                    assert!(field < FIELDS);
                    let found = view(Kind::Removed, field, payload, len).removed(base);
                    assert_eq!(found, Some((first, last)), "{base} {first} {last}");
                }
            }
        }
        let (_, len) = removal(50, 7, 7, &mut [0; LEAD]);
        assert_eq!(len, 0, "the removal of one record is as short as a frame can be");
    }

    #[test]
    fn a_removal_goes_along_with_what_is_near() {
        let far = NEAR - 1;
        for (base, next, first, last) in [
            (1, 2, 1, 1),
            (1, 300, 1, 256),
            (5, 5 + far, 5, 5),
            (100, 90 + far, 90, 90 + 255),
            (7, 6 + far, 5 + far, 5 + far),
            (far * 9, far * 9 + 1, far * 9 - 80, far * 9),
        ] {
            assert!(goes_along(base.min(first), next, first, last), "{base} {next} {first} {last}");
            for kind in [Kind::Record, Kind::Placed, Kind::Slot] {
                let mut buffer = [0; LEAD];
                let (field, len) = front(kind, 3, next, base, Some((first, last)), &mut buffer).unwrap();
                let view = view(kind, field, buffer, len + 20);
                assert_eq!(view.removed(base), Some((first, last)), "{base} {next} {first} {last}");
                assert_eq!((usize::from(view.skipped()), view.content_len(), view.slot()), (len, 20, 3));
                let seq = match kind {
                    Kind::Record => Some(base + 3),
                    Kind::Placed => Some(next),
                    _ => None,
                };
                assert_eq!(view.seq(base), seq);
            }
        }
        for (lowest, next, first, last) in
            [(1, 300, 1, 257), (1, 9, 5, 9), (1, 9, 5, 4), (1, 1 + NEAR, 5, 5), (50, 5 + NEAR, 5, 5)]
        {
            assert!(!goes_along(lowest, next, first, last), "{lowest} {next} {first} {last}");
        }
        let front =
            |base, first, last| front(Kind::Slot, 3, 0, base, Some((first, last)), &mut [0; LEAD]).is_some();
        assert!(front(1, NEAR, NEAR) && front(NEAR + 8, 8, 8));
        assert!(!front(1, NEAR + 1, NEAR + 1) && !front(NEAR + 9, 8, 8) && !front(1, 1, 257));
    }

    #[test]
    fn a_head_holds_only_where_it_was_written() {
        let layout = Layout::for_tests(256, 4, 4);
        let (bytes, crc) = head(seed(&layout, 9, 32), Kind::Slot, FIELDS - 1, u16::MAX);

        let found = Head::parse(seed(&layout, 9, 32), &bytes).unwrap();
        assert_eq!((found.kind, found.field, found.len), (Kind::Slot, FIELDS - 1, u16::MAX));
        assert_eq!(found.crc, crc);
        let strangers = (0..1000).filter(|at| Head::parse(seed(&layout, 10, *at), &bytes).is_some());
        assert!(strangers.count() < 20);
        assert!(Head::parse(seed(&layout, 9, 32), &[0; HEAD]).is_none());
        assert!(Head::parse(seed(&layout, 9, 32), &[0xFF; HEAD]).is_none());
    }
}
