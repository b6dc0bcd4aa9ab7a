//! The push token that was last delivered, and for whom (contract, section 7).

use crate::channel::Channel;
use crate::push_token::{PUSH_TOKEN_BYTES_MAX, PushMetadata, PushToken};
use crate::storage::{Fault, SLOT_BYTES_MAX, Seq, Slot, Storage};
use crate::user::{USER_ID_BYTES_MAX, UserId};

/// The layout of the slot written by this version.
const VERSION: u8 = 1;

/// Version, the operation, and the length of the user id.
const HEAD: usize = 11;

const _: () = assert!(HEAD + USER_ID_BYTES_MAX + PUSH_TOKEN_BYTES_MAX <= SLOT_BYTES_MAX);

/// A pair of user and token, as the slot holds it.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    bytes: [u8; SLOT_BYTES_MAX],
    len: usize,
}

impl Pair {
    /// What the slot holds; a layout of another version is as if there was none.
    pub(crate) async fn load<S: Storage>(storage: &mut S) -> Result<Self, Fault<S::Error>> {
        let mut pair = Self { bytes: [0; SLOT_BYTES_MAX], len: 0 };
        pair.len = storage.load(Slot::Push, &mut pair.bytes).await?;
        Ok(pair)
    }

    /// This token, delivered for this user by the operation `seq`.
    pub(crate) fn new(seq: Seq, user: UserId<'_>, token: &str) -> Self {
        let mut bytes = [0; SLOT_BYTES_MAX];
        let (user, token) = (user.as_str().as_bytes(), token.as_bytes());
        let user_len = u16::try_from(user.len()).unwrap_or(u16::MAX).to_le_bytes();
        let head = [VERSION].into_iter().chain(seq.get().to_le_bytes()).chain(user_len);
        let all = head.chain(user.iter().copied()).chain(token.iter().copied());
        let len = bytes.iter_mut().zip(all).map(|(to, from)| *to = from).count();
        Self { bytes, len }
    }

    /// The operation that carries the pair, its user and its token.
    fn parts(&self) -> Option<(Seq, UserId<'_>, &str)> {
        let (head, rest) = self.bytes.get(..self.len)?.split_first_chunk::<HEAD>()?;
        let [VERSION, seq @ .., u0, u1] = head else { return None };
        let (user, token) = rest.split_at_checked(usize::from(u16::from_le_bytes([*u0, *u1])))?;
        let user = UserId::parse(core::str::from_utf8(user).ok()?).ok()?;
        Some((Seq::new(u64::from_le_bytes(*seq)), user, core::str::from_utf8(token).ok()?))
    }

    /// The operation that carries it.
    pub(crate) fn seq(&self) -> Option<Seq> {
        self.parts().map(|(seq, ..)| seq)
    }

    /// Whose token it is, and the token.
    pub(crate) fn get(&self) -> Option<(UserId<'_>, &str)> {
        self.parts().map(|(_, user, token)| (user, token))
    }

    /// The token, if it is this user's.
    pub(crate) fn token_of(&self, user: UserId<'_>) -> Option<&str> {
        self.get().filter(|(whose, _)| *whose == user).map(|(_, token)| token)
    }
}

/// What is remembered of push tokens in RAM.
#[derive(Debug, Clone)]
pub(crate) struct Push {
    /// The operation that carries the remembered pair.
    carrier: Option<Seq>,
    /// Set before anybody was identified.
    held: [u8; PUSH_TOKEN_BYTES_MAX],
    held_len: usize,
    held_metadata: PushMetadata,
}

impl Push {
    pub(crate) async fn load<S: Storage>(storage: &mut S) -> Result<Self, Fault<S::Error>> {
        let carrier = Pair::load(storage).await?.seq();
        let held = [0; PUSH_TOKEN_BYTES_MAX];
        Ok(Self { carrier, held, held_len: 0, held_metadata: PushMetadata::NONE })
    }

    /// The operation that carries the remembered pair.
    pub(crate) const fn carrier(&self) -> Option<Seq> {
        self.carrier
    }

    /// Remembers a pair.
    pub(crate) async fn remember<S: Storage>(
        &mut self,
        storage: &mut S,
        pair: &Pair,
    ) -> Result<(), Fault<S::Error>> {
        storage.store(Slot::Push, pair.bytes.get(..pair.len).unwrap_or_default()).await?;
        self.carrier = pair.seq();
        Ok(())
    }

    /// Forgets the pair: the token registers again.
    pub(crate) async fn forget<S: Storage>(&mut self, storage: &mut S) -> Result<(), Fault<S::Error>> {
        if self.carrier.is_some() {
            storage.store(Slot::Push, &[]).await?;
            self.carrier = None;
        }
        Ok(())
    }

    /// Keeps a token until somebody is identified.
    pub(crate) fn hold(&mut self, token: PushToken<'_>) {
        let bytes = token.token.as_bytes();
        self.held.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        self.held_len = bytes.len().min(self.held.len());
        self.held_metadata = token.metadata;
    }

    /// The token that waits for somebody to be identified.
    pub(crate) fn held(&self) -> Option<Channel<'_>> {
        let token = core::str::from_utf8(self.held.get(..self.held_len)?).ok()?;
        let held = PushToken { token, metadata: self.held_metadata };
        Some(held).filter(|held| !held.token.is_empty()).map(Channel::from)
    }

    /// Lets go of the token that waits.
    pub(crate) const fn drop_held(&mut self) {
        self.held_len = 0;
    }
}
