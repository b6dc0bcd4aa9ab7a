//! Everything around one client, moved by one thread.

use core::cell::{Cell, RefCell, RefMut};
use core::fmt;
use core::future::{Future, poll_fn};
use core::pin::{Pin, pin};
use core::task::{Context, Poll, Waker};
use std::rc::Rc;

use whisperr_core::{
    Client, Clock, Config, EnqueueError, FlushProgress, Identify, Instant, MessageId, Notice, Now,
    Properties, PushToken, Shared, Status, Storage, Track, run,
};

use crate::choices::Choices;
use crate::clock::SimClock;
use crate::faulty::{Failed, Faults, Faulty};
use crate::medium::Medium;
use crate::network::{Network, SimTransport};
use crate::server::Server;
use crate::storage::SimStorage;

/// 2026-05-31T12:00:00Z.
pub(crate) const UTC: i64 = 1_780_228_800_000;

/// Bytes of the record buffers.
pub(crate) const RECORD_BYTES: usize = 2048;

/// No call and no step of the runner takes more polls than this: one that does hangs.
const POLLS_MAX: u32 = 100_000;

/// How a world starts.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "tests build it with struct update")]
pub struct Options {
    /// The client's settings.
    pub config: Config,
    /// The wall clock at the start.
    pub utc: Option<i64>,
    /// Bytes of the medium, where it is memory.
    pub storage_bytes: usize,
    /// Whether every start has the same seed, as on a device without a source of randomness.
    pub poor_entropy: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { config: Config::DEFAULT, utc: Some(UTC), storage_bytes: 1 << 20, poor_entropy: false }
    }
}

/// The client of a world over this storage.
pub type SimClient<S> = Client<Faulty<S>, Vec<u8>>;

/// Why a call of a world's client failed.
pub type SimError<M> = EnqueueError<Failed<<<M as Medium>::Storage as Storage>::Error>>;

struct Lock<S: Storage> {
    client: RefCell<SimClient<S>>,
    clock: SimClock,
    bell: Cell<bool>,
    /// When the runner wants to go on.
    until: Cell<Option<Instant>>,
    resting: Cell<bool>,
}

impl<S: Storage> Shared for Lock<S> {
    type Storage = Faulty<S>;
    type Buffer = Vec<u8>;
    type Guard<'a>
        = RefMut<'a, SimClient<S>>
    where
        S: 'a;

    async fn lock(&self) -> RefMut<'_, SimClient<S>> {
        // Somebody else holds it while a storage that waits is at work.
        poll_fn(|_| self.client.try_borrow_mut().map_or(Poll::Pending, Poll::Ready)).await
    }

    async fn wait(&self, until: Option<Instant>) {
        poll_fn(|_| {
            if self.bell.take() || until.is_some_and(|until| self.clock.now() >= until) {
                self.until.set(None);
                self.resting.set(false);
                return Poll::Ready(());
            }
            self.until.set(until);
            self.resting.set(true);
            Poll::Pending
        })
        .await;
    }
}

type Runner = Pin<Box<dyn Future<Output = ()>>>;

/// A client, its runner, and everything they see.
pub struct World<M: Medium = SimStorage> {
    options: Options,
    seed: u128,
    clock: SimClock,
    medium: M,
    faults: Faults,
    network: Network,
    server: Rc<RefCell<Server>>,
    notices: Rc<RefCell<Vec<Notice>>>,
    lock: Rc<Lock<M::Storage>>,
    /// `None` once it has ended, or died.
    runner: Option<Runner>,
}

impl<M: Medium> fmt::Debug for World<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("seed", &self.seed)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl World {
    /// A world over memory in which nothing happened yet and nothing goes wrong by chance.
    ///
    /// # Panics
    /// When the options are not legal.
    #[must_use]
    #[expect(clippy::panic, reason = "a world whose options are wrong cannot start")]
    pub fn new(seed: u64, options: Options) -> Self {
        let medium = SimStorage::new(options.storage_bytes);
        match Self::on(medium, Choices::recorded(&[]), seed, options) {
            Ok(world) => world,
            Err(error) => panic!("{error}"),
        }
    }

    /// The medium.
    #[must_use]
    pub const fn storage(&self) -> &SimStorage {
        &self.medium
    }

    /// Kills client and runner where they stand and starts new ones over the same medium.
    ///
    /// # Panics
    /// When the medium cannot be read.
    #[expect(clippy::panic, reason = "a client that does not open ends the run")]
    pub fn crash(&mut self) {
        if let Err(error) = self.restart(|_| {}) {
            panic!("{error}");
        }
    }
}

impl<M: Medium> World<M> {
    /// A world over any medium. `choices` decides which calls of the storage fail and wait, at the
    /// rates that [`faults`](Self::faults) are set to.
    ///
    /// # Errors
    /// When the options are not legal, or the medium does not open.
    pub fn on(mut medium: M, choices: Choices, seed: u64, options: Options) -> Result<Self, String> {
        let clock = SimClock::new(options.utc);
        let server: Rc<RefCell<Server>> = Rc::default();
        let network = {
            let server = Rc::clone(&server);
            Network::new(move |request, body| server.borrow_mut().deliver(request, body))
        };
        let seed = u128::from(seed);
        let faults = Faults::new(choices);
        let storage = Faulty::new(medium.open()?, faults.clone());
        let lock = start(storage, &options, seed, &clock)?;
        let mut world = Self {
            options,
            seed,
            clock,
            medium,
            faults,
            network,
            server,
            notices: Rc::default(),
            lock,
            runner: None,
        };
        world.start_runner();
        Ok(world)
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
    pub const fn medium(&mut self) -> &mut M {
        &mut self.medium
    }

    /// The faults of the storage's calls.
    #[must_use]
    pub const fn faults(&self) -> &Faults {
        &self.faults
    }

    /// The settings of the clients that start from here on.
    pub const fn config(&mut self) -> &mut Config {
        &mut self.options.config
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

    /// Works with the client as a handle would. The client must not be at work: see
    /// [`is_free`](Self::is_free).
    pub fn with<R>(&self, work: impl FnOnce(&mut SimClient<M::Storage>) -> R) -> R {
        work(&mut self.lock.client.borrow_mut())
    }

    /// Works with the storage below the faults, and the medium beside it.
    pub fn with_storage<R>(&mut self, work: impl FnOnce(&mut M, &mut M::Storage) -> R) -> R {
        let mut client = self.lock.client.borrow_mut();
        work(&mut self.medium, client.storage().inner())
    }

    /// Whether nobody holds the client in the middle of a call that waits.
    #[must_use]
    pub fn is_free(&self) -> bool {
        self.lock.client.try_borrow_mut().is_ok()
    }

    /// Whether the runner waits for time or the bell, or for an answer of the network: nothing is in
    /// the middle of anything.
    #[must_use]
    pub fn is_resting(&self) -> bool {
        self.is_free() && self.lock.resting.get()
    }

    /// When the runner goes on by itself, and `None` when only the bell wakes it.
    #[must_use]
    pub fn wakes_at(&self) -> Option<Instant> {
        [self.lock.until.get(), self.network.due()].into_iter().flatten().min()
    }

    /// Both faces of the clock.
    #[must_use]
    pub fn now(&self) -> Now {
        Now::read(&self.clock)
    }

    /// Tracks an event.
    ///
    /// # Errors
    /// As the client's.
    pub fn track<P: Properties, C: Properties>(
        &mut self,
        event: &Track<'_, P, C>,
    ) -> Result<Option<MessageId>, SimError<M>> {
        let accepted = self.call(async |client, now| client.track(now, event).await)?;
        self.ring(accepted.wake);
        Ok(accepted.message_id)
    }

    /// Identifies a user.
    ///
    /// # Errors
    /// As the client's.
    pub fn identify<T: Properties>(&mut self, identify: &Identify<'_, T>) -> Result<(), SimError<M>> {
        let accepted = self.call(async |client, now| client.identify(now, identify).await)?;
        self.ring(accepted.wake);
        Ok(())
    }

    /// Sets a push token.
    ///
    /// # Errors
    /// As the client's.
    pub fn set_push_token<'a>(&mut self, token: impl Into<PushToken<'a>>) -> Result<(), SimError<M>> {
        let token = token.into();
        let accepted = self.call(async |client, now| client.set_push_token(now, token).await)?;
        self.ring(accepted.wake);
        Ok(())
    }

    /// Opts out. The runner is woken whatever comes of it.
    ///
    /// # Errors
    /// As the client's.
    pub fn opt_out(&mut self) -> Result<(), SimError<M>> {
        let accepted = self.call(async |client, now| client.opt_out(now).await);
        self.ring(true);
        accepted.map(|_| ())
    }

    /// Opts in again.
    ///
    /// # Errors
    /// As the client's.
    pub fn opt_in(&mut self) -> Result<(), SimError<M>> {
        let accepted = self.call(async |client, now| client.opt_in(now).await)?;
        self.ring(accepted.wake);
        Ok(())
    }

    /// Forgets who the user is.
    ///
    /// # Errors
    /// As the client's.
    pub fn reset(&mut self) -> Result<(), SimError<M>> {
        self.call(async |client, _| client.reset().await).map_err(EnqueueError::Storage)
    }

    /// Makes a call to its end. The runner goes on while the call waits.
    ///
    /// # Panics
    /// When it does not end.
    #[expect(clippy::panic, reason = "a call that hangs ends the run")]
    pub fn call<T>(&mut self, work: impl AsyncFnOnce(&mut SimClient<M::Storage>, Now) -> T) -> T {
        match self.call_for(POLLS_MAX, work) {
            Some(done) => done,
            None => panic!("a call does not end"),
        }
    }

    /// Makes a call and drops it when it waits for more than so many polls: then `None`.
    #[expect(clippy::await_holding_refcell_ref, reason = "it is the lock: who else wants it waits")]
    pub fn call_for<T>(
        &mut self,
        polls: u32,
        work: impl AsyncFnOnce(&mut SimClient<M::Storage>, Now) -> T,
    ) -> Option<T> {
        let lock = Rc::clone(&self.lock);
        let clock = self.clock.clone();
        let mut call = pin!(async move {
            let mut client = lock.lock().await;
            work(&mut client, Now::read(&clock)).await
        });
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..polls {
            if let Poll::Ready(done) = call.as_mut().poll(&mut context) {
                return Some(done);
            }
            self.poll_runner();
        }
        None
    }

    /// Wakes the runner.
    pub fn ring(&self, wake: bool) {
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

    /// Polls the runner once; `false` once it has ended.
    pub fn poll_runner(&mut self) -> bool {
        let Some(runner) = &mut self.runner else { return false };
        let mut context = Context::from_waker(Waker::noop());
        if runner.as_mut().poll(&mut context).is_ready() {
            self.runner = None;
        }
        self.runner.is_some()
    }

    /// Lets the runner go as far as it can without time passing.
    ///
    /// # Panics
    /// When it does not come to rest.
    #[expect(clippy::panic, reason = "a runner that spins ends the run")]
    pub fn step(&mut self) {
        for _ in 0..POLLS_MAX {
            // One poll may end because the bell rang during it, or a storage call waits.
            if !self.poll_runner() || !(self.lock.bell.get() || self.faults.take_waited()) {
                return;
            }
        }
        panic!("the runner does not come to rest");
    }

    /// Moves time to the next thing that is due, at most to `end`; `false` when nothing is.
    fn jump(&mut self, end: Instant) -> bool {
        let Some(due) = self.wakes_at() else { return false };
        let ahead = due.min(end).since(self.clock.now());
        self.clock.advance(u64::try_from(ahead.as_millis()).unwrap_or(u64::MAX).max(1));
        true
    }

    /// Lets this much time pass.
    pub fn advance(&mut self, ms: u64) {
        let end = self.clock.now().after(core::time::Duration::from_millis(ms));
        self.step();
        while self.clock.now() < end {
            self.advance_once(end);
        }
    }

    /// Lets time pass up to the next thing that is due, at most to `end`, and the runner go on then.
    pub fn advance_once(&mut self, end: Instant) {
        if !self.jump(end) {
            let rest = end.since(self.clock.now());
            self.clock.advance(u64::try_from(rest.as_millis()).unwrap_or(u64::MAX));
        }
        self.step();
    }

    /// Kills client and runner where they stand, lets `between` do to the medium what it wants, and
    /// starts new ones over what is left.
    ///
    /// # Errors
    /// When the medium or the client does not open. Nothing runs then; call again.
    pub fn restart(&mut self, between: impl FnOnce(&mut M)) -> Result<(), String> {
        self.runner = None;
        self.network.restarted();
        between(&mut self.medium);
        self.clock.reboot();
        if !self.options.poor_entropy {
            self.seed = self.seed.wrapping_add(1);
        }
        let storage = Faulty::new(self.medium.open()?, self.faults.clone());
        self.lock = start(storage, &self.options, self.seed, &self.clock)?;
        self.start_runner();
        Ok(())
    }

    fn start_runner(&mut self) {
        let mut transport = SimTransport::new(self.network.clone(), self.clock.clone());
        let (lock, clock) = (Rc::clone(&self.lock), self.clock.clone());
        let notices = Rc::clone(&self.notices);
        self.runner = Some(Box::pin(async move {
            let mut buffer = vec![0; RECORD_BYTES];
            let notify = |notice| notices.borrow_mut().push(notice);
            run(&*lock, &clock, &mut transport, &mut buffer, notify).await;
        }));
    }
}

fn start<S: Storage>(
    storage: Faulty<S>,
    options: &Options,
    seed: u128,
    clock: &SimClock,
) -> Result<Rc<Lock<S>>, String> {
    let buffer = vec![0; RECORD_BYTES];
    let mut opening = pin!(Client::open(storage, buffer, &options.config, seed, Now::read(clock)));
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..POLLS_MAX {
        if let Poll::Ready(opened) = opening.as_mut().poll(&mut context) {
            let client = RefCell::new(opened.map_err(|error| error.to_string())?);
            let (bell, until, resting) = (Cell::default(), Cell::default(), Cell::default());
            return Ok(Rc::new(Lock { client, clock: clock.clone(), bell, until, resting }));
        }
    }
    Err("opening does not end".to_owned())
}
