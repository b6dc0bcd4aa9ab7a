//! Reads everything that a queue file holds.

use whisperr_core::{Fault, Seq, Storage, ready};
use whisperr_std::file::{FileError, FileStorage};

use crate::workload;

/// One record: its sequence number, and the operation it is of; none when its bytes are not right.
pub(crate) type Found = (Seq, Option<u64>);

/// The oldest records, at most `most` of them.
pub(crate) fn oldest(storage: &mut FileStorage, most: usize) -> Result<Vec<Found>, Fault<FileError>> {
    let mut found = Vec::new();
    let mut buffer = vec![0; 4096];
    let mut from = Seq::FIRST;
    while found.len() < most {
        // The storage never waits.
        let Some(stored) = ready(storage.read(from, &mut buffer)).transpose()?.flatten() else { break };
        let number = buffer.get(..stored.len).and_then(workload::number);
        found.push((stored.seq, number));
        from = stored.seq.next();
    }
    Ok(found)
}
