//! The delivery machine: what to do next, and when.
//!
//! Sans-IO: inputs are facts with a time, outputs are decisions. It reads no clock, touches no
//! storage, allocates nothing, and is a value: clone it, print it, compare it.
//!
//! ```text
//!              flush is due             final outcome               removed
//!   Waiting ────────────────▶ Sending ────────────────▶ Settling ─────────────▶ Waiting
//!    ▲  ▲                      │  │ ▲                       │  paced
//!    │  │                      │  │ └───────────────┐       ▼
//!    │  │   401, 403           │  └─────────▶ BackingOff ◀──┘
//!    │  └── AuthRefused ◀──────┘   429, 5xx, no reply; 400, 413, 422 of more than one
//!    └───────── flush, or the probe is due
//! ```

mod failure;

use crate::backoff::Backoff;
use crate::batch::{Batch, BatchLimit};
use crate::clock::{Instant, UtcMillis, millis};
use crate::config::Config;
use crate::notice::{Notice, Pending};
use crate::outcome::Outcome;
use crate::pace::Pace;
#[cfg(whisperr_planted)]
use crate::planted::{self, Bug};
use crate::rng::Rng;
use crate::transport::Reply;

/// A success lets the backoff fall by this many levels, and not at once to nothing: a server that just
/// came back may be gone again (reliability study, section 3.6).
const LEVELS_PER_SUCCESS: u8 = 3;

/// Refusals back off from this fraction of the base: isolating one event among 500 takes nine of
/// them in a row, which should cost seconds, and a server that refuses everything soon waits long.
const REFUSAL_FRACTION: u64 = 64;

/// What the driver does next.
#[must_use = "an ignored action stalls delivery"]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a driver handles every action: a new one must break it")]
pub enum Action {
    /// Form a batch within the limit, call [`Delivery::handle_sending`], send it once, then call
    /// [`Delivery::handle_reply`].
    Send(BatchLimit),
    /// Remove these operations, then call [`Delivery::handle_removed`]. Removing twice is harmless.
    Remove(Batch),
    /// Tell the application.
    Notify(Notice),
    /// Nothing is due before `until`; `None` waits for a new operation or a flush.
    Wait {
        /// When to ask again at the latest.
        until: Option<Instant>,
    },
    /// The client was shut down: the loop ends.
    Stop,
}

/// How the operations of a batch leave the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exit {
    /// By a 2xx.
    Acknowledged {
        /// How many of them the server's shape check refused.
        rejected: u32,
    },
    /// Refused for good.
    Dropped {
        /// The status that refused them.
        status: u16,
    },
}

/// Why delivery stands still, for a person who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Waiting {
    /// Nothing is owed.
    Idle,
    /// For the flush interval, or for more operations.
    Interval,
    /// A request is out.
    InFlight,
    /// After a failure, or to pace a backlog.
    Backoff,
    /// The server asked for time with `Retry-After`.
    RetryAfter,
    /// The server refused the ingestion key.
    AuthRefused,
    /// The application paused delivery.
    Paused,
    /// Delivered operations are being removed from the storage.
    Storage,
}

impl Waiting {
    /// A name for logs and status output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Interval => "interval",
            Self::InFlight => "in_flight",
            Self::Backoff => "backoff",
            Self::RetryAfter => "retry_after",
            Self::AuthRefused => "auth_refused",
            Self::Paused => "paused",
            Self::Storage => "storage",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// For company, until the interval of the oldest operation ends. `not_before` holds back a
    /// start with a backlog.
    Waiting { until: Option<Instant>, not_before: Option<Instant> },
    /// One request is out; no reply by `until` counts as unanswered.
    Sending { batch: Batch, until: Instant },
    /// A final outcome; the operations leave the storage, not before `until` after a fault of it.
    Settling { batch: Batch, exit: Exit, until: Instant },
    /// `firm` is the server's own word, which a flush does not cut short.
    BackingOff { until: Instant, firm: bool },
    /// The key was refused; one probe at `until`.
    AuthRefused { until: Instant },
}

/// Why a flush ended with operations still owed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stop {
    /// The server refused the ingestion key.
    Auth,
    /// All retries failed.
    RetryExhausted,
}

/// The delivery machine. See the module's picture; [`Client`](crate::Client) feeds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    config: Config,
    backoff: Backoff,
    refusal_backoff: Backoff,
    pace: Pace,
    rng: Rng,
    state: State,
    /// How many of the oldest operations are on their way out, batch after batch.
    due: u32,
    /// A flush was asked for that no attempt has answered yet.
    flush: bool,
    paused: bool,
    stopped: bool,
    /// An interval was begun since the start.
    started: bool,
    /// The driver was told to wait without a limit, since nothing was owed.
    asleep: bool,
    /// The level of the backoff; rises with failures, falls with successes.
    level: u8,
    /// Failures in a row since a success or a flush.
    failures: u32,
    exhausted: bool,
    /// Refusals in a row.
    refusals: u8,
    /// Faults of the storage in a row.
    faults: u8,
    /// What a request carries while something is being isolated.
    run: BatchLimit,
    stops: u32,
    last_stop: Option<Stop>,
    /// The server's clock minus the monotonic one, from its last `Date`.
    server_offset: Option<i64>,
    notices: Pending,
}

impl Delivery {
    /// A machine that owes `owed` operations from before. A backlog waits for a random part of the
    /// flush interval: devices that get their power back together must not send together.
    #[must_use]
    pub fn new(config: &Config, seed: u128, now: Instant, owed: u32) -> Self {
        let mut rng = Rng::new(seed);
        let start = now.after_ms(rng.up_to(millis(config.flush_interval)));
        let held = (owed > 0).then_some(start);
        let (base, cap) = (millis(config.retry_base_delay), millis(config.max_retry_delay));
        Self {
            config: *config,
            backoff: Backoff::new(base, cap),
            refusal_backoff: Backoff::new((base / REFUSAL_FRACTION).max(1), cap),
            pace: Pace::new(config.flush_interval),
            rng,
            state: State::Waiting { until: held, not_before: held },
            due: 0,
            flush: false,
            paused: false,
            stopped: false,
            started: false,
            asleep: false,
            level: 0,
            failures: 0,
            exhausted: false,
            refusals: 0,
            faults: 0,
            run: full_run(config),
            stops: 0,
            last_stop: None,
            server_offset: None,
            notices: Pending::default(),
        }
    }

    /// The settings, which are kept here for the whole client.
    pub(crate) const fn config(&self) -> &Config {
        &self.config
    }

    /// An operation was accepted; `owed` counts it. Returns whether the driver must be woken.
    #[must_use]
    pub fn handle_enqueued(&mut self, now: Instant, owed: u32, is_identify: bool) -> bool {
        #[cfg(whisperr_planted)]
        if planted::is(Bug::LostWakeup) {
            return false;
        }
        let in_flight = self.in_flight().map_or(0, |batch| u32::from(batch.count));
        let due = is_identify || owed.saturating_sub(in_flight) >= self.config.flush_at;
        if due {
            // Before the first request: all that is owed by then.
            self.due = if let State::Waiting { .. } = self.state { u32::MAX } else { owed };
        }
        match &self.state {
            State::Waiting { until, .. } if !self.paused && (due || self.due == 0) => {
                let armed = until.is_some();
                if !due && !armed {
                    self.start_interval(now);
                }
                due || !armed
            }
            _ => self.asleep && !self.paused,
        }
    }

    /// What is owed waits for company from now on: up to a quarter less than the interval, never
    /// more, so that the phases of a fleet drift apart; up to half of it less after a start, since a
    /// site that gets its power back starts together.
    fn start_interval(&mut self, now: Instant) {
        let interval = millis(self.config.flush_interval);
        let early = self.rng.up_to(if self.started { interval / 4 } else { interval / 2 });
        self.started = true;
        if let State::Waiting { until, .. } = &mut self.state {
            *until = Some(now.after_ms(interval.saturating_sub(early)));
        }
    }

    /// Delivery is to start now. Cuts a computed backoff and an auth pause short, never a `Retry-After`.
    pub const fn handle_flush(&mut self) {
        self.flush = true;
        self.failures = 0;
        self.exhausted = false;
    }

    /// The ingestion key is another one: what was refused for the old one is tried at once.
    pub const fn handle_key_changed(&mut self) {
        if let State::AuthRefused { .. } = self.state {
            self.state = State::Waiting { until: None, not_before: None };
            self.due = u32::MAX;
        }
    }

    /// No new request until [`handle_resumed`](Self::handle_resumed); one in flight ends by itself.
    pub const fn handle_paused(&mut self) {
        self.paused = true;
    }

    /// Delivery goes on, and starts now if anything is owed.
    pub const fn handle_resumed(&mut self) {
        self.paused = false;
        self.due = u32::MAX;
    }

    /// The loop is to end.
    pub const fn handle_stopped(&mut self) {
        self.stopped = true;
    }

    /// What to do next, with `owed` operations in the queue. Asking early is harmless, asking late is
    /// only late.
    pub fn poll(&mut self, now: Instant, owed: u32) -> Action {
        if let Some(notice) = self.notices.take() {
            return Action::Notify(notice);
        }
        self.asleep = false;
        match &self.state {
            // Also when stopped: what is acknowledged should not be sent again after the restart.
            State::Settling { batch, until, .. } if now >= *until => return Action::Remove(*batch),
            _ if self.stopped => return Action::Stop,
            State::Sending { until, .. } | State::Settling { until, .. } => {
                return Action::Wait { until: Some(*until) };
            }
            _ => {}
        }
        if owed == 0 {
            self.flush = false;
            self.due = 0;
            self.pace.end();
            if let State::Waiting { until, .. } = &mut self.state {
                *until = None;
            }
            self.asleep = true;
            return Action::Wait { until: None };
        }
        if self.paused {
            return Action::Wait { until: None };
        }
        if self.due == 0 && matches!(self.state, State::Waiting { until: None, .. }) {
            // Accepted while the request before was out. To send it at once would be to send without
            // end on a slow server, and the more requests the slower it is.
            self.start_interval(now);
        }
        match self.not_before(now) {
            Some(until) if now < until => Action::Wait { until: Some(until) },
            _ => {
                // What arrives from now on is not of this drain.
                self.due = if self.due == 0 || self.flush { owed } else { self.due.min(owed) };
                self.pace.note_sending(owed);
                Action::Send(self.run)
            }
        }
    }

    /// When the next request is due; `None` for at once.
    fn not_before(&self, now: Instant) -> Option<Instant> {
        match &self.state {
            State::BackingOff { until, firm: true } => Some(*until),
            _ if self.flush => None,
            State::BackingOff { until, firm: false } | State::AuthRefused { until } => Some(*until),
            State::Waiting { not_before: Some(until), .. } if now < *until => Some(*until),
            State::Waiting { .. } if self.due > 0 => None,
            State::Waiting { until, .. } => *until,
            State::Sending { .. } | State::Settling { .. } => None,
        }
    }

    /// Nothing that is owed can be sent yet: ask again after the flush interval.
    pub fn handle_unsendable(&mut self, now: Instant) {
        self.flush = false;
        self.due = 0;
        let until = now.after(self.config.flush_interval);
        self.state = State::Waiting { until: Some(until), not_before: Some(until) };
    }

    /// Everything was deleted, also what is on its way or settled: nobody waits for its reply any more.
    pub(crate) fn handle_wiped(&mut self) {
        if let State::Sending { .. } | State::Settling { .. } = self.state {
            self.state = State::Waiting { until: None, not_before: None };
        }
        self.due = 0;
    }

    /// When a backoff or an auth pause ends.
    pub(crate) const fn resumes_at(&self) -> Option<Instant> {
        match &self.state {
            State::BackingOff { until, .. } | State::AuthRefused { until } => Some(*until),
            _ => None,
        }
    }

    /// How the batch leaves that is being removed.
    pub(crate) const fn exit(&self) -> Option<Exit> {
        match &self.state {
            State::Settling { exit, .. } => Some(*exit),
            _ => None,
        }
    }

    /// `batch` is about to be sent.
    pub fn handle_sending(&mut self, now: Instant, batch: Batch) {
        self.flush = false;
        self.state = State::Sending { batch, until: now.after(self.config.request_timeout) };
    }

    /// When the attempt under way is over.
    #[must_use]
    pub const fn sending_until(&self) -> Option<Instant> {
        match &self.state {
            State::Sending { until, .. } => Some(*until),
            _ => None,
        }
    }

    /// The operations that must not be evicted: sent, or being removed.
    #[must_use]
    pub const fn in_flight(&self) -> Option<Batch> {
        match &self.state {
            State::Sending { batch, .. } | State::Settling { batch, .. } => Some(*batch),
            _ => None,
        }
    }

    /// The attempt under way ended; `None` without a reply. A reply to nothing changes nothing.
    pub fn handle_reply(&mut self, now: Instant, utc: Option<UtcMillis>, reply: Option<Reply>) {
        let State::Sending { batch, .. } = self.state else { return };
        let status = reply.map(|reply| reply.status);
        if let Some(date) = reply.and_then(|reply| reply.date) {
            self.server_offset = Some(date.get().saturating_sub_unsigned(now.as_millis()));
        }
        let outcome = status.map_or(Outcome::Retry, Outcome::of);
        #[cfg(whisperr_planted)]
        let outcome = match outcome {
            Outcome::Retry if status.is_none() && planted::is(Bug::RemoveOnTimeout) => Outcome::Ok,
            Outcome::Refused if planted::is(Bug::DropWholeBatch) => Outcome::Drop,
            Outcome::Auth if planted::is(Bug::HammerAuth) => Outcome::Retry,
            other => other,
        };
        match outcome {
            Outcome::Ok => {
                self.adjust_pace(batch);
                self.level = self.level.saturating_sub(LEVELS_PER_SUCCESS);
                self.failures = 0;
                self.exhausted = false;
                self.refusals = 0;
                self.grow_run();
                let rejected = reply.map_or(0, |reply| reply.rejected).min(batch.count.into());
                self.settle(now, batch, Exit::Acknowledged { rejected });
            }
            Outcome::Drop => {
                self.refusals = self.refusal_backoff.above(self.refusals);
                self.settle(now, batch, Exit::Dropped { status: status.unwrap_or_default() });
            }
            Outcome::Refused => {
                self.refusals = self.refusal_backoff.above(self.refusals);
                if batch.count <= 1 {
                    self.settle(now, batch, Exit::Dropped { status: status.unwrap_or_default() });
                } else {
                    self.shrink_run(batch, status == Some(413));
                    let delay = self.refusal_backoff.delay_ms(self.refusals, &mut self.rng);
                    self.state = State::BackingOff { until: now.after_ms(delay), firm: false };
                }
            }
            Outcome::Auth => {
                let status = status.unwrap_or_default();
                if !self.flush {
                    self.stop(Stop::Auth);
                }
                self.notices.add(Notice::Auth { status });
                // At most one probe in `max_retry_delay`, with jitter on top.
                let delay = millis(self.config.max_retry_delay);
                let delay = delay.saturating_add(self.rng.up_to(delay / 4));
                self.state = State::AuthRefused { until: now.after_ms(delay) };
            }
            Outcome::Retry => self.handle_failure(now, utc, reply),
        }
    }

    fn settle(&mut self, now: Instant, batch: Batch, exit: Exit) {
        match exit {
            Exit::Acknowledged { rejected: 0 } => {}
            Exit::Acknowledged { rejected } => {
                self.notices.add(Notice::Rejected { count: rejected });
            }
            Exit::Dropped { status } => {
                self.notices.add(Notice::Dropped { count: batch.count.into(), status });
            }
        }
        self.state = State::Settling { batch, exit, until: now };
    }

    const fn stop(&mut self, stop: Stop) {
        self.stops = self.stops.wrapping_add(1);
        self.last_stop = Some(stop);
    }

    /// Half of what was refused, in events, or in bytes when size was the reason.
    fn shrink_run(&mut self, batch: Batch, too_large: bool) {
        if too_large {
            self.run.bytes = (batch.body_bytes / 2).max(1);
        } else {
            self.run.events = (batch.count / 2).max(1);
        }
    }

    /// Twice the events, an eighth more bytes: a limit of the server's stays near, a single bad event is left behind.
    fn grow_run(&mut self) {
        let full = full_run(&self.config);
        self.run.events = self.run.events.saturating_mul(2).min(full.events);
        self.run.bytes = self.run.bytes.saturating_add((self.run.bytes / 8).max(64)).min(full.bytes);
    }

    /// The operations of a settled batch left the storage, or could not: then that is tried again.
    /// Returns how they left, once.
    pub fn handle_removed(&mut self, now: Instant, removed: bool) -> Option<Exit> {
        let State::Settling { batch, exit, .. } = self.state else { return None };
        if !removed {
            self.storage_failed();
            let delay = self.backoff.delay_ms(self.faults, &mut self.rng);
            self.state = State::Settling { batch, exit, until: now.after_ms(delay) };
            return None;
        }
        self.faults = 0;
        self.due = self.due.saturating_sub(batch.count.into());
        let refusals = self.refusal_backoff.delay_ms(self.refusals, &mut self.rng);
        let pause = self.pace.draw_ms(&mut self.rng).max(refusals);
        let until = now.after_ms(pause);
        self.state = if self.due > 0 && pause > 0 {
            State::BackingOff { until, firm: false }
        } else {
            State::Waiting { until: None, not_before: Some(until) }
        };
        Some(exit)
    }

    /// The storage could not be read while a batch was formed or sent.
    pub fn handle_storage_fault(&mut self, now: Instant) {
        self.storage_failed();
        let again = now.after_ms(self.backoff.delay_ms(self.faults, &mut self.rng));
        self.flush = false;
        // What the server was promised, or is to be told, is not forgotten over it.
        match &mut self.state {
            State::BackingOff { until, firm } => {
                *until = again.max(*until);
                *firm = true;
            }
            State::AuthRefused { until } | State::Settling { until, .. } => *until = again.max(*until),
            State::Waiting { .. } | State::Sending { .. } => {
                self.state = State::BackingOff { until: again, firm: true };
            }
        }
    }

    fn storage_failed(&mut self) {
        if self.faults == 0 {
            self.notices.add(Notice::Storage);
        }
        self.faults = self.backoff.above(self.faults);
    }

    /// Adds something to be told; returns whether the driver must be woken for it.
    pub(crate) fn add_notice(&mut self, notice: Notice) -> bool {
        self.notices.add(notice)
    }

    /// The server's own time, once a reply said it.
    pub(crate) fn server_time(&self, now: Instant) -> Option<UtcMillis> {
        self.server_offset.map(|offset| UtcMillis::new(offset.saturating_add_unsigned(now.as_millis())))
    }

    /// How often delivery gave up so far, and why the last time; a flush watches it.
    pub(crate) const fn stops(&self) -> (u32, Option<Stop>) {
        (self.stops, self.last_stop)
    }

    /// Why nothing is being sent, with `owed` operations in the queue.
    #[must_use]
    pub const fn waiting(&self, owed: u32) -> Waiting {
        match &self.state {
            State::Sending { .. } => Waiting::InFlight,
            State::Settling { .. } => Waiting::Storage,
            _ if owed == 0 => Waiting::Idle,
            _ if self.paused => Waiting::Paused,
            State::AuthRefused { .. } => Waiting::AuthRefused,
            State::BackingOff { firm: true, .. } => Waiting::RetryAfter,
            State::BackingOff { firm: false, .. } => Waiting::Backoff,
            State::Waiting { .. } => Waiting::Interval,
        }
    }

    /// Whether the application paused delivery.
    #[must_use]
    pub const fn is_paused(&self) -> bool {
        self.paused
    }

    /// Whether the loop is to end.
    #[must_use]
    pub const fn is_stopped(&self) -> bool {
        self.stopped
    }
}

const fn full_run(config: &Config) -> BatchLimit {
    BatchLimit { events: config.max_batch_size, bytes: config.max_request_bytes as usize }
}
