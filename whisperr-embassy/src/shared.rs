//! What the handle and the runner share: the client behind its lock, and the bells.

use core::cell::Cell;
use core::fmt;
use core::ops::{Deref, DerefMut};

use embassy_futures::select::select;
use embassy_sync::blocking_mutex::Mutex as BlockingMutex;
use embassy_sync::blocking_mutex::raw::RawMutex;
use embassy_sync::mutex::{Mutex, MutexGuard};
use embassy_sync::signal::Signal;
use embassy_time::Timer;
use whisperr_core::{
    Accepted, Client, Clock, Device, EnqueueError, Instant, Now, Shared as CoreShared, Storage,
};

use crate::clock::to_embassy;
use crate::next_run::NextRun;
use crate::waiters::Waiters;

/// The client of the core, with the record buffer of the caller.
pub(crate) type FlashClient<'d, S> = Client<S, &'d mut [u8]>;

/// Behind the handle and the runner.
pub(crate) struct Shared<'d, S: Storage, C, M: RawMutex> {
    client: Mutex<M, &'d mut FlashClient<'d, S>>,
    clock: C,
    device: Device<'d>,
    /// Rung for the runner.
    bell: Signal<M, ()>,
    /// Rung whenever the lock is free again. The lock's own place for a waiting task holds one: a second would wake
    /// the first and be woken by it, over and over, for as long as the flash is at work.
    freed: Waiters<M>,
    /// Rung whenever the runner took a step.
    stepped: Waiters<M>,
    runner: BlockingMutex<M, Cell<Doing>>,
}

/// What the runner is at.
#[derive(Clone, Copy)]
struct Doing {
    next: NextRun,
    /// Whether a request is out.
    is_sending: bool,
    /// Whether somebody runs it.
    is_running: bool,
    /// Whether it was stopped.
    has_ended: bool,
}

impl<S: Storage, C, M: RawMutex> fmt::Debug for Shared<'_, S, C, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl<'d, S: Storage, C: Clock, M: RawMutex> Shared<'d, S, C, M> {
    pub(crate) const fn new(client: &'d mut FlashClient<'d, S>, clock: C, device: Device<'d>) -> Self {
        Self {
            client: Mutex::new(client),
            clock,
            device,
            bell: Signal::new(),
            freed: Waiters::new(),
            stepped: Waiters::new(),
            runner: BlockingMutex::new(Cell::new(Doing {
                next: NextRun::Running,
                is_sending: false,
                is_running: false,
                has_ended: false,
            })),
        }
    }

    pub(crate) const fn clock(&self) -> &C {
        &self.clock
    }

    pub(crate) const fn device(&self) -> Device<'d> {
        self.device
    }

    /// The lock, if nobody holds it.
    pub(crate) fn try_client(&self) -> Option<Guard<'_, 'd, S, M>> {
        let client = self.client.try_lock().ok()?;
        Some(Guard { client, _freed: Freed(&self.freed) })
    }

    /// The lock. Who holds it waits for the storage at most.
    pub(crate) async fn client(&self) -> Guard<'_, 'd, S, M> {
        loop {
            let count = self.freed.count();
            if let Some(client) = self.try_client() {
                return client;
            }
            self.freed.rang_since(count).await;
        }
    }

    /// Wakes the runner.
    pub(crate) fn ring(&self) {
        self.set(|doing| {
            if doing.is_running {
                doing.next = NextRun::Running;
            }
        });
        self.bell.signal(());
    }

    /// The turn of a call that says something.
    pub(crate) async fn turn(&self) -> Turn<'_, 'd, S, C, M> {
        let client = self.client().await;
        // Read under the lock: events are dated in the order in which they are owed.
        Turn { client, now: Now::read(&self.clock), device: self.device, shared: self }
    }

    /// Wakes the runner if it must be.
    pub(crate) fn answer(
        &self,
        accepted: Result<Accepted, EnqueueError<S::Error>>,
    ) -> Result<Accepted, EnqueueError<S::Error>> {
        // Also when the storage failed: the operation may be delivered all the same.
        if accepted.as_ref().map_or(true, |accepted| accepted.wake) {
            self.ring();
        }
        accepted
    }

    pub(crate) const fn stepped(&self) -> &Waiters<M> {
        &self.stepped
    }

    pub(crate) fn next_run(&self) -> NextRun {
        self.runner.lock(Cell::get).next
    }

    pub(crate) fn is_running(&self) -> bool {
        self.runner.lock(Cell::get).is_running
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.runner.lock(Cell::get).has_ended
    }

    /// A request is out, or no longer.
    pub(crate) fn set_sending(&self, is_sending: bool) {
        self.set(|doing| doing.is_sending = is_sending);
    }

    /// Somebody runs the runner, or no longer.
    pub(crate) fn set_running(&self, is_running: bool) {
        self.set(|doing| {
            let next = if is_running { NextRun::Running } else { NextRun::Resting { until: None } };
            *doing = Doing { next, is_sending: false, is_running, has_ended: false };
        });
        self.stepped.ring();
    }

    /// The runner was stopped.
    pub(crate) fn set_ended(&self) {
        self.set(|doing| doing.has_ended = true);
        self.stepped.ring();
    }

    fn set(&self, change: impl FnOnce(&mut Doing)) {
        self.runner.lock(|cell| {
            let mut doing = cell.get();
            change(&mut doing);
            cell.set(doing);
        });
    }
}

impl<'d, S: Storage, C: Clock, M: RawMutex> CoreShared for Shared<'d, S, C, M> {
    type Storage = S;
    type Buffer = &'d mut [u8];
    type Guard<'a>
        = Guard<'a, 'd, S, M>
    where
        Self: 'a;

    async fn lock(&self) -> Guard<'_, 'd, S, M> {
        self.client().await
    }

    async fn wait(&self, until: Option<Instant>) {
        let until = until.map(to_embassy);
        let resting = Resting::new(self, until);
        // The runner waits after every step it takes, so this is where a step is announced.
        self.stepped.ring();
        match until {
            None => self.bell.wait().await,
            // Until the bell or the timer, whichever is first.
            Some(at) => {
                let _bell_first = select(self.bell.wait(), Timer::at(at)).await;
            }
        }
        drop(resting);
    }
}

/// Says what the runner waits for, for as long as it does.
struct Resting<'a, 'd, S: Storage, C: Clock, M: RawMutex>(&'a Shared<'d, S, C, M>);

impl<'a, 'd, S: Storage, C: Clock, M: RawMutex> Resting<'a, 'd, S, C, M> {
    fn new(shared: &'a Shared<'d, S, C, M>, until: Option<embassy_time::Instant>) -> Self {
        let has_rung = shared.bell.signaled();
        shared.set(|doing| {
            doing.next = match (doing.is_sending, until) {
                _ if has_rung => NextRun::Running,
                (true, until) => NextRun::Sending { until },
                (false, until) => NextRun::Resting { until },
            };
        });
        Self(shared)
    }
}

impl<S: Storage, C: Clock, M: RawMutex> Drop for Resting<'_, '_, S, C, M> {
    fn drop(&mut self) {
        self.0.set(|doing| doing.next = NextRun::Running);
    }
}

/// A call that says something, while it holds the lock.
///
/// Not a function that is given what to say: each future around another one is built on the stack and copied into its
/// place, and a call would need several times its size there.
pub(crate) struct Turn<'a, 'd, S: Storage, C: Clock, M: RawMutex> {
    pub(crate) client: Guard<'a, 'd, S, M>,
    pub(crate) now: Now,
    pub(crate) device: Device<'d>,
    shared: &'a Shared<'d, S, C, M>,
}

impl<S: Storage, C: Clock, M: RawMutex> Turn<'_, '_, S, C, M> {
    /// Lets the lock go, and wakes the runner if it must be.
    pub(crate) fn end(
        self,
        accepted: Result<Accepted, EnqueueError<S::Error>>,
    ) -> Result<Accepted, EnqueueError<S::Error>> {
        let Self { client, shared, .. } = self;
        drop(client);
        shared.answer(accepted)
    }
}

/// The lock, until it is dropped.
pub(crate) struct Guard<'a, 'd, S: Storage, M: RawMutex> {
    // Dropped in this order: who is woken must find the lock free.
    client: MutexGuard<'a, M, &'d mut FlashClient<'d, S>>,
    _freed: Freed<'a, M>,
}

struct Freed<'a, M: RawMutex>(&'a Waiters<M>);

impl<M: RawMutex> Drop for Freed<'_, M> {
    fn drop(&mut self) {
        self.0.ring();
    }
}

impl<'d, S: Storage, M: RawMutex> Deref for Guard<'_, 'd, S, M> {
    type Target = FlashClient<'d, S>;

    fn deref(&self) -> &Self::Target {
        &self.client
    }
}

impl<S: Storage, M: RawMutex> DerefMut for Guard<'_, '_, S, M> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.client
    }
}
