//! Push tokens (contract, section 7).

use super::{Accepted, Client, EnqueueError, Now, record_buffer};
use crate::channel::Channel;
#[cfg(whisperr_planted)]
use crate::planted::{self, Bug};
use crate::push::Pair;
use crate::push_token::PushToken;
use crate::record::{self, Kind, Said};
use crate::storage::{Fault, Seq, Storage, Stored};
use crate::user::UserId;

impl<S: Storage, B: AsMut<[u8]>> Client<S, B> {
    /// Registers the device's push token for the current user. Before anybody is identified it is held
    /// in memory, and the next [`identify`](Self::identify) attaches it.
    ///
    /// Nothing is sent for a token that was delivered for this user before, also by an earlier run; a new one
    /// opts the old one out in the same body. A blank token is ignored.
    ///
    /// # Errors
    /// See [`EnqueueError`]. When the storage takes the operation and then fails to note the token, it may
    /// be sent again.
    pub async fn set_push_token(
        &mut self,
        now: Now,
        token: PushToken<'_>,
    ) -> Result<Accepted, EnqueueError<S::Error>> {
        self.learn_time(now);
        let Some(token) = token.parse()? else { return Ok(Accepted::default()) };
        if self.is_opted_out() {
            return Ok(Accepted::default());
        }
        self.settle_launch().await.map_err(EnqueueError::Storage)?;
        let Some(user) = self.identity.user() else {
            self.push.hold(token);
            return Ok(Accepted::default());
        };
        let known = Pair::load(&mut self.storage).await.map_err(EnqueueError::Storage)?;
        let old = known.token_of(user);
        if old == Some(token.token) {
            return Ok(Accepted::default());
        }
        let seq = self.storage.next_seq();
        let old = old.map(|old| Channel::push(old).opted_out());
        let channels = old.into_iter().chain([Channel::from(token)]);
        let len = encode(record_buffer(&mut self.buffer), user, channels)?;
        let pair = Pair::new(seq, user, token.token);
        let wake = self.append(now, seq, len, Kind::Identify).await?;
        self.push.remember(&mut self.storage, &pair).await.map_err(EnqueueError::Storage)?;
        Ok(Accepted { seq: Some(seq), message_id: None, wake })
    }

    /// Tells the server that a token is not to be used any more.
    pub(super) async fn opt_token_out(&mut self, now: Now) -> Result<Accepted, EnqueueError<S::Error>> {
        let known = Pair::load(&mut self.storage).await.map_err(EnqueueError::Storage)?;
        let Some((user, token)) = known.get() else { return Ok(Accepted::default()) };
        self.settle_launch().await.map_err(EnqueueError::Storage)?;
        let seq = self.storage.next_seq();
        let channels = [Channel::push(token).opted_out()].into_iter();
        let len = encode(record_buffer(&mut self.buffer), user, channels)?;
        let wake = self.append(now, seq, len, Kind::Identify).await?;
        Ok(Accepted { seq: Some(seq), message_id: None, wake })
    }

    /// The operation under this number leaves undelivered: the token it carried registers again.
    pub(super) async fn forget_carried(&mut self, gone: impl Fn(Seq) -> bool) -> Result<(), Fault<S::Error>> {
        #[cfg(whisperr_planted)]
        if planted::is(Bug::KeepDroppedToken) {
            return Ok(());
        }
        if self.push.carrier().is_some_and(gone) { self.push.forget(&mut self.storage).await } else { Ok(()) }
    }

    /// Records were lost: when the one that carried the token is not there, it may have been among them.
    pub(super) async fn check_carrier(&mut self) -> Result<(), Fault<S::Error>> {
        let Some(carrier) = self.push.carrier() else { return Ok(()) };
        let found = self.storage.read(carrier, &mut []).await?;
        if found.is_some_and(|Stored { seq, .. }| seq == carrier) {
            return Ok(());
        }
        self.push.forget(&mut self.storage).await
    }
}

/// A partial identify: the user and channels, nothing else.
fn encode<'a, E>(
    buffer: &mut [u8],
    user: UserId<'_>,
    channels: impl Iterator<Item = Channel<'a>> + Clone,
) -> Result<usize, EnqueueError<E>> {
    let said = Said { user, anonymous: None, traits: &(), preferred: None, channels, device: None };
    Ok(record::encode_identify(buffer, &said)?)
}
