//! Push tokens (contract, section 7).

use super::{Accepted, Client, EnqueueError, Now, Refusal, record_buffer};
use crate::channel::Channel;
use crate::kept::Trouble;
#[cfg(whisperr_planted)]
use crate::planted::{self, Bug};
use crate::push::Pair;
use crate::push_token::PushToken;
use crate::record::{self, Kind, RecordError, Said};
use crate::storage::{Seq, Storage, Stored};
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
        let accepted = self.take_push_token(now, token).await;
        self.answer(accepted)
    }

    async fn take_push_token(&mut self, now: Now, token: PushToken<'_>) -> Result<Accepted, Refusal> {
        let Some(token) = token.parse()? else { return Ok(Accepted::default()) };
        if self.is_opted_out() {
            return Ok(Accepted::default());
        }
        self.settle_launch().await?;
        if self.identity.user().is_none() {
            self.identity.hold(token);
            return Ok(Accepted::default());
        }
        let seq = self.storage.next_seq();
        let Some(len) = self.encode_push_token(token).await? else { return Ok(Accepted::default()) };
        let wake = self.append(now, seq, len, Kind::Identify).await?;
        if let Some(user) = self.identity.user() {
            self.push.remember(&mut self.storage, seq, user, token.token).await?;
        }
        Ok(Accepted { seq: Some(seq), message_id: None, wake })
    }

    /// Encodes what registers a token for the current user; nothing when it is registered.
    async fn encode_push_token(&mut self, token: PushToken<'_>) -> Result<Option<usize>, Refusal> {
        let mut known = Pair::NONE;
        known.load(&mut self.storage).await?;
        let Some(user) = self.identity.user() else { return Ok(None) };
        let old = known.token_of(user);
        if old == Some(token.token) {
            return Ok(None);
        }
        let old = old.map(|old| Channel::push(old).opted_out());
        let len = encode(record_buffer(&mut self.buffer), user, &[old, Some(Channel::from(token))])?;
        Ok(Some(len))
    }

    /// Tells the server that a token is not to be used any more.
    pub(super) async fn opt_token_out(&mut self, now: Now) -> Result<Accepted, Refusal> {
        let Some(len) = self.encode_farewell().await? else { return Ok(Accepted::default()) };
        let seq = self.storage.next_seq();
        let wake = self.append(now, seq, len, Kind::Identify).await?;
        Ok(Accepted { seq: Some(seq), message_id: None, wake })
    }

    /// Encodes what opts the remembered token out. A function of its own, whose pair is gone before the operation is
    /// appended: a future keeps what is used over more than one step until its end.
    async fn encode_farewell(&mut self) -> Result<Option<usize>, Refusal> {
        let mut known = Pair::NONE;
        known.load(&mut self.storage).await?;
        let Some((user, token)) = known.get() else { return Ok(None) };
        self.settle_launch().await?;
        let channels = [Some(Channel::push(token).opted_out())];
        Ok(Some(encode(record_buffer(&mut self.buffer), user, &channels)?))
    }

    /// The operation under this number leaves undelivered: the token it carried registers again.
    pub(super) async fn forget_carried(&mut self, gone: impl Fn(Seq) -> bool) -> Result<(), Trouble> {
        #[cfg(whisperr_planted)]
        if planted::is(Bug::KeepDroppedToken) {
            return Ok(());
        }
        if self.push.carrier().is_some_and(gone) { self.push.forget(&mut self.storage).await } else { Ok(()) }
    }

    /// Records were lost: when the one that carried the token is not there, it may have been among them.
    pub(super) async fn check_carrier(&mut self) -> Result<(), Trouble> {
        let Some(carrier) = self.push.carrier() else { return Ok(()) };
        let found = self.storage.read(carrier, &mut []).await?;
        if found.is_some_and(|Stored { seq, .. }| seq == carrier) {
            return Ok(());
        }
        self.push.forget(&mut self.storage).await
    }
}

/// A partial identify: the user and channels, nothing else.
fn encode(
    buffer: &mut [u8],
    user: UserId<'_>,
    channels: &[Option<Channel<'_>>],
) -> Result<usize, RecordError> {
    let (anonymous, preferred, device) = (None, None, None);
    let said = Said { user, anonymous, traits: &(), preferred, channels, explicit: &[], device };
    record::encode_identify(buffer, &said)
}
