//! Who the device speaks of: the current user, the anonymous visitor, the device itself.

use crate::channel::Channel;
use crate::dating::{DATING_BYTES, Dating};
use crate::encode::{Encoder, ValueError};
use crate::kept::{Kept, Trouble};
use crate::message_id::uuid_v4;
#[cfg(whisperr_planted)]
use crate::planted::{self, Bug};
use crate::push_token::{PUSH_TOKEN_BYTES_MAX, PushMetadata, PushToken};
use crate::rng::{Rng, mix};
use crate::storage::{Slot, Storage};
use crate::tree::Reader;
use crate::user::{USER_ID_BYTES_MAX, UserId};

/// The state of identity, as last written to its slots. Memory follows the storage, never leads it.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    who: Who,
    /// What is known of who it is: a push token waits only as long as there is no user, and two buffers would be
    /// an eighth of all the RAM that a client needs.
    text: [u8; TEXT_BYTES],
    len: usize,
    anonymous: Option<[u8; 16]>,
}

/// What the text of an [`Identity`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    /// The id of the current user, or nobody's when it is empty.
    User,
    /// A push token that was set before anybody was identified.
    Holder(PushMetadata),
}

/// Bytes of the longest text.
const TEXT_BYTES: usize =
    if USER_ID_BYTES_MAX > PUSH_TOKEN_BYTES_MAX { USER_ID_BYTES_MAX } else { PUSH_TOKEN_BYTES_MAX };

impl Identity {
    /// Nobody.
    pub(crate) const NOBODY: Self = Self { who: Who::User, text: [0; TEXT_BYTES], len: 0, anonymous: None };

    fn text(&self, who: Who) -> &[u8] {
        if self.who == who { self.text.get(..self.len).unwrap_or_default() } else { &[] }
    }

    fn set(&mut self, who: Who, text: &[u8]) {
        if let Some(place) = self.text.get_mut(..text.len()) {
            place.copy_from_slice(text);
            (self.who, self.len) = (who, text.len());
        }
    }

    /// Takes what the slot of the user holds.
    pub(crate) fn take_user(&mut self, slot: &[u8]) {
        self.set(Who::User, slot);
    }

    /// Takes what the slot of the visitor holds.
    pub(crate) fn take_anonymous(&mut self, slot: &[u8]) {
        self.anonymous = slot.try_into().ok();
    }

    pub(crate) fn user(&self) -> Option<UserId<'_>> {
        UserId::parse(core::str::from_utf8(self.text(Who::User)).ok()?).ok()
    }

    /// Keeps a push token until somebody is identified. Nothing while somebody is.
    pub(crate) fn hold(&mut self, token: PushToken<'_>) {
        if self.user().is_none() {
            self.set(Who::Holder(token.metadata), token.token.as_bytes());
        }
    }

    /// The token that waits for somebody to be identified.
    pub(crate) fn held(&self) -> Option<Channel<'_>> {
        let Who::Holder(metadata) = self.who else { return None };
        let token = core::str::from_utf8(self.text(self.who)).ok()?;
        Some(Channel::from(PushToken { token, metadata }))
    }

    /// Lets go of the token that waits.
    pub(crate) fn drop_held(&mut self) {
        if self.who != Who::User {
            (self.who, self.len) = (Who::User, 0);
        }
    }

    pub(crate) const fn anonymous(&self) -> Option<[u8; 16]> {
        self.anonymous
    }

    pub(crate) async fn set_user<S: Storage>(
        &mut self,
        storage: &mut Kept<S>,
        user: UserId<'_>,
    ) -> Result<(), Trouble> {
        let id = user.as_str().as_bytes();
        // The same user again costs no write: flash wears out.
        if self.text(Who::User) == id {
            return Ok(());
        }
        storage.store(Slot::Identity, id).await?;
        self.take_user(id);
        Ok(())
    }

    /// The anonymous id, made on first use and stored before anything carries it.
    pub(crate) async fn ensure_anonymous<S: Storage>(
        &mut self,
        storage: &mut Kept<S>,
        rng: &mut Rng,
    ) -> Result<[u8; 16], Trouble> {
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
    pub(crate) async fn reset<S: Storage>(&mut self, storage: &mut Kept<S>) -> Result<(), Trouble> {
        #[cfg(whisperr_planted)]
        if planted::is(Bug::ForgetReset) {
            self.take_user(&[]);
        }
        #[cfg(whisperr_planted)]
        if planted::is(Bug::KeepVisitor) && self.user().is_some() {
            storage.store(Slot::Identity, &[]).await?;
            self.take_user(&[]);
            return Ok(());
        }
        if self.anonymous.is_some() {
            storage.store(Slot::Anonymous, &[]).await?;
            self.anonymous = None;
        }
        // A token that waits for somebody goes on waiting.
        if !self.text(Who::User).is_empty() {
            storage.store(Slot::Identity, &[]).await?;
            self.take_user(&[]);
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
    /// Counts this start and mixes its seed into what earlier ones left in the slot.
    pub(crate) fn start(slot: &[u8], seed: u128) -> Self {
        let mut reader = Reader::new(slot);
        let number = reader.array().map_or(0, u32::from_le_bytes);
        let entropy = reader.array().map_or(0, u64::from_le_bytes);
        let dating = Dating::from_bytes(reader.rest());
        let fresh = mix(seed as u64).wrapping_add(mix((seed >> 64) as u64 ^ 0x5eed));
        Self { number: number.wrapping_add(1).max(1), entropy: mix(entropy ^ fresh), dating }
    }

    /// Writes the state of this boot down.
    pub(crate) async fn store<S: Storage>(&self, storage: &mut Kept<S>) -> Result<(), Trouble> {
        let mut buffer = [0; BOOT_HEAD + DATING_BYTES];
        let _it_fits = self.encode(&mut Encoder::new(&mut buffer));
        storage.store(Slot::Boot, &buffer).await
    }

    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), ValueError> {
        encoder.bytes(&self.number.to_le_bytes())?;
        encoder.bytes(&self.entropy.to_le_bytes())?;
        encoder.bytes(self.dating.as_bytes())
    }

    /// What tells the message ids of this boot from those of every other boot and device.
    pub(crate) const fn session(&self, seed: u128) -> u128 {
        let high = mix(self.entropy ^ (seed >> 64) as u64);
        let low = mix(high ^ seed as u64 ^ self.number as u64);
        ((high as u128) << 64) | low as u128
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boots_count_from_1_also_behind_the_last_number() {
        for (before, number) in [(None, 1), (Some(0), 1), (Some(7), 8), (Some(u32::MAX), 1)] {
            let mut slot = [0; BOOT_HEAD];
            let slot = before.map_or(&[][..], |before: u32| {
                slot[..4].copy_from_slice(&before.to_le_bytes());
                &slot
            });
            assert_eq!(Boot::start(slot, 5).number, number, "behind {before:?}");
        }
    }
}
