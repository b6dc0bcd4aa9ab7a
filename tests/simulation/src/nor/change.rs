//! What a log must hold, and how it changes.

use std::collections::BTreeMap;

use whisperr_core::Slot;

/// What stands in every record, so that deleted ones can be looked for.
pub(super) const MARK: &[u8] = b"\xA5\x5Acontact";

/// What a log must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) records: BTreeMap<u64, Vec<u8>>,
    pub(super) slots: [Vec<u8>; Slot::ALL.len()],
    /// No number below this is given out again.
    pub(super) next: u64,
}

/// A change of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    Append {
        seq: u64,
        record: Vec<u8>,
    },
    Remove {
        first: u64,
        last: u64,
    },
    Store {
        slot: Slot,
        value: Vec<u8>,
    },
    /// Both, or neither.
    RemoveWith {
        first: u64,
        last: u64,
        with: Box<Self>,
    },
    Wipe,
}

impl core::fmt::Display for Change {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Append { seq, record } => write!(f, "append {seq} of {} bytes", record.len()),
            Self::Remove { first, last } => write!(f, "remove {first} to {last}"),
            Self::Store { slot, value } => write!(f, "store {slot:?} of {} bytes", value.len()),
            Self::RemoveWith { first, last, with } => write!(f, "remove {first} to {last} and {with}"),
            Self::Wipe => f.write_str("wipe"),
        }
    }
}

impl Change {
    pub(super) const fn remove(first: u64, last: u64) -> Self {
        Self::Remove { first, last }
    }

    pub(super) fn apply(&self, content: &mut Content) {
        match self {
            Self::Append { seq, record } => {
                content.records.insert(*seq, record.clone());
                content.next = seq.saturating_add(1);
            }
            Self::Remove { first, last } => content.records.retain(|seq, _| seq < first || seq > last),
            Self::Store { slot, value } => {
                if let Some(held) = content.slots.get_mut(usize::from(slot.number())) {
                    held.clone_from(value);
                }
            }
            Self::RemoveWith { first, last, with } => {
                Self::remove(*first, *last).apply(content);
                with.apply(content);
            }
            Self::Wipe => content.records.clear(),
        }
    }
}

/// Whether a log holds what is right; numbers may be left out.
pub(super) fn same(found: &Content, right: &Content) -> bool {
    found.records == right.records && found.slots == right.slots && found.next >= right.next
}

/// What is appended under a number.
pub(super) fn record(seq: u64, bytes: usize) -> Vec<u8> {
    let filler = (0..).map(|at: u64| (seq.wrapping_mul(31).wrapping_add(at) & 0xFF) as u8);
    let mark = if bytes >= 24 { MARK } else { &[] };
    mark.iter().copied().chain(filler).take(bytes).collect()
}
