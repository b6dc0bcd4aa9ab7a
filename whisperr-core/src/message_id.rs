//! The idempotency key of an event.

use core::fmt;

use crate::storage::Seq;

/// The `$message_id` of one event: made once, stored with it, the same on every retry.
///
/// 128 bits in the form of a version 8 UUID: 74 bits name the session (device entropy, boot number
/// and seed mixed), 48 bits are the operation's [`Seq`]. Within a device the sequence never repeats,
/// so ids stay unique even where the seed is poor; between devices and copied storages the
/// session tells them apart.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct MessageId([u8; 16]);

impl MessageId {
    /// The id of operation `seq` in `session`.
    pub(crate) const fn new(session: u128, seq: Seq) -> Self {
        // 62 bits below carry the variant, 14 bits of session and the sequence.
        let session = session ^ ((seq.get() >> 48) as u128);
        let upper = ((session >> 14) & 0x0fff_ffff_ffff_ffff) as u64;
        let upper = ((upper >> 12) << 16) | 0x8000 | (upper & 0x0fff);
        let lower = (0b10 << 62) | (((session & 0x3fff) as u64) << 48) | (seq.get() & 0x0000_ffff_ffff_ffff);
        Self((((upper as u128) << 64) | lower as u128).to_be_bytes())
    }

    /// The id with these bytes, as stored.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes of the id.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The text of the id, as on the wire: 36 characters of lower-case hex and hyphens.
    #[must_use]
    pub const fn to_text(self) -> [u8; UUID_TEXT_BYTES] {
        uuid_text(&self.0)
    }
}

/// Characters of a UUID.
pub(crate) const UUID_TEXT_BYTES: usize = 36;

/// Sixteen bytes as a lower-case UUID.
#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a constant walk over fixed arrays, which const code cannot iterate"
)]
pub(crate) const fn uuid_text(bytes: &[u8; 16]) -> [u8; UUID_TEXT_BYTES] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut text = [b'-'; UUID_TEXT_BYTES];
    let (mut from, mut to) = (0, 0);
    while from < bytes.len() {
        if matches!(to, 8 | 13 | 18 | 23) {
            to += 1;
        }
        text[to] = HEX[(bytes[from] >> 4) as usize];
        text[to + 1] = HEX[(bytes[from] & 15) as usize];
        from += 1;
        to += 2;
    }
    text
}

/// Marks sixteen random bytes as a version 4 UUID.
pub(crate) const fn uuid_v4(random: u128) -> [u8; 16] {
    const VERSION: u128 = 0xf << 76;
    const VARIANT: u128 = 0b11 << 62;
    ((random & !VERSION & !VARIANT) | (4 << 76) | (0b10 << 62)).to_be_bytes()
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(core::str::from_utf8(&self.to_text()).unwrap_or_default())
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    #[test]
    fn ids_are_version_8_uuids_ending_in_the_sequence() {
        let id = MessageId::new(u128::MAX, Seq::new(0x1234));

        assert_eq!(id.to_string(), "ffffffff-ffff-8fff-bfff-000000001234");
        assert_eq!(MessageId::new(0, Seq::FIRST).to_string(), "00000000-0000-8000-8000-000000000001");
    }

    #[test]
    fn each_bit_of_session_and_sequence_tells_ids_apart() {
        let base = MessageId::new(0, Seq::new(0));
        for bit in 0..74 {
            assert_ne!(MessageId::new(1 << bit, Seq::new(0)), base, "session bit {bit}");
        }
        for bit in 0..64 {
            assert_ne!(MessageId::new(0, Seq::new(1 << bit)), base, "sequence bit {bit}");
        }
    }

    #[test]
    fn random_uuids_carry_version_and_variant() {
        for random in [0, u128::MAX] {
            let text = uuid_text(&uuid_v4(random));
            assert_eq!(text[14], b'4');
            assert!(matches!(text[19], b'8'..=b'b'));
        }
    }
}
