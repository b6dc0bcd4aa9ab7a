//! Syncs outside of the storage's lock, and those who wait for them.

use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::disk::DiskFile;
use super::error::FileError;
use super::options::{Fsync, SYNC_INTERVAL_MAX};

/// More bytes than this do not wait for the interval.
const UNSYNCED_BYTES_MAX: u64 = 1 << 20;

/// A point in the log: everything written before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub(super) u64);

/// Makes what a storage wrote durable without holding the storage.
///
/// Clones share one state. One sync runs at a time, and serves everybody who waits meanwhile. After
/// a failed one the file is not synced again: [`FileStorage::maintain`] writes what it covered to
/// another segment, and so does the next append.
///
/// [`FileStorage::maintain`]: super::FileStorage::maintain
#[derive(Debug, Clone)]
pub struct Syncer {
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    policy: Fsync,
    written: AtomicU64,
    durable: AtomicU64,
    /// Whether somebody was told that there is something to sync.
    told: AtomicBool,
    failed: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    file: Option<Arc<dyn DiskFile>>,
    syncing: bool,
    dirty_since: Option<Instant>,
    urgent: bool,
    stopped: bool,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("written", &self.written)
            .field("durable", &self.durable)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn new(policy: Fsync) -> Self {
        Self {
            policy,
            written: AtomicU64::new(0),
            durable: AtomicU64::new(0),
            told: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    pub(super) fn failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Says that the log is written up to `position`.
    ///
    /// `told` is read behind `written`, and cleared before `written` is read for a sync: whoever
    /// finds it set is covered by that sync.
    pub(super) fn publish(&self, position: u64) {
        if self.policy == Fsync::Never {
            self.durable.store(position, Ordering::Release);
            return;
        }
        self.written.store(position, Ordering::SeqCst);
        if !self.told.load(Ordering::SeqCst) {
            let mut state = self.lock();
            self.told.store(true, Ordering::SeqCst);
            state.dirty_since.get_or_insert_with(Instant::now);
            drop(state);
            self.changed.notify_all();
        }
    }

    /// Asks for a sync at once when much is not durable; `asked` remembers up to where.
    pub(super) fn press(&self, position: u64, durable: u64, asked: &mut u64) {
        if position.saturating_sub(durable.max(*asked)) > UNSYNCED_BYTES_MAX {
            *asked = position;
            self.lock().urgent = true;
            self.changed.notify_all();
        }
    }

    /// Goes on with another file. Everything up to `position` is durable elsewhere.
    pub(super) fn install(&self, file: Arc<dyn DiskFile>, position: u64) {
        let mut state = self.lock();
        while state.syncing {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.file = Some(file);
        state.dirty_since = None;
        state.urgent = false;
        self.written.store(position, Ordering::SeqCst);
        self.durable.store(position, Ordering::SeqCst);
        self.told.store(false, Ordering::SeqCst);
        self.failed.store(false, Ordering::SeqCst);
        drop(state);
        self.changed.notify_all();
    }

    /// Waits until everything up to `target` is durable, and syncs itself when nobody else does.
    fn reach(&self, target: u64) -> Result<(), FileError> {
        #[cfg(whisperr_planted)]
        if whisperr_core::planted::is(whisperr_core::planted::Bug::AckBeforeSync) {
            return Ok(());
        }
        if self.durable() >= target || self.policy == Fsync::Never {
            return Ok(());
        }
        let mut state = self.lock();
        loop {
            if self.durable() >= target {
                return Ok(());
            }
            if self.failed() {
                return Err(FileError::SyncFailed);
            }
            state = if state.syncing {
                self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
            } else {
                self.lead(state)
            };
        }
    }

    /// Runs one sync with the lock released.
    fn lead<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let Some(file) = state.file.clone() else {
            // Nothing is written without a file.
            self.durable.store(self.written.load(Ordering::SeqCst), Ordering::SeqCst);
            return state;
        };
        state.syncing = true;
        state.urgent = false;
        state.dirty_since = None;
        self.told.store(false, Ordering::SeqCst);
        let covered = self.written.load(Ordering::SeqCst);
        drop(state);
        let result = file.sync_data();
        #[cfg(whisperr_planted)]
        let result = result.or_else(|error| {
            let again = whisperr_core::planted::is(whisperr_core::planted::Bug::RetrySync);
            if again { file.sync_data() } else { Err(error) }
        });
        let mut state = self.lock();
        state.syncing = false;
        match result {
            Ok(()) => {
                self.durable.fetch_max(covered, Ordering::SeqCst);
            }
            Err(_) => self.failed.store(true, Ordering::SeqCst),
        }
        self.changed.notify_all();
        state
    }

    /// Makes everything durable that is written now.
    pub(super) fn sync(&self) -> Result<(), FileError> {
        self.reach(self.written.load(Ordering::SeqCst))
    }
}

impl Syncer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Makes everything durable that is written now. Does nothing under [`Fsync::Never`].
    ///
    /// # Errors
    /// [`FileError::SyncFailed`] when this sync failed, or an earlier one whose frames were not yet
    /// written again.
    pub fn sync(&self) -> Result<(), FileError> {
        self.shared.sync()
    }

    /// Waits until everything before `ticket` is durable. Returns at once under [`Fsync::Never`].
    ///
    /// The first caller syncs, the others wait for it: one sync serves them all.
    ///
    /// # Errors
    /// [`FileError::SyncFailed`]: the operation is not promised, and may still be found later.
    pub fn wait_durable(&self, ticket: Ticket) -> Result<(), FileError> {
        self.shared.reach(ticket.0)
    }

    /// Since when something waits for a sync.
    #[must_use]
    pub fn dirty_since(&self) -> Option<Instant> {
        self.shared.lock().dirty_since
    }

    /// Whether a sync failed and what it covered is not yet written again.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.shared.failed()
    }

    /// Syncs as the policy says until [`stop`](Self::stop), for a thread of its own.
    ///
    /// It sleeps while nothing is dirty, then for at most the interval ([`Fsync::Always`]: one
    /// second, for the removals nobody waits for), and syncs at once when more than 1 MiB waits.
    /// `after` is told of every sync, and every second of one that failed, and then calls
    /// [`FileStorage::maintain`] under the storage's lock. The last sync runs before it returns.
    ///
    /// [`FileStorage::maintain`]: super::FileStorage::maintain
    pub fn run(&self, mut after: impl FnMut(Result<(), FileError>)) {
        while self.wait_until_due() {
            after(self.sync());
        }
        after(self.sync());
    }

    /// Ends [`run`](Self::run), on every clone, for good.
    pub fn stop(&self) {
        self.shared.lock().stopped = true;
        self.shared.changed.notify_all();
    }

    /// Whether to go on.
    fn wait_until_due(&self) -> bool {
        let interval = match self.shared.policy {
            Fsync::Interval(interval) => interval,
            Fsync::Never | Fsync::Always => SYNC_INTERVAL_MAX,
        };
        let mut failed_for = None;
        let mut state = self.shared.lock();
        loop {
            if state.stopped {
                return false;
            }
            let since = if self.shared.failed() {
                Some(*failed_for.get_or_insert_with(Instant::now))
            } else {
                failed_for = None;
                state.dirty_since
            };
            let left = since.map(|since| interval.saturating_sub(since.elapsed()));
            if left == Some(Duration::ZERO) || (state.urgent && !self.shared.failed()) {
                return true;
            }
            state = match left {
                None => self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(left) => {
                    let waited = self.shared.changed.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_the_bound_asks_for_a_sync_at_once_and_only_once() {
        let shared = Shared::new(Fsync::Interval(SYNC_INTERVAL_MAX));
        let mut asked = 0;

        shared.press(UNSYNCED_BYTES_MAX, 0, &mut asked);
        assert!(!shared.lock().urgent);
        shared.press(UNSYNCED_BYTES_MAX + 1, 0, &mut asked);
        assert!(core::mem::take(&mut shared.lock().urgent));
        shared.press(UNSYNCED_BYTES_MAX + 2, 0, &mut asked);
        assert!(!shared.lock().urgent);
    }
}
