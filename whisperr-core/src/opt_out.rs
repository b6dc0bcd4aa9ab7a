//! The choice not to be recorded (contract, section 8).

use crate::storage::{Fault, Seq, Slot, Storage};

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
    pub(crate) async fn load<S: Storage>(storage: &mut S) -> Result<Self, Fault<S::Error>> {
        let mut state = [0; 16];
        let len = storage.load(Slot::Consent, &mut state).await?;
        Ok(match state.get(..len) {
            Some([]) => Self::No,
            Some([DONE, farewell @ ..]) => {
                let farewell = farewell.first_chunk().map(|seq| u64::from_le_bytes(*seq));
                Self::Done { farewell: farewell.filter(|seq| *seq > 0).map(Seq::new) }
            }
            // Whatever a later version writes here, it is no consent.
            _ => Self::Begun,
        })
    }

    pub(crate) async fn store<S: Storage>(self, storage: &mut S) -> Result<(), Fault<S::Error>> {
        match self {
            Self::No => storage.store(Slot::Consent, &[]).await,
            Self::Begun => storage.store(Slot::Consent, &[BEGUN]).await,
            Self::Done { farewell } => {
                let [s0, s1, s2, s3, s4, s5, s6, s7] = farewell.map_or(0, Seq::get).to_le_bytes();
                storage.store(Slot::Consent, &[DONE, s0, s1, s2, s3, s4, s5, s6, s7]).await
            }
        }
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
