//! Several records copied out of the storage at once, so that the lock is taken once for them.

use crate::kept::{Kept, Trouble};
use crate::storage::{Seq, Storage, Stored};

/// Most records under one lock: a caller of `track` waits for no more than these.
const RECORDS_MAX: usize = 16;

/// Where copied records lie in the buffer they were copied into.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fetched {
    // Side by side and not in pairs, which would have a third of padding: futures hold several of these.
    seqs: [Seq; RECORDS_MAX],
    lens: [u16; RECORDS_MAX],
    count: usize,
}

impl Fetched {
    /// Copies records in `from..=last` into `buffer`, as many as fit. A first one that is larger
    /// than the buffer is named all the same.
    pub(crate) async fn read<S: Storage>(
        storage: &mut Kept<S>,
        mut from: Seq,
        last: Seq,
        buffer: &mut [u8],
    ) -> Result<Self, Trouble> {
        let mut fetched = Self { seqs: [Seq::FIRST; RECORDS_MAX], lens: [0; RECORDS_MAX], count: 0 };
        let mut used = 0_usize;
        for (seq, len) in fetched.seqs.iter_mut().zip(&mut fetched.lens) {
            let free = buffer.get_mut(used..).unwrap_or_default();
            let room = free.len();
            let Some(stored) = storage.read(from, free).await? else { break };
            if stored.seq > last || (stored.len > room && used > 0) {
                break;
            }
            // No record is longer than that (`RECORD_BYTES_MAX`).
            (*seq, *len) = (stored.seq, u16::try_from(stored.len).unwrap_or(u16::MAX));
            fetched.count = fetched.count.saturating_add(1);
            used = used.saturating_add(stored.len);
            from = stored.seq.next();
            if stored.len > room {
                break;
            }
        }
        Ok(fetched)
    }

    /// The last one's number.
    pub(crate) fn last(&self) -> Option<Seq> {
        self.stored().last().map(|stored| stored.seq)
    }

    /// The records in order, with their bytes; none for one that did not fit.
    pub(crate) fn iter<'a>(&'a self, buffer: &'a [u8]) -> impl Iterator<Item = (Stored, &'a [u8])> {
        let mut start = 0_usize;
        self.stored().map(move |stored| {
            let end = start.saturating_add(stored.len);
            let record = buffer.get(start..end).unwrap_or_default();
            start = end;
            (stored, record)
        })
    }

    fn stored(&self) -> impl Iterator<Item = Stored> {
        let records = self.seqs.iter().zip(&self.lens).take(self.count);
        records.map(|(seq, len)| Stored { seq: *seq, len: (*len).into() })
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::{MemoryStorage, ready};
    use std::vec::Vec;

    /// Numbers, true lengths and copied bytes of what is fetched from records of these lengths.
    fn fetched(lengths: &[usize], from: u64, last: u64, buffer: &mut [u8]) -> Vec<(u64, usize, usize)> {
        let mut storage = Kept::new(MemoryStorage::new(std::vec![0; 4096]));
        for (seq, len) in (1..).zip(lengths) {
            let record = std::vec![seq as u8; *len];
            ready(storage.append(Seq::new(seq), &record)).unwrap().unwrap();
        }
        let fetched = ready(Fetched::read(&mut storage, Seq::new(from), Seq::new(last), buffer));
        let fetched = fetched.unwrap().unwrap();
        let found: Vec<_> = fetched.iter(buffer).collect();
        assert_eq!(fetched.last(), found.last().map(|(stored, _)| stored.seq));
        let whole = found.into_iter().map(|(Stored { seq, len }, record)| {
            assert!(record.iter().all(|byte| u64::from(*byte) == seq.get()), "{record:?}");
            (seq.get(), len, record.len())
        });
        whole.collect()
    }

    #[test]
    fn records_are_copied_together_as_far_as_they_fit_and_belong_to_the_range() {
        let mut buffer = [0; 10];

        assert_eq!(fetched(&[4, 6, 1], 1, 9, &mut buffer), [(1, 4, 4), (2, 6, 6)]);
        // The second fits into the buffer, and not behind the first: it is the next one's first.
        assert_eq!(fetched(&[4, 7, 1], 1, 9, &mut buffer), [(1, 4, 4)]);
        assert_eq!(fetched(&[4, 7, 1], 2, 9, &mut buffer), [(2, 7, 7), (3, 1, 1)]);
        assert_eq!(fetched(&[1, 1, 1, 1], 2, 3, &mut buffer), [(2, 1, 1), (3, 1, 1)]);
        assert_eq!(fetched(&[1, 1], 3, 9, &mut buffer), []);
        assert_eq!(fetched(&[1; 20], 1, 20, &mut [0; 64]).len(), RECORDS_MAX);
    }

    #[test]
    fn a_record_larger_than_the_whole_buffer_is_named_alone_and_without_its_bytes() {
        let mut buffer = [0; 10];

        assert_eq!(fetched(&[11, 1], 1, 9, &mut buffer), [(1, 11, 0)]);
        assert_eq!(fetched(&[1, 11, 1], 1, 9, &mut buffer), [(1, 1, 1)]);
        assert_eq!(fetched(&[10, 1], 1, 9, &mut buffer), [(1, 10, 10)]);
    }
}
