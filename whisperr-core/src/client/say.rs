//! What the application says, on its way into the queue.

use super::{Accepted, Client, EnqueueError, Now, Refusal, record_buffer};
use crate::channel::{Channel, ChannelKind};
use crate::config::Config;
use crate::encode::Properties;
use crate::event_type::EventType;
use crate::kept::Trouble;
use crate::message_id::MessageId;
use crate::operation::{Identify, Track};
#[cfg(whisperr_planted)]
use crate::planted::{self, Bug};
use crate::push::Pair;
use crate::push_token::PushToken;
use crate::queue::NoRoom;
use crate::record::{self, Kind, Moment, Said, Subject, TrackBody, TrackHead};
use crate::storage::{Fault, Seq, Storage};
use crate::user::UserId;

/// An event that is not encoded yet: its number, its id, its moment, its type and whom the call says it is about.
/// None when nobody is to be recorded.
pub(super) type Begun<'e> = Option<(Seq, MessageId, Moment, EventType<'e>, Option<UserId<'e>>)>;

/// An event in the buffer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Encoded {
    seq: Seq,
    message_id: MessageId,
    len: usize,
}

/// Where the token of an identify comes from.
#[derive(Debug, Clone, Copy)]
enum Carried<'e> {
    /// The call said it.
    Said(&'e str),
    /// It waited for somebody to be identified.
    Held,
}

/// An identify in the buffer.
#[derive(Debug, Clone, Copy)]
struct Identified<'e> {
    user: UserId<'e>,
    seq: Seq,
    len: usize,
    /// Its push token, which is to be remembered.
    carried: Option<Carried<'e>>,
}

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
        // Only the encoding depends on what the properties are: the rest is there once, whatever is tracked.
        let Track { event_type, user, properties, context, device, require_persistence } = event;
        let begun = self.begin_track(now, event_type, *user, *require_persistence).await;
        let encoded = self.encode_track(begun, TrackBody { properties, context, device: device.as_ref() });
        let accepted = self.finish_track(now, encoded, *require_persistence).await;
        self.answer(accepted)
    }

    pub(super) async fn begin_track<'e>(
        &mut self,
        now: Now,
        event_type: &'e str,
        user: Option<&'e str>,
        require_persistence: bool,
    ) -> Result<Begun<'e>, Refusal> {
        self.settle_launch().await?;
        self.prepare_track(now, event_type, user, require_persistence).await
    }

    /// Everything about an event that is not encoded yet; nothing when nobody is to be recorded.
    pub(super) async fn prepare_track<'e>(
        &mut self,
        now: Now,
        event_type: &'e str,
        user: Option<&'e str>,
        require_persistence: bool,
    ) -> Result<Begun<'e>, Refusal> {
        self.learn_time(now);
        let event_type = EventType::parse(event_type)?;
        let explicit = user.map(UserId::parse).transpose()?;
        self.check_persistence(require_persistence)?;
        if self.is_opted_out() {
            return Ok(None);
        }
        let seq = self.storage.next_seq();
        let id = MessageId::new(self.session, seq);
        let moment = match now.utc {
            Some(utc) => Moment::utc(utc),
            None => Moment::Boot { boot: self.boot.number, ms: now.instant.as_millis() },
        };
        #[cfg(whisperr_planted)]
        let id = if planted::is(Bug::IdFromPlace) {
            MessageId::new(self.session, Seq::new(self.queue.owed().into()))
        } else {
            id
        };
        #[cfg(whisperr_planted)]
        let moment = if planted::is(Bug::DateByBoot) {
            Moment::Boot { boot: self.boot.number, ms: now.instant.as_millis() }
        } else {
            moment
        };
        if explicit.is_none() && self.identity.user().is_none() {
            self.identity.ensure_anonymous(&mut self.storage, &mut self.rng).await?;
        }
        Ok(Some((seq, id, moment, event_type, explicit)))
    }

    pub(super) fn encode_track(
        &mut self,
        begun: Result<Begun<'_>, Refusal>,
        body: TrackBody<'_>,
    ) -> Result<Option<Encoded>, Refusal> {
        let Some((seq, id, moment, event_type, explicit)) = begun? else { return Ok(None) };
        let subject = match explicit.or(self.identity.user()) {
            Some(user) => Subject::User(user),
            None => Subject::Anonymous(self.identity.anonymous().unwrap_or_default()),
        };
        let head = TrackHead { id, moment, subject, event_type };
        let len = record::encode_track(record_buffer(&mut self.buffer), head, body)?;
        Ok(Some(Encoded { seq, message_id: id, len }))
    }

    pub(super) async fn finish_track(
        &mut self,
        now: Now,
        encoded: Result<Option<Encoded>, Refusal>,
        require_persistence: bool,
    ) -> Result<Accepted, Refusal> {
        let Some(Encoded { seq, message_id, len }) = encoded? else { return Ok(Accepted::default()) };
        let wake = self.append(now, seq, len, Kind::Track).await?;
        self.persist(require_persistence).await?;
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
        let plain = identify.plain();
        // In a block: the pair is gone before the operation is appended.
        let encoded = {
            let mut known = Pair::NONE;
            let begun = self.begin_identify(now, &plain, &mut known).await;
            self.encode_identify(begun, &plain, &identify.traits, &known)
        };
        let accepted = self.finish_identify(now, encoded, plain.require_persistence).await;
        self.answer(accepted)
    }

    /// Checks an identify, and reads the pair of user and push token that is known; nothing when nobody is to be
    /// recorded.
    async fn begin_identify<'e>(
        &mut self,
        now: Now,
        identify: &Identify<'e>,
        known: &mut Pair,
    ) -> Result<Option<UserId<'e>>, Refusal> {
        self.learn_time(now);
        let user = UserId::parse(identify.user)?;
        identify.push_token.parse()?;
        self.check_persistence(identify.require_persistence)?;
        if self.is_opted_out() {
            self.identity.set_user(&mut self.storage, user).await?;
            return Ok(None);
        }
        self.settle_launch().await?;
        known.load(&mut self.storage).await?;
        Ok(Some(user))
    }

    /// Encodes an identify.
    fn encode_identify<'e>(
        &mut self,
        begun: Result<Option<UserId<'e>>, Refusal>,
        identify: &Identify<'e>,
        traits: &dyn Properties,
        known: &Pair,
    ) -> Result<Option<Identified<'e>>, Refusal> {
        let Some(user) = begun? else { return Ok(None) };
        let seq = self.storage.next_seq();
        let token = identify.push_token.parse()?;
        let has_push = identify.explicit().any(|channel| channel.kind == ChannelKind::Push);
        let held = if token.is_none() && !has_push { self.identity.held() } else { None };
        let shortcut = token.map(Channel::from);
        let new = shortcut.or_else(|| identify.explicit().find(Channel::is_push_token));
        let new = new.map(|channel| PushToken::new(channel.address).parse()).transpose()?.flatten();
        let carried = match (new, held) {
            (Some(new), _) => Some((Carried::Said(new.token), new.token)),
            (None, held) => held.map(|held| (Carried::Held, held.address)),
        };
        // What the call says about the old token itself is the caller's word.
        let old = known.token_of(user).filter(|old| {
            let is_told = identify
                .explicit()
                .any(|channel| channel.kind == ChannelKind::Push && channel.address == *old);
            !is_told && carried.is_some_and(|(_, new)| new != *old)
        });
        let old = old.map(|old| Channel::push(old).opted_out());
        let said = Said {
            user,
            anonymous: self.identity.anonymous(),
            traits,
            preferred: identify.preferred,
            channels: &[
                Some(Channel::email(identify.email)),
                Some(Channel::sms(identify.phone)),
                old,
                shortcut.or(held),
            ],
            explicit: identify.channels,
            device: identify.device,
        };
        let carried = carried.map(|(carried, _)| carried);
        let len = record::encode_identify(record_buffer(&mut self.buffer), &said)?;
        Ok(Some(Identified { user, seq, len, carried }))
    }

    async fn finish_identify(
        &mut self,
        now: Now,
        encoded: Result<Option<Identified<'_>>, Refusal>,
        require_persistence: bool,
    ) -> Result<Accepted, Refusal> {
        let Some(Identified { user, seq, len, carried }) = encoded? else {
            return Ok(Accepted::default());
        };
        let wake = self.append(now, seq, len, Kind::Identify).await?;
        let token = match carried {
            Some(Carried::Said(token)) => Some(token),
            Some(Carried::Held) => self.identity.held().map(|held| held.address),
            None => None,
        };
        if let Some(token) = token {
            self.push.remember(&mut self.storage, seq, user, token).await?;
        }
        // The user goes last: whoever is told of a failure is still who it was.
        self.identity.set_user(&mut self.storage, user).await?;
        self.persist(require_persistence).await?;
        Ok(Accepted { seq: Some(seq), message_id: None, wake })
    }

    fn check_persistence(&self, required: bool) -> Result<(), Refusal> {
        if required && !self.storage.is_persistent() { Err(EnqueueError::NotPersistent) } else { Ok(()) }
    }

    async fn persist(&mut self, required: bool) -> Result<(), Refusal> {
        if required {
            self.storage.persist().await?;
        }
        Ok(())
    }

    pub(super) async fn append(
        &mut self,
        now: Now,
        seq: Seq,
        len: usize,
        kind: Kind,
    ) -> Result<bool, Refusal> {
        self.queue.refresh(&mut self.storage).await?;
        let record = self.buffer.as_mut().get(..len).unwrap_or_default();
        let appended = self.queue.append(&mut self.storage, seq, record, self.pinned).await;
        let mut wake = self.note_changes();
        match appended {
            Ok(()) => {}
            Err(NoRoom::NothingToEvict) => {
                let Config { max_queue_size, max_queue_bytes, .. } = *self.delivery.config();
                return Err(EnqueueError::Full {
                    operations_max: max_queue_size,
                    bytes_max: max_queue_bytes,
                });
            }
            Err(NoRoom::Storage(trouble)) => return Err(trouble.into()),
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
        let forgotten = self.forget_user().await;
        forgotten.map_err(|trouble| self.storage.told(trouble))
    }

    async fn forget_user(&mut self) -> Result<(), Trouble> {
        // The user goes last: a cut before that is as if the call had not been made.
        if !self.is_opted_out() {
            self.push.forget(&mut self.storage).await?;
        }
        self.identity.reset(&mut self.storage).await
    }
}
