//! Where every owed record stands, by sequence number.

use std::collections::VecDeque;

use super::frame::{PLACED_OVERHEAD, RECORD_OVERHEAD};
use super::segment::Span;

/// The place of one record. 24 bytes of memory for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) seq: u64,
    /// Which segment, by the order of its opening.
    pub(super) key: u32,
    /// Where its frame starts.
    pub(super) offset: u32,
    /// Length of the record.
    pub(super) len: u16,
    /// Whether the frame carries the whole sequence number.
    pub(super) placed: bool,
}

const _: () = assert!(size_of::<Entry>() <= 24);

impl Entry {
    pub(super) fn frame_bytes(&self) -> usize {
        let overhead = if self.placed { PLACED_OVERHEAD } else { RECORD_OVERHEAD };
        usize::from(self.len).saturating_add(overhead)
    }
}

/// All owed records, sorted.
///
/// A removal moves the shorter side of what is left. Records go from the front, or from behind the
/// few that are kept at the front, so little moves.
#[derive(Debug, Default)]
pub(super) struct Index {
    entries: VecDeque<Entry>,
    /// Frame bytes of all entries.
    bytes: u64,
}

impl Index {
    /// An index of `entries`, which are sorted and have no number twice.
    pub(super) fn from_sorted(entries: Vec<Entry>) -> Self {
        let bytes = entries.iter().map(|entry| entry.frame_bytes() as u64).sum();
        Self { entries: entries.into(), bytes }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds the newest record.
    pub(super) fn push(&mut self, entry: Entry) {
        debug_assert!(self.entries.back().is_none_or(|last| last.seq < entry.seq), "order");
        self.bytes = self.bytes.saturating_add(entry.frame_bytes() as u64);
        self.entries.push_back(entry);
    }

    /// The oldest record whose number is `from` or higher.
    pub(super) fn find(&self, from: u64) -> Option<Entry> {
        if let Some(first) = self.entries.front()
            && from <= first.seq
        {
            return Some(*first);
        }
        self.entries.get(self.position(from)).copied()
    }

    /// The record with this number.
    pub(super) fn get(&self, seq: u64) -> Option<Entry> {
        self.find(seq).filter(|entry| entry.seq == seq)
    }

    /// Gives a record that is there another place.
    pub(super) fn replace(&mut self, entry: Entry) {
        let at = self.position(entry.seq);
        if let Some(old) = self.entries.get_mut(at).filter(|old| old.seq == entry.seq) {
            self.bytes = self
                .bytes
                .saturating_sub(old.frame_bytes() as u64)
                .saturating_add(entry.frame_bytes() as u64);
            *old = entry;
        }
    }

    /// Takes every record of `span` out and calls `gone` for each.
    pub(super) fn remove(&mut self, span: Span, mut gone: impl FnMut(Entry)) {
        let first = self.position(span.first);
        let end = self.entries.partition_point(|entry| entry.seq <= span.last);
        if first < end {
            for entry in self.entries.drain(first..end) {
                self.bytes = self.bytes.saturating_sub(entry.frame_bytes() as u64);
                gone(entry);
            }
        }
    }

    /// Whether no record lies between the two numbers, both excluded.
    pub(super) fn none_between(&self, low: u64, high: u64) -> bool {
        self.find(low.saturating_add(1)).is_none_or(|entry| entry.seq >= high)
    }

    /// Every record, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
    }

    /// Walks jump to `from` by guessing that numbers have no gaps, and search if they have.
    fn position(&self, from: u64) -> usize {
        let guess = self.entries.front().map_or(0, |first| from.saturating_sub(first.seq));
        let guess = usize::try_from(guess).unwrap_or(usize::MAX);
        if self.entries.get(guess).is_some_and(|entry| entry.seq == from) {
            return guess;
        }
        self.entries.partition_point(|entry| entry.seq < from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(seq: u64) -> Entry {
        Entry { seq, key: 0, offset: 0, len: 5, placed: false }
    }

    #[test]
    fn a_walk_finds_the_record_or_the_next() {
        let index = Index::from_sorted([2, 3, 7, 9].map(entry).to_vec());

        for (from, found) in
            [(0, Some(2)), (2, Some(2)), (3, Some(3)), (4, Some(7)), (9, Some(9)), (10, None)]
        {
            assert_eq!(index.find(from).map(|entry| entry.seq), found, "{from}");
        }
        assert!(index.none_between(3, 7));
        assert!(!index.none_between(3, 8));
    }

    #[test]
    fn removed_records_are_gone_and_their_bytes_with_them() {
        let mut index = Index::from_sorted((1..=9).map(entry).collect());
        let mut gone = Vec::new();

        index.remove(Span { first: 3, last: 5 }, |entry| gone.push(entry.seq));
        index.remove(Span { first: 9, last: u64::MAX }, |entry| gone.push(entry.seq));
        index.remove(Span { first: 100, last: 3 }, |entry| gone.push(entry.seq));

        assert_eq!(gone, [3, 4, 5, 9]);
        assert_eq!(index.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [1, 2, 6, 7, 8]);
        assert_eq!(index.bytes(), 5 * 15);
    }
}
