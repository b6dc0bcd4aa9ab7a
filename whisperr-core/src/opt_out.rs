//! The choice not to be recorded (contract, section 8).

use crate::kept::{Kept, Trouble};
use crate::storage::{Seq, Slot, Storage};

/// How far an opt-out is. It begins before anything is deleted, so that a crash at any point ends in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OptOut {
    /// Everything is recorded.
    No,
    /// Nothing is recorded any more; the queue is still to be deleted.
    Begun,
    /// Nothing is recorded, and nothing is there but the word to the server, if there was one to say.
    Done { farewell: Option<Seq> },
}

const BEGUN: u8 = 1;
const DONE: u8 = 2;

impl OptOut {
    /// What the slot says.
    pub(crate) fn of(slot: &[u8]) -> Self {
        match slot {
            [] => Self::No,
            [DONE, farewell @ ..] => {
                let farewell = farewell.first_chunk().map(|seq| u64::from_le_bytes(*seq));
                Self::Done { farewell: farewell.filter(|seq| *seq > 0).map(Seq::new) }
            }
            // Whatever a later version writes here, it is no consent.
            _ => Self::Begun,
        }
    }

    pub(crate) async fn store<S: Storage>(self, storage: &mut Kept<S>) -> Result<(), Trouble> {
        let mut value = [DONE; 9];
        let len = match self {
            Self::No => 0,
            Self::Begun => {
                value = [BEGUN; 9];
                1
            }
            Self::Done { farewell } => {
                if let Some((_, seq)) = value.split_first_chunk_mut::<1>() {
                    seq.copy_from_slice(&farewell.map_or(0, Seq::get).to_le_bytes());
                }
                value.len()
            }
        };
        storage.store(Slot::Consent, value.get(..len).unwrap_or_default()).await
    }

    /// The operation that opts the push token out.
    pub(crate) const fn farewell(self) -> Option<Seq> {
        match self {
            Self::Done { farewell } => farewell,
            Self::No | Self::Begun => None,
        }
    }

    pub(crate) const fn is_done(self) -> bool {
        matches!(self, Self::Done { .. })
    }
}
