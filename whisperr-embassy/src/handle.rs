//! What the application holds.

use core::fmt;
use core::pin::pin;
use core::time::Duration;

use embassy_futures::select::{Either, select};
use embassy_sync::blocking_mutex::raw::{CriticalSectionRawMutex, RawMutex};
use embassy_time::{Instant, Timer};
use whisperr_core::{
    Accepted, Clock, EnqueueError, Fault, FlushProgress, FlushTicket, Identify, Ledger, MessageId, Now,
    Properties, PushToken, Status, Stop, Storage, Track, Waiting, ready,
};

use crate::clock::EmbassyClock;
use crate::next_run::NextRun;
use crate::shared::Shared;

/// A client of Whisperr: say who the user is and what happened, the rest is its work.
///
/// Copies are the same client and may be given to any number of tasks; over a `CriticalSectionRawMutex`, the default,
/// also to tasks of other executors. A call that records waits for the storage and for other such calls, never for
/// the network: the lock is held for one step of the storage, not for a request.
///
/// The future of a call may be dropped: then either all of what was said is stored, or nothing.
pub struct Handle<'d, S: Storage, C: Clock = &'d EmbassyClock, M: RawMutex = CriticalSectionRawMutex> {
    shared: &'d Shared<'d, S, C, M>,
}

impl<S: Storage, C: Clock, M: RawMutex> Clone for Handle<'_, S, C, M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S: Storage, C: Clock, M: RawMutex> Copy for Handle<'_, S, C, M> {}

impl<S: Storage, C: Clock, M: RawMutex> fmt::Debug for Handle<'_, S, C, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

/// How a flush ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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
    /// The runner has ended; what is owed stays in the storage for the next one.
    Closed,
}

/// Why a call that must not wait did nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TryError<E> {
    /// Somebody else is at the queue: a task that records, or the runner for one step.
    Busy,
    /// The storage cannot do it without waiting. What was begun is undone by the storage, at the cost of some space
    /// on a flash: over a driver that always waits, use the call that may.
    WouldWait,
    /// It was refused.
    Refused(EnqueueError<E>),
}

impl<E: fmt::Debug> fmt::Display for TryError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => f.write_str("the queue is in use"),
            Self::WouldWait => f.write_str("the storage would have to wait"),
            Self::Refused(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Debug> core::error::Error for TryError<E> {}

/// What a call returns.
type Said<T, S> = Result<T, EnqueueError<<S as Storage>::Error>>;

impl<'d, S: Storage, C: Clock, M: RawMutex> Handle<'d, S, C, M> {
    pub(crate) const fn new(shared: &'d Shared<'d, S, C, M>) -> Self {
        Self { shared }
    }

    pub(crate) const fn shared(&self) -> &'d Shared<'d, S, C, M> {
        self.shared
    }

    /// Tracks an event about the current user, or about the anonymous visitor while there is none.
    ///
    /// Once this returns `Ok`, the event is owed: it is in the storage, by the storage's own word. `properties` is
    /// [`props!`](crate::props), anything `Serialize` that is an object, [`Json`](crate::Json) text, or `()` for
    /// none. Returns the event's message id; all zeros while the user has [opted out](Self::opt_out).
    ///
    /// # Errors
    /// [`EnqueueError`]; bad input is named and nothing is stored.
    pub async fn track<P: Properties>(&self, event_type: &str, properties: P) -> Said<MessageId, S> {
        self.track_event(&Track::new(event_type).properties(properties)).await
    }

    /// Tracks an event with all it may carry: an explicit user, properties, context.
    ///
    /// # Errors
    /// As [`track`](Self::track).
    pub async fn track_event<P: Properties, X: Properties>(
        &self,
        event: &Track<'_, P, X>,
    ) -> Said<MessageId, S> {
        let event = event.by_ref().or_device(self.shared.device());
        let mut turn = self.shared.turn().await;
        let accepted = { pin!(turn.client.track(turn.now, &event)).await };
        turn.end(accepted).map(message_id)
    }

    /// As [`track`](Self::track), for places that cannot wait: interrupt handlers, callbacks of a driver. Done when it
    /// returns, and as durable.
    ///
    /// # Errors
    /// [`TryError`]: nothing was stored.
    pub fn try_track<P: Properties>(
        &self,
        event_type: &str,
        properties: P,
    ) -> Result<MessageId, TryError<S::Error>> {
        self.try_track_event(&Track::new(event_type).properties(properties))
    }

    /// As [`track_event`](Self::track_event), for places that cannot wait.
    ///
    /// # Errors
    /// [`TryError`]: nothing was stored.
    pub fn try_track_event<P: Properties, X: Properties>(
        &self,
        event: &Track<'_, P, X>,
    ) -> Result<MessageId, TryError<S::Error>> {
        let accepted = {
            let mut client = self.shared.try_client().ok_or(TryError::Busy)?;
            let event = event.by_ref().or_device(self.shared.device());
            ready(client.track(Now::read(self.shared.clock()), &event)).ok_or(TryError::WouldWait)?
        };
        self.shared.answer(accepted).map(message_id).map_err(TryError::Refused)
    }

    /// Tracks an event of this type whose properties are the [`Ledger`]: what became of every operation so far.
    ///
    /// # Errors
    /// As [`track`](Self::track).
    pub async fn track_ledger(&self, event_type: &str) -> Said<MessageId, S> {
        let ledger = self.ledger().await;
        self.track(event_type, ledger).await
    }

    /// Identifies a user, who is the current one from here on, also after a restart.
    ///
    /// # Errors
    /// As [`track`](Self::track).
    pub async fn identify<T: Properties>(&self, identify: Identify<'_, T>) -> Said<(), S> {
        let identify = identify.by_ref().or_device(self.shared.device());
        let mut turn = self.shared.turn().await;
        let accepted = { pin!(turn.client.identify(turn.now, &identify)).await };
        turn.end(accepted).map(drop)
    }

    /// Forgets the current user and the anonymous visitor, after starting a flush. What was said before is still
    /// delivered as theirs; the next event belongs to somebody new.
    ///
    /// # Errors
    /// [`Fault`]: the user is still the current one; call again.
    pub async fn reset(&self) -> Result<(), Fault<S::Error>> {
        let _not_waited_for = self.begin_flush().await;
        self.reset_without_flush().await
    }

    /// As [`reset`](Self::reset), leaving what is owed to the next flush.
    ///
    /// # Errors
    /// As [`reset`](Self::reset).
    pub async fn reset_without_flush(&self) -> Result<(), Fault<S::Error>> {
        self.shared.client().await.reset().await
    }

    /// Registers the device's push token for the current user; before anybody is identified it is held in memory,
    /// and the next [`identify`](Self::identify) attaches it. Call it at every start: a token that was delivered
    /// for this user before costs nothing.
    ///
    /// # Errors
    /// As [`track`](Self::track).
    pub async fn set_push_token<'a>(&self, token: impl Into<PushToken<'a>>) -> Said<(), S> {
        let token = token.into();
        let mut turn = self.shared.turn().await;
        let accepted = { pin!(turn.client.set_push_token(turn.now, token)).await };
        turn.end(accepted).map(drop)
    }

    /// Records nothing any more, and deletes what is queued, from the storage too. If a push token was delivered, one
    /// word to the server opts it out. The choice survives restarts, and a power cut at any point of this call.
    ///
    /// # Errors
    /// [`EnqueueError::Storage`]: nothing is recorded or sent all the same, and the deletion goes on until it is done.
    pub async fn opt_out(&self) -> Said<(), S> {
        let mut turn = self.shared.turn().await;
        let accepted = { pin!(turn.client.opt_out(turn.now)).await };
        let opted_out = turn.end(accepted).map(drop);
        // A request that is out is given up.
        self.shared.ring();
        opted_out
    }

    /// Records again. The push token has to be set again.
    ///
    /// # Errors
    /// [`EnqueueError::Storage`]: the user is still opted out; call again.
    pub async fn opt_in(&self) -> Said<(), S> {
        let mut turn = self.shared.turn().await;
        let accepted = { pin!(turn.client.opt_in(turn.now)).await };
        turn.end(accepted).map(drop)
    }

    /// Whether the user has opted out.
    pub async fn is_opted_out(&self) -> bool {
        self.shared.client().await.is_opted_out()
    }

    /// Shows who the current user is.
    pub async fn current_user<R>(&self, show: impl FnOnce(Option<&str>) -> R) -> R {
        show(self.shared.client().await.current_user().map(|user| user.as_str()))
    }

    /// Delivers what is owed, for at most `deadline`: the only call that waits for the network. Dropping its future
    /// leaves delivery going on.
    ///
    /// A computed backoff is cut short, a `Retry-After` is not.
    pub async fn flush(&self, deadline: Duration) -> Flush {
        let end = embassy_time::Duration::from_millis(
            u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX / 2_000_000),
        );
        let end = Instant::now().saturating_add(end);
        let ticket = self.begin_flush().await;
        loop {
            let count = self.shared.stepped().count();
            let progress = self.shared.client().await.flush_progress(ticket);
            if let Some(flush) = self.ended(progress) {
                return flush;
            }
            match select(self.shared.stepped().rang_since(count), Timer::at(end)).await {
                Either::First(()) => {}
                Either::Second(()) => return Flush::TimedOut,
            }
        }
    }

    async fn begin_flush(&self) -> FlushTicket {
        let ticket = self.shared.client().await.flush();
        self.shared.ring();
        ticket
    }

    fn ended(&self, progress: FlushProgress) -> Option<Flush> {
        Some(match progress {
            FlushProgress::Delivered => Flush::Delivered,
            _ if self.shared.has_ended() => Flush::Closed,
            FlushProgress::Stopped(Stop::Auth) => Flush::AuthRefused,
            FlushProgress::Stopped(_) => Flush::RetryExhausted,
            FlushProgress::Paused => Flush::Paused,
            FlushProgress::Pending => return None,
        })
    }

    /// Sends nothing until [`resume`](Self::resume), and returns once no request is out: then the network may go away.
    /// A request under way ends by itself, after `request_timeout` at the latest. Calls go on being accepted.
    ///
    /// For sleep: `pause`, then [`next_run`](Self::next_run), then sleep; after it `resume`. Dropping the future leaves
    /// delivery paused.
    pub async fn pause(&self) {
        self.shared.client().await.pause();
        self.shared.ring();
        loop {
            let count = self.shared.stepped().count();
            let waiting = self.shared.client().await.status().waiting;
            let is_busy = waiting == Waiting::InFlight;
            if !self.shared.is_running() || !(is_busy || self.shared.next_run().is_busy()) {
                return;
            }
            self.shared.stepped().rang_since(count).await;
        }
    }

    /// Delivers again, and at once.
    pub async fn resume(&self) {
        self.shared.client().await.resume();
        self.shared.ring();
    }

    /// The ingestion key was replaced in the transport, or by the server: delivery that stands still because the
    /// server refused it is tried again at once.
    pub async fn retry_auth(&self) {
        self.shared.client().await.retry_auth();
        self.shared.ring();
    }

    /// Ends [`Runner::run`](crate::Runner::run) at its next step; a request that is out is given up. What is owed
    /// stays in the storage. There is no way back: the next start delivers it.
    pub async fn stop(&self) {
        self.shared.client().await.stop();
        self.shared.ring();
    }

    /// When the runner next runs by itself: how long firmware may sleep, and what its watchdog may expect. Never waits.
    ///
    /// What other tasks say afterwards wakes the runner and changes the answer.
    #[must_use]
    pub fn next_run(&self) -> NextRun {
        self.shared.next_run()
    }

    /// A look at the queue.
    pub async fn status(&self) -> Status {
        self.shared.client().await.status()
    }

    /// What became of every operation that was ever accepted on this queue.
    pub async fn ledger(&self) -> Ledger {
        self.shared.client().await.ledger()
    }

    /// Whether any operation could be taken without evicting an event.
    pub async fn has_room(&self) -> bool {
        self.shared.client().await.has_room()
    }
}

fn message_id(accepted: Accepted) -> MessageId {
    accepted.message_id.unwrap_or(MessageId::from_bytes([0; 16]))
}
