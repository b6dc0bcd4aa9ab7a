//! Several records copied out of the storage at once, so that the lock is taken once for them.

use crate::storage::{Fault, Seq, Storage, Stored};

/// Most records under one lock: a caller of `track` waits for no more than these.
const RECORDS_MAX: usize = 16;

/// Where copied records lie in the buffer they were copied into.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fetched {
    records: [Option<Stored>; RECORDS_MAX],
}

impl Fetched {
    /// Copies records in `from..=last` into `buffer`, as many as fit. A first one that is larger
    /// than the buffer is named all the same.
    pub(crate) async fn read<S: Storage>(
        storage: &mut S,
        mut from: Seq,
        last: Seq,
        buffer: &mut [u8],
    ) -> Result<Self, Fault<S::Error>> {
        let mut fetched = Self { records: [None; RECORDS_MAX] };
        let mut used = 0_usize;
        for record in &mut fetched.records {
            let free = buffer.get_mut(used..).unwrap_or_default();
            let room = free.len();
            let Some(stored) = storage.read(from, free).await? else { break };
            if stored.seq > last || (stored.len > room && used > 0) {
                break;
            }
            *record = Some(stored);
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
        self.records.iter().flatten().last().map(|stored| stored.seq)
    }

    /// The records in order, with their bytes; none for one that did not fit.
    pub(crate) fn iter<'a>(&'a self, buffer: &'a [u8]) -> impl Iterator<Item = (Stored, &'a [u8])> {
        let mut start = 0_usize;
        self.records.iter().flatten().map(move |stored| {
            let end = start.saturating_add(stored.len);
            let record = buffer.get(start..end).unwrap_or_default();
            start = end;
            (*stored, record)
        })
    }
}
