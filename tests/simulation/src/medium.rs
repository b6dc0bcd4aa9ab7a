//! What a restart finds: the medium under a client's storage.

use core::fmt;

use whisperr_core::Storage;

use crate::choices::Choices;
use crate::coverage::Seen;
use crate::storage::SimStorage;

/// A medium that outlives the clients over it. Implement it for a storage of your own to run the
/// whole simulation over it: [`life`](crate::life) needs nothing else.
pub trait Medium {
    /// What a client gets.
    type Storage: Storage<Error: fmt::Debug> + 'static;

    /// A storage over what the medium holds, as after a start of the device.
    ///
    /// # Errors
    /// What went wrong, in words. Only while faults are switched on, or the power is cut meanwhile.
    fn open(&mut self) -> Result<Self::Storage, String>;

    /// The process dies; with `power`, everything dies that is not durable. What survives of the
    /// rest is drawn from `choices`.
    fn crash(&mut self, choices: &Choices, power: bool, seen: &mut Seen);

    /// A copy as a power cut at this moment would leave it, while this one goes on.
    fn after_cut(&self, choices: &Choices) -> Self
    where
        Self: Sized;

    /// Makes everything durable that was accepted or removed so far; `false` when that failed. A
    /// medium whose every `Ok` is durable has nothing to do.
    fn sync(_storage: &mut Self::Storage) -> bool {
        true
    }

    /// Whether an `Ok` is durable only after [`sync`](Self::sync).
    const SYNCS: bool = false;

    /// Plans a fault of the medium's own, somewhere in the calls ahead.
    fn plan_fault(&mut self, _choices: &Choices, _seen: &mut Seen) {}

    /// Plans a power cut in the middle of the calls ahead.
    fn plan_cut(&mut self, _choices: &Choices) {}

    /// Whether the power was cut by [`plan_cut`](Self::plan_cut).
    fn is_off(&self) -> bool {
        false
    }

    /// Damages what is stored, where the medium can be damaged at rest; `false` when it cannot.
    fn rot(&mut self, _choices: &Choices, _seen: &mut Seen) -> bool {
        false
    }

    /// Ends every fault.
    fn heal(&mut self);

    /// What the medium does beside the calls: the thread that syncs, the kernel that writes back.
    fn background(&mut self, _storage: &mut Self::Storage, _choices: &Choices) {}

    /// All bytes that a person with the medium in hand could read.
    fn raw(&self) -> Vec<u8> {
        Vec::new()
    }
}

/// Memory whose every `Ok` is durable: it survives the client, and nothing goes wrong on its own.
impl Medium for SimStorage {
    type Storage = Self;

    fn open(&mut self) -> Result<Self, String> {
        Ok(self.clone())
    }

    fn crash(&mut self, _choices: &Choices, _power: bool, _seen: &mut Seen) {}

    fn after_cut(&self, _choices: &Choices) -> Self {
        self.copied()
    }

    fn heal(&mut self) {
        self.set_faults(crate::storage::StorageFaults::default());
    }
}
