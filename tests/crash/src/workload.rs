//! The operations of a victim: the same for the same numbers, so that the checker knows every byte.

/// The record of operation `n`.
pub(crate) fn record(n: u64) -> Vec<u8> {
    let mut bytes = format!("{n};").into_bytes();
    // Some are longer than the smallest segments, most are as long as an event.
    let length = if n % 17 == 16 { 1500 } else { 20_u64.saturating_add(n.wrapping_mul(37) % 200) };
    let filler = (0..length).map(|at| at.wrapping_mul(n).wrapping_add(n) as u8);
    bytes.extend(filler);
    bytes
}

/// The number of a record, if it is that operation's, byte by byte.
pub(crate) fn number(bytes: &[u8]) -> Option<u64> {
    let end = bytes.iter().position(|byte| *byte == b';')?;
    let n = str::from_utf8(bytes.get(..end)?).ok()?.parse().ok()?;
    (record(n) == bytes).then_some(n)
}

/// What a storage victim does beside appending operation `n`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beside {
    Nothing,
    /// Removes the oldest records, as a delivery does.
    RemoveOldest(usize),
    /// Replaces the slot.
    Store,
    /// Deletes everything, as an opt-out does.
    Wipe,
}

pub(crate) const fn beside(n: u64) -> Beside {
    // Rare: it would hide what was lost before.
    if n % 111 == 30 {
        return Beside::Wipe;
    }
    match n % 37 {
        4 | 18 | 25 => Beside::RemoveOldest(3),
        11 | 33 => Beside::RemoveOldest(1),
        8 | 21 => Beside::Store,
        _ => Beside::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_names_its_number_and_a_changed_one_does_not() {
        for n in [1, 16, 42, u64::from(u32::MAX)] {
            let mut bytes = record(n);
            assert_eq!(number(&bytes), Some(n));
            *bytes.last_mut().unwrap() ^= 1;
            assert_eq!(number(&bytes), None);
        }
        assert_eq!(number(b"7;"), None);
        assert_eq!(number(b""), None);
    }
}
