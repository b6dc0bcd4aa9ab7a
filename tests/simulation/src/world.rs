//! Everything around one client, moved by one thread.

use core::cell::{Cell, RefCell, RefMut};
use core::fmt;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::rc::Rc;

use whisperr_core::{
    Client, Clock, Config, EnqueueError, FlushProgress, Identify, Instant, MessageId, Notice, Now,
    Properties, Shared, Status, Track, ready, run,
};

use crate::clock::SimClock;
use crate::network::{Network, SimTransport};
use crate::server::Server;
use crate::storage::{Broken, SimStorage};

/// 2026-05-31T12:00:00Z.
const UTC: i64 = 1_780_228_800_000;

/// Bytes of the record buffers.
const RECORD_BYTES: usize = 2048;

/// How a world starts.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "tests build it with struct update")]
pub struct Options {
    /// The client's settings.
    pub config: Config,
    /// The wall clock at the start.
    pub utc: Option<i64>,
    /// Bytes of the medium.
    pub storage_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { config: Config::DEFAULT, utc: Some(UTC), storage_bytes: 1 << 20 }
    }
}

type SimClient = Client<SimStorage, Vec<u8>>;

struct Lock {
    client: RefCell<SimClient>,
    clock: SimClock,
    bell: Cell<bool>,
    /// When the runner wants to go on.
    until: Cell<Option<Instant>>,
}

impl Shared for Lock {
    type Storage = SimStorage;
    type Buffer = Vec<u8>;
    type Guard<'a> = RefMut<'a, SimClient>;

    async fn lock(&self) -> RefMut<'_, SimClient> {
        self.client.borrow_mut()
    }

    async fn wait(&self, until: Option<Instant>) {
        poll_fn(|_| {
            if self.bell.take() || until.is_some_and(|until| self.clock.now() >= until) {
                self.until.set(None);
                return Poll::Ready(());
            }
            self.until.set(until);
            Poll::Pending
        })
        .await;
    }
}

/// A client, its runner, and everything they see.
pub struct World {
    options: Options,
    seed: u128,
    clock: SimClock,
    storage: SimStorage,
    network: Network,
    server: Rc<RefCell<Server>>,
    notices: Rc<RefCell<Vec<Notice>>>,
    lock: Rc<Lock>,
    runner: Pin<Box<dyn Future<Output = ()>>>,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("seed", &self.seed)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl World {
    /// A world in which nothing happened yet.
    ///
    /// # Panics
    /// When the options are not legal.
    #[must_use]
    pub fn new(seed: u64, options: Options) -> Self {
        let clock = SimClock::new(options.utc);
        let storage = SimStorage::new(options.storage_bytes);
        let server: Rc<RefCell<Server>> = Rc::default();
        let network = {
            let server = Rc::clone(&server);
            Network::new(move |request, body| server.borrow_mut().deliver(request, body))
        };
        let notices = Rc::default();
        let seed = u128::from(seed);
        let (lock, runner) = start(seed, &options, &clock, &storage, &network, &notices);
        Self { options, seed, clock, storage, network, server, notices, lock, runner }
    }

    /// The clock.
    #[must_use]
    pub const fn clock(&self) -> &SimClock {
        &self.clock
    }

    /// The network, to script it and to see what was sent.
    #[must_use]
    pub const fn network(&self) -> &Network {
        &self.network
    }

    /// The medium.
    #[must_use]
    pub const fn storage(&self) -> &SimStorage {
        &self.storage
    }

    /// What the server accepted.
    #[must_use]
    pub fn server(&self) -> Server {
        self.server.borrow().clone()
    }

    /// What the application was told so far.
    #[must_use]
    pub fn notices(&self) -> Vec<Notice> {
        self.notices.borrow().clone()
    }

    /// The client's own view.
    #[must_use]
    pub fn status(&self) -> Status {
        self.lock.client.borrow().status()
    }

    /// Works with the client as a handle would.
    pub fn with<R>(&self, work: impl FnOnce(&mut SimClient) -> R) -> R {
        work(&mut self.lock.client.borrow_mut())
    }

    fn now(&self) -> Now {
        Now::read(&self.clock)
    }

    /// Tracks an event.
    ///
    /// # Errors
    /// As the client's.
    pub fn track<P: Properties, C: Properties>(
        &mut self,
        event: &Track<'_, P, C>,
    ) -> Result<Option<MessageId>, EnqueueError<Broken>> {
        let now = self.now();
        let accepted = self.with(|client| never_waits(client.track(now, event)))?;
        self.ring(accepted.wake);
        Ok(accepted.message_id)
    }

    /// Identifies a user.
    ///
    /// # Errors
    /// As the client's.
    pub fn identify<T: Properties>(
        &mut self,
        identify: &Identify<'_, T>,
    ) -> Result<(), EnqueueError<Broken>> {
        let now = self.now();
        let accepted = self.with(|client| never_waits(client.identify(now, identify)))?;
        self.ring(accepted.wake);
        Ok(())
    }

    fn ring(&self, wake: bool) {
        if wake {
            self.lock.bell.set(true);
        }
    }

    /// Asks for delivery and lets time run until the flush ends, for at most a day.
    pub fn flush(&mut self) -> FlushProgress {
        let ticket = self.with(Client::flush);
        self.ring(true);
        let end = self.clock.now().after(core::time::Duration::from_secs(86_400));
        loop {
            self.step();
            let progress = self.with(|client| client.flush_progress(ticket));
            if progress != FlushProgress::Pending || self.clock.now() >= end || !self.jump(end) {
                self.step();
                return progress;
            }
        }
    }

    /// Lets the runner go as far as it can without time passing.
    pub fn step(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        // One poll may end because the bell rang during it.
        while self.runner.as_mut().poll(&mut context).is_pending() && self.lock.bell.get() {}
    }

    /// Moves time to the next thing that is due, at most to `end`; `false` when nothing is.
    fn jump(&mut self, end: Instant) -> bool {
        let due = [self.lock.until.get(), self.network.due()].into_iter().flatten().min();
        let Some(due) = due else { return false };
        let ahead = due.min(end).since(self.clock.now());
        self.clock.advance(u64::try_from(ahead.as_millis()).unwrap_or(u64::MAX).max(1));
        true
    }

    /// Lets this much time pass.
    pub fn advance(&mut self, ms: u64) {
        let end = self.clock.now().after(core::time::Duration::from_millis(ms));
        self.step();
        while self.clock.now() < end {
            if !self.jump(end) {
                let rest = end.since(self.clock.now());
                self.clock.advance(u64::try_from(rest.as_millis()).unwrap_or(u64::MAX));
            }
            self.step();
        }
    }

    /// Kills client and runner where they stand and starts new ones over the same medium.
    pub fn crash(&mut self) {
        self.clock.reboot();
        self.seed = self.seed.wrapping_add(1);
        let (lock, runner) =
            start(self.seed, &self.options, &self.clock, &self.storage, &self.network, &self.notices);
        self.runner = runner;
        self.lock = lock;
    }
}

#[expect(clippy::panic, reason = "the medium is memory: a future that waits is a bug of the core")]
fn never_waits<F: Future>(future: F) -> F::Output {
    match ready(future) {
        Some(output) => output,
        None => panic!("a call over a memory storage waited"),
    }
}

#[expect(clippy::unwrap_used, reason = "a world whose options are wrong cannot start")]
fn start(
    seed: u128,
    options: &Options,
    clock: &SimClock,
    storage: &SimStorage,
    network: &Network,
    notices: &Rc<RefCell<Vec<Notice>>>,
) -> (Rc<Lock>, Pin<Box<dyn Future<Output = ()>>>) {
    let opened =
        Client::open(storage.clone(), vec![0; RECORD_BYTES], &options.config, seed, Now::read(clock));
    let client = RefCell::new(never_waits(opened).unwrap());
    let lock = Rc::new(Lock { client, clock: clock.clone(), bell: Cell::new(false), until: Cell::new(None) });
    let mut transport = SimTransport::new(network.clone(), clock.clone());
    let runner = {
        let (lock, clock, notices) = (Rc::clone(&lock), clock.clone(), Rc::clone(notices));
        async move {
            let mut buffer = vec![0; RECORD_BYTES];
            let notify = |notice| notices.borrow_mut().push(notice);
            run(&*lock, &clock, &mut transport, &mut buffer, notify).await;
        }
    };
    (lock, Box::pin(runner))
}
