//! The choice not to be recorded (contract, section 8).

use crate::storage::{Fault, Slot, Storage};

/// How far an opt-out is. It begins before anything is deleted, so that a crash at any point ends in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OptOut {
    /// Everything is recorded.
    No,
    /// Nothing is recorded any more; the queue is still to be deleted.
    Begun,
    /// Nothing is recorded, and nothing is there but the word to the server.
    Done,
}

impl OptOut {
    pub(crate) async fn load<S: Storage>(storage: &mut S) -> Result<Self, Fault<S::Error>> {
        let mut state = [0; 16];
        let len = storage.load(Slot::Consent, &mut state).await?;
        Ok(match state.get(..len) {
            Some([]) => Self::No,
            Some([2]) => Self::Done,
            // Whatever a later version writes here, it is no consent.
            _ => Self::Begun,
        })
    }

    pub(crate) async fn store<S: Storage>(self, storage: &mut S) -> Result<(), Fault<S::Error>> {
        let state: &[u8] = match self {
            Self::No => &[],
            Self::Begun => &[1],
            Self::Done => &[2],
        };
        storage.store(Slot::Consent, state).await
    }
}
