//! What the application says, on its way into the queue.

use super::{Accepted, Client, EnqueueError, Now, record_buffer};
use crate::channel::{Channel, ChannelKind};
use crate::encode::Properties;
use crate::event_type::EventType;
use crate::message_id::MessageId;
use crate::operation::{Identify, Track};
#[cfg(whisperr_planted)]
use crate::planted::{self, Bug};
use crate::push::Pair;
use crate::push_token::PushToken;
use crate::queue::NoRoom;
use crate::record::{self, Kind, Moment, Said, Subject, TrackHead};
use crate::storage::{Fault, Seq, Storage};
use crate::user::UserId;

impl<S: Storage, B: AsMut<[u8]>> Client<S, B> {
    /// Accepts an event. Once this returns `Ok`, it is owed, unless the user has opted out.
    ///
    /// Without [`Track::user`] it is about the current user, or the anonymous visitor while there is none.
    ///
    /// # Errors
    /// See [`EnqueueError`].
    pub async fn track<P: Properties, C: Properties>(
        &mut self,
        now: Now,
        event: &Track<'_, P, C>,
    ) -> Result<Accepted, EnqueueError<S::Error>> {
        self.settle_launch().await.map_err(EnqueueError::Storage)?;
        self.record_track(now, event).await
    }

    pub(super) async fn record_track<P: Properties, C: Properties>(
        &mut self,
        now: Now,
        event: &Track<'_, P, C>,
    ) -> Result<Accepted, EnqueueError<S::Error>> {
        self.learn_time(now);
        let event_type = EventType::parse(event.event_type)?;
        let explicit = event.user.map(UserId::parse).transpose()?;
        self.check_persistence(event.require_persistence)?;
        if self.is_opted_out() {
            return Ok(Accepted::default());
        }
        let seq = self.storage.next_seq();
        let message_id = MessageId::new(self.session, seq);
        let moment = match now.utc {
            Some(utc) => Moment::utc(utc),
            None => Moment::Boot { boot: self.boot.number, ms: now.instant.as_millis() },
        };
        #[cfg(whisperr_planted)]
        let message_id = if planted::is(Bug::IdFromPlace) {
            MessageId::new(self.session, Seq::new(self.queue.owed().into()))
        } else {
            message_id
        };
        #[cfg(whisperr_planted)]
        let moment = if planted::is(Bug::DateByBoot) {
            Moment::Boot { boot: self.boot.number, ms: now.instant.as_millis() }
        } else {
            moment
        };
        let subject = match explicit.or(self.identity.user()) {
            Some(user) => Subject::User(user),
            None => {
                let made = self.identity.ensure_anonymous(&mut self.storage, &mut self.rng).await;
                Subject::Anonymous(made.map_err(EnqueueError::Storage)?)
            }
        };
        let buffer = record_buffer(&mut self.buffer);
        let head = TrackHead { id: message_id, moment, subject, event_type };
        let len = record::encode_track(buffer, head, event)?;
        let wake = self.append(now, seq, len, Kind::Track).await?;
        self.persist(event.require_persistence).await?;
        Ok(Accepted { seq: Some(seq), message_id: Some(message_id), wake })
    }

    /// Accepts an identify, and remembers the user as the current one. Once this returns `Ok`, it is
    /// owed; it is never evicted.
    ///
    /// # Errors
    /// See [`EnqueueError`]. When the storage takes the operation and then fails to note the user or the push
    /// token, the identify may be delivered although the current user stays who it was.
    pub async fn identify<T: Properties>(
        &mut self,
        now: Now,
        identify: &Identify<'_, T>,
    ) -> Result<Accepted, EnqueueError<S::Error>> {
        self.learn_time(now);
        let user = UserId::parse(identify.user)?;
        let token = identify.push_token.parse()?;
        self.check_persistence(identify.require_persistence)?;
        if self.is_opted_out() {
            self.identity.set_user(&mut self.storage, user).await.map_err(EnqueueError::Storage)?;
            return Ok(Accepted::default());
        }
        self.settle_launch().await.map_err(EnqueueError::Storage)?;
        let seq = self.storage.next_seq();
        let known = Pair::load(&mut self.storage).await.map_err(EnqueueError::Storage)?;
        let has_push = identify.explicit().any(|channel| channel.kind == ChannelKind::Push);
        let held = if token.is_none() && !has_push { self.push.held() } else { None };
        let takes_held = held.is_some();
        let shortcut = token.map(Channel::from).or(held);
        let new = shortcut.or_else(|| identify.explicit().find(Channel::is_push_token));
        let new = new.map(|channel| PushToken::new(channel.address).parse()).transpose()?.flatten();
        // What the call says about the old token itself is the caller's word.
        let old = known.token_of(user).filter(|old| {
            let is_told = identify
                .explicit()
                .any(|channel| channel.kind == ChannelKind::Push && channel.address == *old);
            !is_told && new.is_some_and(|new| new.token != *old)
        });
        let old = old.map(|old| Channel::push(old).opted_out());
        let said = Said {
            user,
            anonymous: self.identity.anonymous(),
            traits: &identify.traits,
            preferred: identify.preferred,
            channels: identify.shortcuts().chain(old).chain(shortcut).chain(identify.explicit()),
            device: identify.device,
        };
        let len = record::encode_identify(record_buffer(&mut self.buffer), &said)?;
        drop(said);
        let pair = new.map(|new| Pair::new(seq, user, new.token));
        let wake = self.append(now, seq, len, Kind::Identify).await?;
        if let Some(pair) = pair {
            self.push.remember(&mut self.storage, &pair).await.map_err(EnqueueError::Storage)?;
        }
        // The user goes last: whoever is told of a failure is still who it was.
        self.identity.set_user(&mut self.storage, user).await.map_err(EnqueueError::Storage)?;
        if takes_held {
            self.push.drop_held();
        }
        self.persist(identify.require_persistence).await?;
        Ok(Accepted { seq: Some(seq), message_id: None, wake })
    }

    fn check_persistence(&self, required: bool) -> Result<(), EnqueueError<S::Error>> {
        if required && !self.storage.is_persistent() { Err(EnqueueError::NotPersistent) } else { Ok(()) }
    }

    async fn persist(&mut self, required: bool) -> Result<(), EnqueueError<S::Error>> {
        if required { self.storage.persist().await.map_err(EnqueueError::Storage) } else { Ok(()) }
    }

    pub(super) async fn append(
        &mut self,
        now: Now,
        seq: Seq,
        len: usize,
        kind: Kind,
    ) -> Result<bool, EnqueueError<S::Error>> {
        self.queue.refresh(&mut self.storage).await.map_err(EnqueueError::Storage)?;
        let record = self.buffer.as_mut().get(..len).unwrap_or_default();
        let appended = self.queue.append(&mut self.storage, seq, record, self.pinned).await;
        let mut wake = self.note_changes();
        match appended {
            Ok(()) => {}
            Err(NoRoom::NothingToEvict) => {
                return Err(EnqueueError::Full {
                    operations_max: self.config.max_queue_size,
                    bytes_max: self.config.max_queue_bytes,
                });
            }
            Err(NoRoom::Storage(fault)) => return Err(EnqueueError::Storage(fault)),
        }
        // The operation, and perhaps one that made room for it.
        self.note_ledger(2).await;
        wake |= self.delivery.handle_enqueued(now.instant, self.queue.owed(), kind == Kind::Identify);
        Ok(wake)
    }

    /// Forgets the current user, the anonymous visitor and the push token that was delivered; what was said before is still delivered
    /// as theirs. Call [`flush`](Self::flush) beforehand to have it on its way (contract, section 4).
    ///
    /// # Errors
    /// [`Fault`] when the storage failed: call again.
    pub async fn reset(&mut self) -> Result<(), Fault<S::Error>> {
        // The user goes last: a cut before that is as if the call had not been made.
        if !self.is_opted_out() {
            self.push.forget(&mut self.storage).await?;
        }
        self.identity.reset(&mut self.storage).await
    }
}
