//! The heart of the Whisperr SDK for Rust: an ordered, bounded queue of what an application said,
//! and the machine that delivers it. `no_std`, no alloc, no unsafe code, no panics.
//!
//! An application says [`Identify`] (who the user is) and [`Track`] (what happened). Once
//! [`Client::track`] returns `Ok`, the operation is *owed*: it leaves the queue by one of five
//! exits and no other, each surfaced as a [`Notice`] or counted as acknowledged: acknowledged,
//! dropped (refused for good by the server), evicted (the oldest event past the bound), expired,
//! deleted. Operations reach the server in the order in which they were accepted; a retry repeats
//! the same bytes under the same message ids.
//!
//! Applications on std use `whisperr-std`. This crate is for those who bring a platform of their own: they
//! implement three traits and a lock, and the core decides everything else.
//!
//! | trait | what it is | std | tests |
//! |---|---|---|---|
//! | [`Clock`] | monotonic time that drives, wall time that dates | the system's | a number |
//! | [`Storage`] | an ordered log and a few slots | a queue file | [`MemoryStorage`] |
//! | [`Transport`] | one HTTP exchange | reqwest | a script |
//! | [`Shared`] | the lock between handle and runner, and a bell | a mutex | a cell |
//!
//! # The loop
//!
//! [`run`] is written once, here, and every platform runs it:
//!
//! ```text
//! loop {
//!     match shared.lock().await.poll(Now::read(clock)).await {
//!         Action::Send(limit) => {
//!             let batch = form_batch(shared, clock, limit, buffer).await;
//!             let reply = attempt(shared, clock, transport, batch).await; // or none, in its time
//!             shared.lock().await.handle_reply(Now::read(clock), reply);
//!         }
//!         Action::Remove(batch) => shared.lock().await.remove(Now::read(clock), batch).await,
//!         Action::Notify(notice) => notify(notice),
//!         Action::Wait { until } => shared.wait(until).await,
//!         Action::Stop => return,
//!     }
//! }
//! ```
//!
//! # A whole platform
//!
//! ```
//! use core::{cell::{Cell, RefCell, RefMut}, convert::Infallible, future::poll_fn, task::Poll};
//! use embedded_io_async::{ErrorType, Write};
//! use whisperr_core::*;
//!
//! struct Ticks(Cell<u64>);
//! impl Clock for Ticks {
//!     fn now(&self) -> Instant { Instant::from_millis(self.0.get()) }
//!     fn utc(&self) -> Option<UtcMillis> { Some(UtcMillis::new(1_780_228_800_000)) }
//! }
//!
//! struct Serial;
//! struct Bytes(usize);
//! impl ErrorType for Bytes { type Error = Infallible; }
//! impl Write for Bytes {
//!     async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
//!         self.0 += bytes.len(); // here they would go down the wire
//!         Ok(bytes.len())
//!     }
//!     async fn flush(&mut self) -> Result<(), Infallible> { Ok(()) }
//! }
//! impl Transport for Serial {
//!     type Error = Infallible;
//!     async fn send<B: Body>(&mut self, request: Request, body: &mut B) -> Result<Reply, Infallible> {
//!         let mut out = Bytes(0);
//!         let written = body.write_to(&mut out).await.is_ok() && out.0 == request.body_bytes;
//!         Ok(Reply::new(if written { 202 } else { 500 }))
//!     }
//! }
//!
//! struct Lock(RefCell<Client<MemoryStorage<[u8; 4096]>, [u8; 256]>>);
//! impl Shared for Lock {
//!     type Storage = MemoryStorage<[u8; 4096]>;
//!     type Buffer = [u8; 256];
//!     type Guard<'a> = RefMut<'a, Client<Self::Storage, Self::Buffer>>;
//!     async fn lock(&self) -> Self::Guard<'_> { self.0.borrow_mut() }
//!     async fn wait(&self, _until: Option<Instant>) { poll_fn(|_| Poll::Pending).await } // sleep here
//! }
//!
//! let clock = Ticks(Cell::new(0));
//! let (now, seed) = (Now::read(&clock), 42); // 128 bits of the device's entropy
//! let storage = MemoryStorage::new([0; 4096]);
//! let client = ready(Client::open(storage, [0; 256], &Config::DEFAULT, seed, now)).unwrap()?;
//! let lock = Lock(RefCell::new(client));
//!
//! let event = Track::new("door_opened").user("u1").properties(props! { "door" => 3 });
//! let accepted = ready(lock.0.borrow_mut().track(now, &event)).unwrap()?;
//! lock.0.borrow_mut().flush();
//!
//! let mut buffer = [0; 256];
//! ready(run(&lock, &clock, &mut Serial, &mut buffer, |_notice| {})); // an executor would poll it on
//! assert_eq!(lock.0.borrow().status().counters.acknowledged, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![no_std]
#![forbid(unsafe_code)]

mod apart;
mod application;
mod automatic;
mod backoff;
mod base_url;
mod batch;
mod channel;
mod client;
mod clock;
mod config;
mod counters;
mod dating;
mod decimal;
mod defaults;
mod delivery;
mod device;
mod encode;
mod event_type;
mod fetch;
mod identity;
mod json;
mod kept;
mod key;
mod ledger;
mod memory;
mod message_id;
mod notice;
mod operation;
mod opt_out;
mod outcome;
mod pace;
#[cfg(whisperr_planted)]
#[doc(hidden)]
pub mod planted;
mod push;
mod push_token;
mod queue;
mod ready;
mod record;
mod rng;
mod runner;
mod serialize;
mod storage;
mod timestamp;
mod transport;
mod tree;
mod user;
mod value;
mod wire;

pub use apart::{Apart, apart};
pub use application::{AppVersionError, VERSION_BYTES_MAX};
pub use base_url::{BASE_URL_BYTES_MAX, BaseUrl, BaseUrlError, DEFAULT_BASE_URL};
pub use batch::{Batch, BatchLimit};
pub use channel::{Channel, ChannelKind, Consent};
pub use client::{
    Accepted, Client, EnqueueError, FlushProgress, FlushTicket, Now, OpenError, Opening, Place, Room,
    Session, Status,
};
pub use clock::{Clock, Instant, UtcMillis};
pub use config::{BATCH_EVENTS_MAX, Config, ConfigError, Overflow};
pub use counters::Counters;
pub use defaults::Defaults;
pub use delivery::{Action, Delivery, Exit, Stop, Waiting};
pub use device::Device;
pub use encode::{Borrowed, Encoder, Properties, ValueError};
pub use event_type::{EventType, EventTypeError};
pub use json::{Json, JsonError};
pub use key::{IngestionKey, KEY_BYTES_MAX, KeyError};
pub use ledger::Ledger;
pub use memory::MemoryStorage;
pub use message_id::MessageId;
pub use notice::{Notice, NoticeKind};
pub use operation::{Identify, Track};
pub use outcome::Outcome;
pub use push_token::{
    PUSH_TOKEN_BYTES_MAX, PushEnvironment, PushKind, PushPlatform, PushToken, PushTokenError,
};
pub use ready::ready;
pub use record::RecordError;
pub use runner::{Shared, run};
pub use serialize::Compound;
pub use storage::{
    Fault, RECORD_BYTES_MAX, RemoveWith, SLOT_BYTES_MAX, Seq, SeqRange, Slot, Storage, Stored,
};
pub use transport::{Body, BodyError, REPLY_BYTES_MAX, Reply, Request, SDK, SDK_HEADER, Transport};
pub use tree::DEPTH_MAX;
pub use user::{USER_ID_BYTES_MAX, UserId, UserIdError};
pub use value::{Props, Value};
