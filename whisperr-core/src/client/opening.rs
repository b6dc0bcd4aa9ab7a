//! Opening a client over what its storage holds.

use core::fmt;

use super::ledger::Books;
use super::{Client, Now};
use crate::clock::Instant;
use crate::config::{Config, ConfigError};
use crate::counters::Counters;
use crate::delivery::Delivery;
use crate::identity::{Boot, Identity};
use crate::kept::{Kept, Trouble};
use crate::notice::Notice;
use crate::opt_out::OptOut;
use crate::push::Push;
use crate::queue::Queue;
use crate::rng::Rng;
use crate::storage::{Fault, SLOT_BYTES_MAX, Seq, Slot, Storage};

/// Why a client could not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenError<E> {
    /// A setting is outside its range.
    Config(ConfigError),
    /// The storage failed.
    Storage(Fault<E>),
}

impl<E: fmt::Debug> fmt::Display for OpenError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Storage(fault) => fault.fmt(f),
        }
    }
}

impl<E: fmt::Debug> core::error::Error for OpenError<E> {}

impl<S: Storage, B: AsMut<[u8]>> Client<S, B> {
    /// Opens a client over a storage that may hold operations from before.
    ///
    /// `seed` is the source of every jitter and id: 128 bits of the best randomness the platform
    /// has. Where that is poor, message ids stay unique by the boot number and the sequence, as long as
    /// what the storage answers with `Ok` is durable.
    ///
    /// # Errors
    /// [`OpenError::Config`] for a setting outside its range, [`OpenError::Storage`] when the storage
    /// could not be read. One that cannot be written opens: what it holds is still delivered.
    pub async fn open(
        storage: S,
        buffer: B,
        config: &Config,
        seed: u128,
        now: Now,
    ) -> Result<Self, OpenError<S::Error>> {
        config.validate().map_err(OpenError::Config)?;
        let mut client = Self::unopened(storage, buffer, config);
        client.recover(seed, now).await.map_err(OpenError::Storage)?;
        Ok(client)
    }

    /// A client that does not know yet what its storage holds: nobody gets one before it is recovered.
    fn unopened(storage: S, buffer: B, config: &Config) -> Self {
        Self {
            storage: Kept::new(storage),
            buffer,
            queue: Queue::new(config),
            identity: Identity::NOBODY,
            push: Push::NOTHING,
            opt_out: OptOut::No,
            delivery: Delivery::new(config, 0, Instant::START, 0),
            boot: Boot::start(&[], 0),
            session: 0,
            rng: Rng::new(0),
            started: None,
            started_by_server: None,
            pinned: None,
            is_fresh: false,
            unsettled: true,
            launched: false,
            was_opened: false,
            foreground: None,
            wipes: 0,
            counters: Counters::default(),
            books: Books::default(),
            damaged_at_start: 0,
        }
    }

    /// Finds out what the storage holds.
    async fn recover(&mut self, seed: u128, now: Now) -> Result<(), Fault<S::Error>> {
        let recovered = self.load(seed, now).await;
        recovered.map_err(|trouble| self.storage.told(trouble))
    }

    async fn load_slots(&mut self, seed: u128) -> Result<(), Trouble> {
        let mut value = [0; SLOT_BYTES_MAX];
        for slot in [Slot::Boot, Slot::Identity, Slot::Anonymous, Slot::Push, Slot::Consent] {
            let len = self.storage.load(slot, &mut value).await?;
            let value = value.get(..len).unwrap_or_default();
            match slot {
                Slot::Boot => self.boot = Boot::start(value, seed),
                Slot::Identity => self.identity.take_user(value),
                Slot::Anonymous => self.identity.take_anonymous(value),
                Slot::Push => self.push.take_pair(value),
                _ => self.opt_out = OptOut::of(value),
            }
        }
        Ok(())
    }

    async fn load(&mut self, seed: u128, now: Now) -> Result<(), Trouble> {
        self.load_slots(seed).await?;
        // A medium without room, or that takes nothing, must still deliver what it holds.
        let boot_noted = self.boot.store(&mut self.storage).await.is_ok();
        self.queue.refresh(&mut self.storage).await?;
        let owed = self.queue.owed();
        self.is_fresh = self.queue.end() == Seq::FIRST
            && self.storage.next_seq() == Seq::FIRST
            && self.identity.user().is_none()
            && self.identity.anonymous().is_none()
            && self.opt_out == OptOut::No;
        self.session = self.boot.session(seed);
        self.rng = Rng::new(self.session);
        let config = *self.delivery.config();
        self.delivery = Delivery::new(&config, self.rng.next_u128(), now.instant, owed);
        self.learn_time(now);
        if !boot_noted {
            self.delivery.add_notice(Notice::Storage);
        }
        // Lost before this start: they were owed then, and are damaged now.
        let damaged = self.storage.take_damaged();
        self.counters.owed_at_start = u64::from(owed).saturating_add(damaged.into());
        self.note_damaged(damaged);
        self.damaged_at_start = damaged;
        self.books = Books::open(&mut self.storage, owed, damaged).await?;
        if damaged > 0 {
            self.check_carrier().await?;
        }
        let _may_fail = self.settle_launch().await;
        if self.resume_opt_out(now).await.is_err() {
            self.delivery.add_notice(Notice::Storage);
        }
        Ok(())
    }
}

/// Where a client is opened that never moves: a static of firmware, whose stack has no room for a client on its way.
///
/// What was put here and not opened, because the storage failed or the caller stopped waiting, is replaced by the next
/// opening; nobody gets hold of it.
#[derive(Debug)]
pub struct Place<S: Storage, B>(Room<Client<S, B>>);

impl<S: Storage, B: AsMut<[u8]>> Place<S, B> {
    /// An empty place.
    #[must_use]
    pub const fn new() -> Self {
        Self(Room::new())
    }

    /// Puts a client over a storage here; [`Opening::finish`] opens it.
    ///
    /// # Errors
    /// [`ConfigError`] for a setting outside its range.
    // Not a part of who calls it: the client on its way stands on the stack only here, not for as long as the caller does.
    #[inline(never)]
    pub fn put(&mut self, storage: S, buffer: B, config: &Config) -> Result<Opening<'_, S, B>, ConfigError> {
        config.validate()?;
        Ok(Opening(self.0.put(Client::unopened(storage, buffer, config))))
    }
}

impl<S: Storage, B: AsMut<[u8]>> Default for Place<S, B> {
    fn default() -> Self {
        Self::new()
    }
}

/// Room for one thing in a static.
///
/// An `Option` in which nothing is may have any bytes, and a static would take them from the program's own flash. Here
/// the compiler lets it be all zeros.
#[derive(Debug)]
pub struct Room<T>(Option<Marked<T>>);

/// A thing, and a mark that is never zero: the compiler tells by it whether anything is there, since nothing else in
/// the thing has more values to spare.
#[derive(Debug)]
struct Marked<T> {
    #[expect(dead_code, reason = "only its values count")]
    mark: Mark,
    thing: T,
}

#[derive(Debug)]
#[repr(u64)]
enum Mark {
    Here = 1,
}

impl<T> Room<T> {
    /// Room in which nothing is.
    #[must_use]
    pub const fn new() -> Self {
        Self(None)
    }

    /// Puts something in, in the place of what was there.
    pub fn put(&mut self, thing: T) -> &mut T {
        &mut self.0.insert(Marked { mark: Mark::Here, thing }).thing
    }
}

impl<T> Default for Room<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// A client that is in its [`Place`] and not open yet.
#[must_use = "the client is not open before this is finished"]
pub struct Opening<'a, S: Storage, B>(&'a mut Client<S, B>);

impl<'a, S: Storage, B: AsMut<[u8]>> Opening<'a, S, B> {
    /// Opens the client; `seed` and `now` are those of [`Client::open`].
    ///
    /// # Errors
    /// [`Fault`] when the storage could not be read. One that cannot be written opens.
    pub async fn finish(self, seed: u128, now: Now) -> Result<&'a mut Client<S, B>, Fault<S::Error>> {
        self.0.recover(seed, now).await?;
        Ok(self.0)
    }
}

impl<S: Storage, B> fmt::Debug for Opening<'_, S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opening").finish_non_exhaustive()
    }
}
