//! What the application holds.

use core::fmt;
use core::time::Duration;
use std::sync::Arc;
use std::thread;
use std::time::Instant as SystemInstant;

use whisperr_core::{
    Clock, Counters, Device, FlushProgress, Identify, IngestionKey, KeyError, Ledger, MessageId, Now,
    Properties, PushToken, Stop, Track, Waiting, ready,
};

use crate::about::About;
use crate::builder::Builder;
use crate::error::Error;
use crate::http::ApiKey;
use crate::session::{self, Uptime};
use crate::shared::{QueueClient, Said, Shared, now_or_fault};

/// A client of Whisperr: say who the user is and what happened, the rest is its work.
///
/// Cheap to clone; every clone speaks for the same queue. No call waits for the network but
/// [`flush`](Self::flush) and [`shutdown`](Self::shutdown), and those no longer than you say. When
/// the last clone is dropped, the client shuts down as [`shutdown`](Self::shutdown) does, with
/// [`Builder::shutdown_timeout`].
#[derive(Clone)]
pub struct Whisperr {
    /// None for a disabled client.
    inner: Option<Arc<Inner>>,
}

struct Inner {
    shared: Arc<Shared>,
    settings: Settings,
}

/// What a handle needs to know beside the queue.
pub(crate) struct Settings {
    pub(crate) about: About,
    /// The clock of the application's session, if that outlives this process.
    pub(crate) session: Option<Uptime>,
    /// None over a transport of the application's own.
    pub(crate) api_key: Option<ApiKey>,
    pub(crate) shutdown_timeout: Duration,
    pub(crate) debug: bool,
}

impl fmt::Debug for Whisperr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Whisperr").field("disabled", &self.inner.is_none()).finish_non_exhaustive()
    }
}

/// How a flush ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[must_use = "what is still owed is only said here"]
#[non_exhaustive]
pub enum Flush {
    /// Everything that was owed when it was asked for has left the queue.
    Delivered,
    /// The deadline came first. Delivery goes on.
    TimedOut,
    /// The server refused the ingestion key. Everything is kept.
    AuthRefused,
    /// All retries failed. Everything is kept, delivery goes on at the pace of the backoff.
    RetryExhausted,
    /// Delivery is paused.
    Paused,
    /// The client was shut down before; what is owed stays on disk for the next one.
    Closed,
}

/// A look at a client.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Operations owed.
    pub owed: u32,
    /// Bytes of their records.
    pub bytes: u64,
    /// How long ago the oldest owed event happened, by the wall clock.
    pub oldest_age: Option<Duration>,
    /// Who the current user is.
    pub current_user: Option<String>,
    /// Whether the user has opted out: then nothing is recorded.
    pub opted_out: bool,
    /// Why nothing is being sent.
    pub waiting: Waiting,
    /// What happened so far in this run.
    pub counters: Counters,
    /// What became of every operation that was ever accepted on this queue.
    pub ledger: Ledger,
}

impl Whisperr {
    /// Starts building a client for an ingestion key (`wrk_…`).
    pub fn builder(api_key: impl Into<String>) -> Builder {
        Builder::new(api_key.into())
    }

    pub(crate) fn new(shared: Arc<Shared>, settings: Settings) -> Self {
        Self { inner: Some(Arc::new(Inner { shared, settings })) }
    }

    /// Says something that returns no id.
    pub(crate) fn say(
        &self,
        call: &str,
        say: impl FnOnce(&mut QueueClient, Now, Device<'_>) -> Said,
    ) -> Result<(), Error> {
        let Some(inner) = &self.inner else { return Ok(()) };
        let device = inner.settings.about.device();
        let accepted = inner.shared.accept(|client, now| say(client, now, device));
        inner.debug(call, &accepted);
        accepted.map(|_| ())
    }

    /// Says something that belongs to the application's session, and keeps that for the next process.
    pub(crate) fn say_in_session(
        &self,
        call: &str,
        say: impl FnOnce(&mut QueueClient, Now, Device<'_>) -> Said,
    ) -> Result<(), Error> {
        let said = self.say(call, say);
        let Some((inner, uptime)) =
            self.inner.as_ref().and_then(|inner| Some((inner, inner.settings.session.as_ref()?)))
        else {
            return said;
        };
        said.and(inner.shared.change(|client, now| session::keep(client, now, &uptime.now())))
    }

    pub(crate) const fn disabled() -> Self {
        Self { inner: None }
    }

    /// Tracks an event about the current user, or about the anonymous visitor while there is none.
    ///
    /// Once this returns `Ok`, the event is owed: with persistence it survives the death of the
    /// process, and a power cut as the fsync policy says.
    ///
    /// `properties` is anything `Serialize` that is an object, [`props!`](crate::props),
    /// [`Json`](crate::Json) text, or `()` for none. Returns the event's message id; all zeros while nothing
    /// is recorded, because the client is disabled or the user has [opted out](Self::opt_out).
    ///
    /// # Errors
    /// [`Error`]; bad input is named and nothing is stored.
    pub fn track<P: Properties>(&self, event_type: &str, properties: P) -> Result<MessageId, Error> {
        self.track_event(&Track::new(event_type).properties(properties))
    }

    /// Tracks an event with all it may carry: an explicit user, properties, context.
    ///
    /// # Errors
    /// As [`track`](Self::track).
    pub fn track_event<P: Properties, C: Properties>(
        &self,
        event: &Track<'_, P, C>,
    ) -> Result<MessageId, Error> {
        let nil = MessageId::from_bytes([0; 16]);
        let Some(inner) = &self.inner else { return Ok(nil) };
        let event = event.by_ref().or_device(inner.settings.about.device());
        let accepted = inner.shared.accept(|client, now| ready(client.track(now, &event)));
        inner.debug("track", &accepted);
        accepted.map(|accepted| accepted.message_id.unwrap_or(nil))
    }

    /// Tracks an event of this type whose properties are the [`Ledger`]: what became of every operation so far.
    ///
    /// # Errors
    /// As [`track`](Self::track).
    pub fn track_ledger(&self, event_type: &str) -> Result<MessageId, Error> {
        self.track(event_type, self.status().ledger)
    }

    /// Identifies a user, who is the current one from here on, also after a restart.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), whisperr_std::Error> {
    /// # let whisperr = whisperr_std::Whisperr::builder("wrk_…").build().unwrap();
    /// use whisperr_std::{Identify, props};
    ///
    /// whisperr.identify(Identify::new("user_8842").email("ada@example.com").traits(props! { "plan" => "pro" }))?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`track`](Self::track).
    pub fn identify<T: Properties>(&self, identify: Identify<'_, T>) -> Result<(), Error> {
        self.say("identify", |client, now, device| {
            ready(client.identify(now, &identify.by_ref().or_device(device)))
        })
    }

    /// Forgets the current user and the anonymous visitor, after starting a flush. What was said
    /// before is still delivered as theirs; the next event belongs to somebody new.
    ///
    /// Never waits for the network: every operation carries its own user.
    ///
    /// # Errors
    /// [`Error::Storage`]: the user is still the current one; call again.
    pub fn reset(&self) -> Result<(), Error> {
        if let Some(inner) = &self.inner {
            let _not_waited_for = inner.shared.client().flush();
            inner.shared.ring();
        }
        self.reset_without_flush()
    }

    /// As [`reset`](Self::reset), leaving what is owed to the next flush.
    ///
    /// # Errors
    /// As [`reset`](Self::reset).
    pub fn reset_without_flush(&self) -> Result<(), Error> {
        let Some(inner) = &self.inner else { return Ok(()) };
        inner.shared.change(|client, _| ready(client.reset()))
    }

    /// Registers the device's push token for the current user; before anybody is identified it is held in
    /// memory, and the next [`identify`](Self::identify) attaches it.
    ///
    /// Call it at every start: a token that was delivered for this user before costs nothing. A new one opts
    /// the old one out. A blank one is ignored.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), whisperr_std::Error> {
    /// # let whisperr = whisperr_std::Whisperr::builder("wrk_…").build().unwrap();
    /// use whisperr_std::{PushKind, PushToken};
    ///
    /// whisperr.set_push_token(PushToken::new("d4f0…").kind(PushKind::Fcm))?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`track`](Self::track).
    pub fn set_push_token<'a>(&self, token: impl Into<PushToken<'a>>) -> Result<(), Error> {
        let token = token.into();
        self.say("set_push_token", |client, now, _| ready(client.set_push_token(now, token)))
    }

    /// Replaces the ingestion key. Delivery that stands still because the server refused the old one is tried
    /// again at once. The key is not stored: the next start needs it in [`builder`](Self::builder). Over a
    /// transport of your own, the key is its matter, and this only tries again.
    ///
    /// # Errors
    /// [`KeyError`]: the old key stays.
    pub fn set_api_key(&self, api_key: &str) -> Result<(), KeyError> {
        let key = IngestionKey::parse(api_key)?;
        let Some(inner) = &self.inner else { return Ok(()) };
        if let Some(current) = &inner.settings.api_key {
            current.set(key);
        }
        inner.shared.client().retry_auth();
        inner.shared.ring();
        Ok(())
    }

    /// Records nothing any more, and deletes what is queued, from the disk too: nothing of it is sent
    /// again, only a request that is out already cannot be taken back. If a push token was delivered, one word
    /// to the server opts it out. The choice survives restarts, and a crash at any point of this call.
    ///
    /// [`identify`](Self::identify) still remembers who the user is; everything else is accepted and
    /// goes nowhere until [`opt_in`](Self::opt_in).
    ///
    /// # Errors
    /// [`Error::Storage`], [`Error::StorageFull`]: nothing is recorded or sent all the same, and the deletion
    /// goes on until it is done.
    pub fn opt_out(&self) -> Result<(), Error> {
        let opted_out = self.say("opt_out", |client, now, _| ready(client.opt_out(now)));
        if let Some(inner) = &self.inner {
            // A request that is out is given up.
            inner.shared.ring();
        }
        opted_out
    }

    /// Records again. The push token has to be set again.
    ///
    /// # Errors
    /// [`Error::Storage`], [`Error::StorageFull`]: the user is still opted out; call again.
    pub fn opt_in(&self) -> Result<(), Error> {
        self.say("opt_in", |client, now, _| ready(client.opt_in(now)))
    }

    /// Whether the user has opted out.
    #[must_use]
    pub fn is_opted_out(&self) -> bool {
        self.inner.as_ref().is_some_and(|inner| inner.shared.client().is_opted_out())
    }

    /// Delivers what is owed, for at most `deadline`. Blocks; in async code use
    /// [`flush_async`](Self::flush_async).
    ///
    /// A computed backoff is cut short, a `Retry-After` is not.
    pub fn flush(&self, deadline: Duration) -> Flush {
        let Some(inner) = &self.inner else { return Flush::Delivered };
        let ticket = inner.shared.client().flush();
        inner.shared.ring();
        inner.ended(inner.shared.wait_for_flush(ticket, deadline))
    }

    /// As [`flush`](Self::flush), without blocking, on any async runtime.
    pub async fn flush_async(&self, deadline: Duration) -> Flush {
        let Some(inner) = &self.inner else { return Flush::Delivered };
        let ticket = inner.shared.client().flush();
        inner.shared.ring();
        inner.ended(inner.shared.wait_for_flush_async(ticket, deadline).await)
    }

    /// Sends nothing until [`resume`](Self::resume): for a metered link, or before sleep. Calls go
    /// on being accepted; a request under way ends by itself.
    pub fn pause(&self) {
        if let Some(inner) = &self.inner {
            inner.shared.client().pause();
        }
    }

    /// Delivers again, and at once.
    pub fn resume(&self) {
        if let Some(inner) = &self.inner {
            inner.shared.client().resume();
            inner.shared.ring();
        }
    }

    /// Delivers for at most `deadline`, then stops: the runner ends, the queue directory is free,
    /// what is still owed stays on disk for the next start. Calls made afterwards are refused.
    ///
    /// Returns how the last flush ended. A server that hangs delays this no longer than `deadline`.
    pub fn shutdown(&self, deadline: Duration) -> Flush {
        match &self.inner {
            Some(inner) => inner.shutdown(deadline),
            None => Flush::Delivered,
        }
    }

    /// A look at the queue.
    #[must_use]
    pub fn status(&self) -> Status {
        let Some(inner) = &self.inner else {
            return Status {
                owed: 0,
                bytes: 0,
                oldest_age: None,
                current_user: None,
                opted_out: false,
                waiting: Waiting::Idle,
                counters: Counters::default(),
                ledger: Ledger::default(),
            };
        };
        let utc = inner.shared.clock().utc();
        let mut client = inner.shared.client();
        let status = client.status();
        let oldest = now_or_fault(client.oldest()).ok().flatten();
        let age = utc.zip(oldest).map(|(utc, oldest)| utc.get().saturating_sub(oldest.get()));
        Status {
            owed: status.owed,
            bytes: status.bytes,
            oldest_age: age.map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or(0))),
            current_user: client.current_user().map(|user| user.as_str().to_owned()),
            opted_out: client.is_opted_out(),
            waiting: status.waiting,
            counters: status.counters,
            ledger: client.ledger(),
        }
    }

    /// Whether any operation could be taken without evicting an event.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.inner.as_ref().is_none_or(|inner| inner.shared.client().has_room())
    }
}

impl Inner {
    /// How a flush ended that is not waited for any longer.
    fn ended(&self, progress: FlushProgress) -> Flush {
        match progress {
            FlushProgress::Delivered => Flush::Delivered,
            _ if self.shared.has_ended() => Flush::Closed,
            FlushProgress::Stopped(Stop::Auth) => Flush::AuthRefused,
            FlushProgress::Stopped(_) => Flush::RetryExhausted,
            FlushProgress::Paused => Flush::Paused,
            FlushProgress::Pending => Flush::TimedOut,
        }
    }

    fn debug<T>(&self, call: &str, accepted: &Result<T, Error>) {
        if let Err(error) = accepted {
            log::warn!(target: "whisperr", "{call} refused: {error}");
        } else if self.settings.debug {
            log::info!(target: "whisperr", "{call} accepted");
        }
    }

    fn shutdown(&self, deadline: Duration) -> Flush {
        let end = SystemInstant::now().checked_add(deadline);
        let flush = {
            let ticket = self.shared.client().flush();
            self.shared.ring();
            self.ended(self.shared.wait_for_flush(ticket, deadline))
        };
        self.shared.client().stop();
        self.shared.ring();
        // The runner ends at its next step, which is now; a sync that hangs is not waited for.
        let grace = SystemInstant::now().checked_add(END_GRACE);
        if let Some(end) = end.max(grace)
            && !self.shared.wait_for_end(end)
        {
            log::warn!(target: "whisperr", "shutdown: the runner is still busy and ends by itself");
        }
        flush
    }
}

/// How long a shutdown waits for the runner to put down its tools after the deadline.
const END_GRACE: Duration = Duration::from_millis(100);

impl Drop for Inner {
    fn drop(&mut self) {
        // On the runner's own thread there is nobody to wait for.
        if Some(thread::current().id()) == self.shared.runner() {
            self.shared.client().stop();
        } else {
            let _owed_stays = self.shutdown(self.settings.shutdown_timeout);
        }
    }
}
