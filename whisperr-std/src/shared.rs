//! What the handle and its threads share: the client behind its lock, and the bells.

use core::fmt;
use core::time::Duration;
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::ThreadId;
use std::time::Instant as SystemInstant;

use tokio::sync::Notify;
use whisperr_core::{
    Accepted, Client, Clock, EnqueueError, FlushProgress, FlushTicket, Instant, Now, Shared as CoreShared,
    UtcMillis, ready,
};

use crate::error::Error;
use crate::file::{FileError, Fsync, Syncer};
use crate::storage::{QueueStorage, StorageError};

/// The client of the core, over the storages of this crate.
pub(crate) type QueueClient = Client<QueueStorage, Vec<u8>>;

/// What a call of the client answers that says something; nothing when its storage waits, which it never does.
pub(crate) type Said = Option<Result<Accepted, EnqueueError<StorageError>>>;

/// The clock of a client: the system's, or a test's.
pub(crate) struct AnyClock(pub(crate) Box<dyn Clock + Send + Sync>);

impl Clock for AnyClock {
    fn now(&self) -> Instant {
        self.0.now()
    }

    fn utc(&self) -> Option<UtcMillis> {
        self.0.utc()
    }
}

pub(crate) struct Shared {
    client: Mutex<QueueClient>,
    clock: AnyClock,
    /// Rung for the runner.
    bell: Notify,
    /// Rung for who waits in blocking code, and in async code, whenever the runner took a step.
    progressed: Condvar,
    progressed_async: Notify,
    /// When somebody who waits in async code wants to be woken at the latest.
    deadlines: Mutex<Vec<SystemInstant>>,
    /// Set when the runner's thread has ended.
    ended: Mutex<bool>,
    ended_bell: Condvar,
    sync: Option<(Syncer, Fsync)>,
    runner: OnceLock<ThreadId>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// A lock that a panic of the application's `Serialize` cannot take away: the client changes only
/// after the encoding succeeded.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn new(client: QueueClient, clock: AnyClock, sync: Option<(Syncer, Fsync)>) -> Self {
        Self {
            client: Mutex::new(client),
            clock,
            bell: Notify::new(),
            progressed: Condvar::new(),
            progressed_async: Notify::new(),
            deadlines: Mutex::new(Vec::new()),
            ended: Mutex::new(false),
            ended_bell: Condvar::new(),
            sync,
            runner: OnceLock::new(),
        }
    }

    pub(crate) fn client(&self) -> MutexGuard<'_, QueueClient> {
        lock(&self.client)
    }

    pub(crate) fn clock(&self) -> &AnyClock {
        &self.clock
    }

    /// Wakes the runner.
    pub(crate) fn ring(&self) {
        self.bell.notify_one();
    }

    /// Takes an operation and wakes the runner if it must be.
    pub(crate) fn accept(&self, work: impl FnOnce(&mut QueueClient, Now) -> Said) -> Result<Accepted, Error> {
        let accepted = self.change(work);
        // Also when the sync failed: the operation may be delivered all the same.
        if accepted.as_ref().map_or(true, |accepted| accepted.wake) {
            self.ring();
        }
        accepted
    }

    /// Changes the queue under the lock, and waits for the medium as the policy says: outside the
    /// lock, so that one sync serves all who wait.
    pub(crate) fn change<T, E: Into<Error>>(
        &self,
        work: impl FnOnce(&mut QueueClient, Now) -> Option<Result<T, E>>,
    ) -> Result<T, Error> {
        let mut client = self.client();
        let now = Now::read(&self.clock);
        // Neither storage ever waits; if one did, its future would have been dropped before it was done.
        let changed = match work(&mut client, now) {
            Some(changed) => changed.map_err(Into::into)?,
            None => return Err(NEVER_WAITS.into()),
        };
        let ticket = match client.storage() {
            QueueStorage::File(file) if self.syncs_always() => Some(file.ticket()),
            _ => None,
        };
        drop(client);
        if let (Some(ticket), Some((syncer, _))) = (ticket, &self.sync) {
            syncer.wait_durable(ticket).map_err(|error| Error::Storage(StorageError::File(error)))?;
        }
        Ok(changed)
    }

    fn syncs_always(&self) -> bool {
        self.sync.as_ref().is_some_and(|(_, policy)| *policy == Fsync::Always)
    }

    pub(crate) const fn syncer(&self) -> Option<&(Syncer, Fsync)> {
        self.sync.as_ref()
    }

    /// Waits in blocking code until a flush ends or `deadline` is over.
    pub(crate) fn wait_for_flush(&self, ticket: FlushTicket, deadline: Duration) -> FlushProgress {
        let end = SystemInstant::now().checked_add(deadline);
        let mut client = self.client();
        loop {
            let progress = client.flush_progress(ticket);
            let left = end.map(|end| end.saturating_duration_since(SystemInstant::now()));
            if progress != FlushProgress::Pending || left == Some(Duration::ZERO) || self.has_ended() {
                return progress;
            }
            // Without an end, look again once in a while: a lost wake-up must not be a hang.
            let left = left.unwrap_or(Duration::from_secs(1));
            let waited = self.progressed.wait_timeout(client, left);
            client = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The same in async code of any runtime: the runner's own timer ends it.
    pub(crate) async fn wait_for_flush_async(
        &self,
        ticket: FlushTicket,
        deadline: Duration,
    ) -> FlushProgress {
        let end = SystemInstant::now().checked_add(deadline);
        if let Some(end) = end {
            lock(&self.deadlines).push(end);
            self.ring();
        }
        loop {
            let stepped = self.progressed_async.notified();
            let progress = self.client().flush_progress(ticket);
            if progress != FlushProgress::Pending
                || end.is_some_and(|end| SystemInstant::now() >= end)
                || self.has_ended()
            {
                return progress;
            }
            stepped.await;
        }
    }

    /// The runner's thread says who it is.
    pub(crate) fn set_runner(&self, thread: ThreadId) {
        let _only_once = self.runner.set(thread);
    }

    /// The runner's thread, once it runs.
    pub(crate) fn runner(&self) -> Option<ThreadId> {
        self.runner.get().copied()
    }

    fn notify_progress(&self) {
        self.progressed.notify_all();
        self.progressed_async.notify_waiters();
    }

    /// Whether the runner's thread has ended: nothing is delivered any more.
    pub(crate) fn has_ended(&self) -> bool {
        *lock(&self.ended)
    }

    /// The runner's thread is about to end.
    pub(crate) fn end(&self) {
        *lock(&self.ended) = true;
        self.ended_bell.notify_all();
        self.notify_progress();
    }

    /// Waits until the runner's thread has ended; `false` when `end` came first.
    pub(crate) fn wait_for_end(&self, end: SystemInstant) -> bool {
        let mut ended = lock(&self.ended);
        while !*ended {
            let left = end.saturating_duration_since(SystemInstant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.ended_bell.wait_timeout(ended, left);
            ended = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// The next deadline of somebody who waits; those that are over are forgotten.
    fn next_deadline(&self) -> Option<SystemInstant> {
        let mut deadlines = lock(&self.deadlines);
        let now = SystemInstant::now();
        deadlines.retain(|deadline| *deadline > now);
        deadlines.iter().min().copied()
    }
}

/// What a storage that waits would come to. It cannot happen: both storages are ready at once.
const NEVER_WAITS: whisperr_core::Fault<StorageError> =
    whisperr_core::Fault::Medium(StorageError::File(FileError::SyncFailed));

/// Drives a call of the core, which never waits over these storages.
pub(crate) fn now_or_fault<T>(
    future: impl Future<Output = Result<T, whisperr_core::Fault<StorageError>>>,
) -> Result<T, Error> {
    ready(future).unwrap_or(Err(NEVER_WAITS)).map_err(Error::from)
}

impl CoreShared for Shared {
    type Storage = QueueStorage;
    type Buffer = Vec<u8>;
    type Guard<'a> = MutexGuard<'a, QueueClient>;

    async fn lock(&self) -> MutexGuard<'_, QueueClient> {
        self.client()
    }

    async fn wait(&self, until: Option<Instant>) {
        // The runner waits after every step it takes, so this is where a step is announced.
        self.notify_progress();
        let until = until.map(|until| until.since(self.clock.now()));
        let deadline = self.next_deadline().map(|at| at.saturating_duration_since(SystemInstant::now()));
        match [until, deadline].into_iter().flatten().min() {
            None => self.bell.notified().await,
            // Until the bell or the timer, whichever is first.
            Some(left) => {
                let _timer_first = tokio::time::timeout(left, self.bell.notified()).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use whisperr_core::{Config, Identify, Track};

    use super::*;
    use crate::clock::SystemClock;
    use crate::file::{FileOptions, FileStorage, SYNC_INTERVAL_MAX};

    #[test]
    fn only_always_makes_a_change_durable_before_the_call_returns() {
        for (policy, durable) in [(Fsync::Always, true), (Fsync::Interval(SYNC_INTERVAL_MAX), false)] {
            let directory = tempfile::tempdir().unwrap();
            let options = FileOptions::new().fsync(policy);
            let file = FileStorage::open(&directory.path().join("queue"), options).unwrap();
            let syncer = file.syncer();
            let clock = AnyClock(Box::new(SystemClock::new()));
            let storage = QueueStorage::File(file);
            let opened = Client::open(storage, vec![0; 1024], &Config::DEFAULT, 1, Now::read(&clock));
            let client = ready(opened).unwrap().unwrap();
            // Nobody else syncs: there is no thread.
            let shared = Shared::new(client, clock, Some((syncer.clone(), policy)));

            let event = Track::new("e").user("u");
            let accepted = shared.accept(|client, now| ready(client.track(now, &event)));
            assert_eq!((accepted.is_ok(), syncer.dirty_since().is_none()), (true, durable), "{policy:?}");

            let identify = Identify::new("u");
            assert!(shared.accept(|client, now| ready(client.identify(now, &identify))).is_ok());
            assert!(shared.change(|client, _| ready(client.reset())).is_ok());
            assert_eq!(syncer.dirty_since().is_none(), durable, "{policy:?}");
        }
    }
}
