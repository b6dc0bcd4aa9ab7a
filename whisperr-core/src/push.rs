//! The push token that was last delivered, and for whom (contract, section 7).

use crate::encode::{Encoder, ValueError};
use crate::kept::{Kept, Trouble};
use crate::push_token::PUSH_TOKEN_BYTES_MAX;
use crate::storage::{SLOT_BYTES_MAX, Seq, Slot, Storage};
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
    /// None.
    pub(crate) const NONE: Self = Self { bytes: [0; SLOT_BYTES_MAX], len: 0 };

    /// Reads what the slot holds; a layout of another version is as if there was none.
    pub(crate) async fn load<S: Storage>(&mut self, storage: &mut Kept<S>) -> Result<(), Trouble> {
        self.len = storage.load(Slot::Push, &mut self.bytes).await?;
        Ok(())
    }

    /// Becomes this token, delivered for this user by the operation `seq`.
    fn set(&mut self, seq: Seq, user: UserId<'_>, token: &str) {
        let (user, token) = (user.as_str().as_bytes(), token.as_bytes());
        let user_len = u16::try_from(user.len()).unwrap_or(u16::MAX);
        let mut encoder = Encoder::new(&mut self.bytes);
        let mut write = || {
            encoder.byte(VERSION)?;
            encoder.bytes(&seq.get().to_le_bytes())?;
            encoder.bytes(&user_len.to_le_bytes())?;
            encoder.bytes(user)?;
            encoder.bytes(token)
        };
        let _it_fits: Result<(), ValueError> = write();
        self.len = encoder.len();
    }

    /// The operation that carries the pair in a slot, its user and its token.
    fn parts(slot: &[u8]) -> Option<(Seq, UserId<'_>, &str)> {
        let (head, rest) = slot.split_first_chunk::<HEAD>()?;
        let [VERSION, seq @ .., u0, u1] = head else { return None };
        let (user, token) = rest.split_at_checked(usize::from(u16::from_le_bytes([*u0, *u1])))?;
        let user = UserId::parse(core::str::from_utf8(user).ok()?).ok()?;
        Some((Seq::new(u64::from_le_bytes(*seq)), user, core::str::from_utf8(token).ok()?))
    }

    fn slot(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Whose token it is, and the token.
    pub(crate) fn get(&self) -> Option<(UserId<'_>, &str)> {
        Self::parts(self.slot()).map(|(_, user, token)| (user, token))
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
}

impl Push {
    /// Nothing.
    pub(crate) const NOTHING: Self = Self { carrier: None };

    /// Takes what the slot of the pair holds.
    pub(crate) fn take_pair(&mut self, slot: &[u8]) {
        self.carrier = Pair::parts(slot).map(|(seq, ..)| seq);
    }

    /// The operation that carries the remembered pair.
    pub(crate) const fn carrier(&self) -> Option<Seq> {
        self.carrier
    }

    /// Remembers that the operation `seq` carries this token for this user.
    pub(crate) async fn remember<S: Storage>(
        &mut self,
        storage: &mut Kept<S>,
        seq: Seq,
        user: UserId<'_>,
        token: &str,
    ) -> Result<(), Trouble> {
        let mut pair = Pair::NONE;
        pair.set(seq, user, token);
        storage.store(Slot::Push, pair.slot()).await?;
        self.take_pair(pair.slot());
        Ok(())
    }

    /// Forgets the pair: the token registers again.
    pub(crate) async fn forget<S: Storage>(&mut self, storage: &mut Kept<S>) -> Result<(), Trouble> {
        if self.carrier.is_some() {
            storage.store(Slot::Push, &[]).await?;
            self.carrier = None;
        }
        Ok(())
    }
}
