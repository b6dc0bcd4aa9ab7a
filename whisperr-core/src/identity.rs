//! Who the device speaks of: the current user, the anonymous visitor, the device itself.

use crate::dating::{DATING_BYTES, Dating};
use crate::message_id::uuid_v4;
#[cfg(whisperr_planted)]
use crate::planted::{self, Bug};
use crate::rng::{Rng, mix};
use crate::storage::{Fault, Slot, Storage};
use crate::user::{USER_ID_BYTES_MAX, UserId};

/// The state of identity, as last written to its slots. Memory follows the storage, never leads it.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    user: [u8; USER_ID_BYTES_MAX],
    user_len: usize,
    anonymous: Option<[u8; 16]>,
}

impl Identity {
    pub(crate) async fn load<S: Storage>(storage: &mut S) -> Result<Self, Fault<S::Error>> {
        let mut user = [0; USER_ID_BYTES_MAX];
        let user_len = storage.load(Slot::Identity, &mut user).await?;
        let mut anonymous = [0; 16];
        let known = storage.load(Slot::Anonymous, &mut anonymous).await? == anonymous.len();
        Ok(Self { user, user_len, anonymous: known.then_some(anonymous) })
    }

    pub(crate) fn user(&self) -> Option<UserId<'_>> {
        let id = self.user.get(..self.user_len).and_then(|id| core::str::from_utf8(id).ok())?;
        UserId::parse(id).ok()
    }

    pub(crate) const fn anonymous(&self) -> Option<[u8; 16]> {
        self.anonymous
    }

    pub(crate) async fn set_user<S: Storage>(
        &mut self,
        storage: &mut S,
        user: UserId<'_>,
    ) -> Result<(), Fault<S::Error>> {
        let id = user.as_str().as_bytes();
        // The same user again costs no write: flash wears out.
        if self.user.get(..self.user_len) == Some(id) {
            return Ok(());
        }
        storage.store(Slot::Identity, id).await?;
        self.user.iter_mut().zip(id).for_each(|(to, from)| *to = *from);
        self.user_len = id.len();
        Ok(())
    }

    /// The anonymous id, made on first use and stored before anything carries it.
    pub(crate) async fn ensure_anonymous<S: Storage>(
        &mut self,
        storage: &mut S,
        rng: &mut Rng,
    ) -> Result<[u8; 16], Fault<S::Error>> {
        if let Some(id) = self.anonymous {
            return Ok(id);
        }
        // Two starts that draw the same numbers, for want of entropy and of a medium that took the count
        // of the starts, differ in how far the queue has come: visitors must not be linked.
        let come = mix(storage.next_seq().get());
        let id = uuid_v4(rng.next_u128().wrapping_add(come.into()));
        storage.store(Slot::Anonymous, &id).await?;
        self.anonymous = Some(id);
        Ok(id)
    }

    /// Forgets the user and the visitor. The visitor goes first: a cut between the two leaves the
    /// user signed in, as if the call had not been made, and never links two people.
    pub(crate) async fn reset<S: Storage>(&mut self, storage: &mut S) -> Result<(), Fault<S::Error>> {
        #[cfg(whisperr_planted)]
        if planted::is(Bug::ForgetReset) {
            self.user_len = 0;
        }
        #[cfg(whisperr_planted)]
        if planted::is(Bug::KeepVisitor) && self.user_len > 0 {
            storage.store(Slot::Identity, &[]).await?;
            self.user_len = 0;
            return Ok(());
        }
        if self.anonymous.is_some() {
            storage.store(Slot::Anonymous, &[]).await?;
            self.anonymous = None;
        }
        if self.user_len > 0 {
            storage.store(Slot::Identity, &[]).await?;
            self.user_len = 0;
        }
        Ok(())
    }
}

/// The device as message ids and dates know it: how often it started, its own entropy, and when the
/// boots started whose events are not dated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Boot {
    /// Counts from 1.
    pub(crate) number: u32,
    /// Collected over all boots, so that one good seed is enough.
    entropy: u64,
    pub(crate) dating: Dating,
}

/// Bytes of number and entropy, in front of the dating.
const BOOT_HEAD: usize = 12;

impl Boot {
    /// Counts this start and mixes its seed into what earlier ones left.
    pub(crate) async fn start<S: Storage>(storage: &mut S, seed: u128) -> Result<Self, Fault<S::Error>> {
        let mut buffer = [0; BOOT_HEAD + DATING_BYTES];
        let len = storage.load(Slot::Boot, &mut buffer).await?;
        let stored = buffer.get(..len).unwrap_or_default();
        let (number, entropy, dating) = match stored.split_first_chunk::<BOOT_HEAD>() {
            Some(([n0, n1, n2, n3, entropy @ ..], dating)) => {
                let number = u32::from_le_bytes([*n0, *n1, *n2, *n3]);
                (number, u64::from_le_bytes(*entropy), Dating::from_bytes(dating))
            }
            None => (0, 0, Dating::default()),
        };
        let fresh = mix(seed as u64).wrapping_add(mix((seed >> 64) as u64 ^ 0x5eed));
        Ok(Self { number: number.wrapping_add(1), entropy: mix(entropy ^ fresh), dating })
    }

    /// Writes the state of this boot down.
    pub(crate) async fn store<S: Storage>(&self, storage: &mut S) -> Result<(), Fault<S::Error>> {
        let mut buffer = [0; BOOT_HEAD + DATING_BYTES];
        let head = self.number.to_le_bytes().into_iter().chain(self.entropy.to_le_bytes());
        let bytes = head.chain(self.dating.to_bytes());
        buffer.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        storage.store(Slot::Boot, &buffer).await
    }

    /// What tells the message ids of this boot from those of every other boot and device.
    pub(crate) const fn session(&self, seed: u128) -> u128 {
        let high = mix(self.entropy ^ (seed >> 64) as u64);
        let low = mix(high ^ seed as u64 ^ self.number as u64);
        ((high as u128) << 64) | low as u128
    }
}
