//! What stands behind the lock: the queue, who the user is, and the delivery machine.

mod consent;
mod ledger;
mod lifecycle;
mod opening;
mod push;
mod say;
mod sending;

pub(crate) use sending::{Hindrance, Judgement, PlanStart};

pub use lifecycle::Session;
pub use opening::{OpenError, Opening, Place, Room};

use ledger::Books;
use lifecycle::Foreground;

use core::fmt;

use crate::application::AppVersionError;
use crate::clock::{Clock, Instant, UtcMillis};
use crate::counters::Counters;
use crate::delivery::{Delivery, Stop, Waiting};
use crate::event_type::EventTypeError;
use crate::identity::{Boot, Identity};
use crate::kept::{Kept, Unsaid};
use crate::message_id::MessageId;
use crate::notice::Notice;
use crate::opt_out::OptOut;
use crate::push::Push;
use crate::push_token::PushTokenError;
use crate::queue::Queue;
use crate::record::{Record, RecordError};
use crate::rng::Rng;
use crate::storage::{Fault, RECORD_BYTES_MAX, Seq, SeqRange, Storage};
use crate::transport::Reply;
use crate::user::{UserId, UserIdError};

/// A wall clock before 2020 or after 2099 is one that is not set.
const UTC_MIN: i64 = 1_577_836_800_000;
const UTC_MAX: i64 = 4_102_444_800_000;

/// Whether a clock that shows this may be one that is set.
fn is_plausible(utc: UtcMillis) -> bool {
    (UTC_MIN..UTC_MAX).contains(&utc.get())
}

/// Both faces of a clock at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "callers without a Clock build it")]
pub struct Now {
    /// The monotonic clock.
    pub instant: Instant,
    /// The wall clock, if it is known.
    pub utc: Option<UtcMillis>,
}

impl Now {
    /// Reads a clock. A date before 2020 or after 2099 counts as unknown.
    pub fn read(clock: &impl Clock) -> Self {
        let utc = clock.utc().filter(|utc| is_plausible(*utc));
        Self { instant: clock.now(), utc }
    }
}

/// Why an operation was not accepted. Nothing was stored, unless the storage failed: then it is not
/// promised, and may still be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EnqueueError<E> {
    /// The event's name breaks the rule.
    EventType(EventTypeError),
    /// The user id breaks the rule.
    User(UserIdError),
    /// The push token breaks the rule.
    PushToken(PushTokenError),
    /// The version or build of the application breaks the rule.
    AppVersion(AppVersionError),
    /// The properties, context or traits cannot be stored.
    Record(RecordError),
    /// The queue is full and nothing may be evicted: identifies never are, what is in flight cannot
    /// be, and with [`Overflow::Refuse`](crate::Overflow::Refuse) nothing is.
    Full {
        /// Most operations.
        operations_max: u32,
        /// Most bytes of their records.
        bytes_max: u64,
    },
    /// The call asked for persistence, and the storage is memory, or set to be never synced.
    NotPersistent,
    /// The storage failed. Wake the runner: the operation may be in the queue all the same.
    Storage(Fault<E>),
}

macro_rules! enqueue_error_from {
    ($($error:ty => $variant:ident)*) => {$(
        impl<E> From<$error> for EnqueueError<E> {
            fn from(error: $error) -> Self {
                Self::$variant(error)
            }
        }
    )*};
}

enqueue_error_from! {
    EventTypeError => EventType  UserIdError => User  PushTokenError => PushToken
    AppVersionError => AppVersion  RecordError => Record
    Fault<E> => Storage
}

/// Why the core did not accept an operation; the medium's own words are added when the application is told.
type Refusal = EnqueueError<Unsaid>;

impl<E: fmt::Debug> fmt::Display for EnqueueError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EventType(error) => error.fmt(f),
            Self::User(error) => error.fmt(f),
            Self::PushToken(error) => error.fmt(f),
            Self::AppVersion(error) => error.fmt(f),
            Self::Record(error) => error.fmt(f),
            Self::Full { operations_max, bytes_max } => write!(
                f,
                "the queue of at most {operations_max} operations and {bytes_max} bytes is full and nothing in it \
                 may be evicted"
            ),
            Self::NotPersistent => {
                f.write_str("persistence is required, and nothing is synced to a medium here")
            }
            Self::Storage(fault) => fault.fmt(f),
        }
    }
}

impl<E: fmt::Debug> core::error::Error for EnqueueError<E> {}

/// What was said was accepted. An operation that came of it is owed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[must_use = "the runner sleeps unless it is woken"]
#[non_exhaustive]
pub struct Accepted {
    /// The local identity of the operation; none when nothing is to be sent: the user has opted out, or the
    /// server knows it already.
    pub seq: Option<Seq>,
    /// The event's `$message_id`; none without an event.
    pub message_id: Option<MessageId>,
    /// Whether the runner must be woken.
    pub wake: bool,
}

/// What a flush waits for; ask [`Client::flush_progress`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlushTicket {
    goal: Seq,
    stops: u32,
}

/// How far a flush is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a waiting caller handles every case")]
pub enum FlushProgress {
    /// Still under way.
    Pending,
    /// Everything owed when it was asked for has left the queue.
    Delivered,
    /// Delivery gave up for now; everything is kept.
    Stopped(Stop),
    /// The application paused delivery.
    Paused,
}

/// A look at the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Operations owed.
    pub owed: u32,
    /// Bytes of their records.
    pub bytes: u64,
    /// Why nothing is being sent.
    pub waiting: Waiting,
    /// What happened so far in this run.
    pub counters: Counters,
}

/// Everything that the handle and the runner share, to be put behind a lock.
///
/// `S` is the storage; `B` the buffer in which an operation is encoded, whose length is the record
/// limit (at most [`RECORD_BYTES_MAX`]). No method waits for the network.
#[derive(Debug)]
pub struct Client<S: Storage, B> {
    storage: Kept<S>,
    buffer: B,
    queue: Queue,
    identity: Identity,
    push: Push,
    opt_out: OptOut,
    delivery: Delivery,
    boot: Boot,
    session: u128,
    rng: Rng,
    /// The wall clock at the start of this boot, from the first time it was known.
    started: Option<UtcMillis>,
    /// The same by the `Date` of the first reply that acknowledged something.
    started_by_server: Option<UtcMillis>,
    /// The batch that is being formed or sent.
    pinned: Option<SeqRange>,
    /// Whether the storage held nothing of an earlier client at the start.
    is_fresh: bool,
    /// Whether a version may be written down whose event was not recorded and whose number another
    /// operation would take.
    unsettled: bool,
    /// Whether the application said its version since the start.
    launched: bool,
    /// Whether it was in the foreground since the start, and since when it is.
    was_opened: bool,
    foreground: Option<Foreground>,
    /// How often everything was deleted: a batch that was begun before is not sent after.
    wipes: u32,
    counters: Counters,
    books: Books,
    /// Lost before the start: among the counters of this run, and among the totals before it.
    damaged_at_start: u32,
}

impl<S: Storage, B: AsMut<[u8]>> Client<S, B> {
    /// Starts delivery now; wake the runner.
    pub fn flush(&mut self) -> FlushTicket {
        self.delivery.handle_flush();
        FlushTicket { goal: self.queue.end(), stops: self.delivery.stops().0 }
    }

    /// How far a flush is.
    pub fn flush_progress(&self, ticket: FlushTicket) -> FlushProgress {
        let (stops, last) = self.delivery.stops();
        if self.queue.owed() == 0 || self.queue.head() >= ticket.goal {
            return FlushProgress::Delivered;
        }
        match last.filter(|_| stops != ticket.stops) {
            Some(stop) => FlushProgress::Stopped(stop),
            None if self.delivery.is_paused() => FlushProgress::Paused,
            None => FlushProgress::Pending,
        }
    }

    /// The ingestion key was replaced: delivery that waits because the server refused the old one is tried
    /// at once; wake the runner.
    pub const fn retry_auth(&mut self) {
        self.delivery.handle_key_changed();
    }

    /// Sends nothing new until [`resume`](Self::resume); a request in flight ends by itself.
    pub const fn pause(&mut self) {
        self.delivery.handle_paused();
    }

    /// Delivers again, and at once; wake the runner.
    pub const fn resume(&mut self) {
        self.delivery.handle_resumed();
    }

    /// Ends the runner's loop at its next step; wake it. What is owed stays in the storage.
    pub const fn stop(&mut self) {
        self.delivery.handle_stopped();
    }

    /// Who the current user is.
    #[must_use]
    pub fn current_user(&self) -> Option<UserId<'_>> {
        self.identity.user()
    }

    /// A look at the queue.
    #[must_use]
    pub fn status(&self) -> Status {
        let owed = self.queue.owed();
        Status {
            owed,
            bytes: self.queue.bytes(),
            waiting: self.delivery.waiting(owed),
            counters: self.counters,
        }
    }

    /// Whether any operation, of any legal length, could be taken without evicting one.
    #[must_use]
    pub fn has_room(&mut self) -> bool {
        let len = record_buffer(&mut self.buffer).len();
        self.queue.has_room(len)
    }

    /// When the oldest owed event happened, and nothing while that is not known. Reads the storage.
    ///
    /// # Errors
    /// [`Fault`] when the storage cannot be read.
    pub async fn oldest(&mut self) -> Result<Option<UtcMillis>, Fault<S::Error>> {
        let dating = self.dating();
        let mut from = self.queue.head();
        loop {
            let buffer = record_buffer(&mut self.buffer);
            let found = self.storage.read(from, buffer).await;
            let Some(stored) = found.map_err(|trouble| self.storage.told(trouble))? else { return Ok(None) };
            if let Ok(Record::Track(track)) = Record::decode(buffer.get(..stored.len).unwrap_or_default()) {
                return Ok(dating.date(track.moment).map(|(date, _)| date));
            }
            from = stored.seq.next();
        }
    }

    /// The storage, for what only the platform knows of it.
    pub const fn storage(&mut self) -> &mut S {
        self.storage.storage()
    }

    /// Tells the application something that the platform noticed; returns whether the runner must be woken.
    pub fn add_notice(&mut self, notice: Notice) -> bool {
        self.delivery.add_notice(notice)
    }

    /// What the application is told of an operation.
    fn answer<T>(&mut self, done: Result<T, Refusal>) -> Result<T, EnqueueError<S::Error>> {
        done.map_err(|refusal| match refusal {
            EnqueueError::EventType(error) => EnqueueError::EventType(error),
            EnqueueError::User(error) => EnqueueError::User(error),
            EnqueueError::PushToken(error) => EnqueueError::PushToken(error),
            EnqueueError::AppVersion(error) => EnqueueError::AppVersion(error),
            EnqueueError::Record(error) => EnqueueError::Record(error),
            EnqueueError::Full { operations_max, bytes_max } => {
                EnqueueError::Full { operations_max, bytes_max }
            }
            EnqueueError::NotPersistent => EnqueueError::NotPersistent,
            EnqueueError::Storage(trouble) => EnqueueError::Storage(self.storage.told(trouble)),
        })
    }

    fn learn_time(&mut self, now: Now) {
        if self.started.is_none() {
            self.started = now.utc.map(|utc| utc.before_ms(now.instant.as_millis()));
        }
    }

    /// Takes note of the server's clock, in case the device never learns the time of its own. A captive portal
    /// acknowledges nothing in JSON, but nobody can tell for sure: what is dated by this is marked as an estimate.
    fn learn_server_time(&mut self, now: Now, reply: &Reply) {
        if self.started_by_server.is_none() && matches!(reply.status, 200..300) {
            let date = reply.date.filter(|date| is_plausible(*date));
            self.started_by_server = date.map(|date| date.before_ms(now.instant.as_millis()));
        }
    }
}

/// The part of a buffer that a record may fill.
fn record_buffer<B: AsMut<[u8]>>(buffer: &mut B) -> &mut [u8] {
    let buffer = buffer.as_mut();
    let len = buffer.len().min(RECORD_BYTES_MAX);
    buffer.get_mut(..len).unwrap_or_default()
}
