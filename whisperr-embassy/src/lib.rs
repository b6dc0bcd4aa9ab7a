//! Whisperr for firmware on [embassy](https://embassy.dev): say who the user is and what happened; everything between
//! the call and the server's acknowledgement is this crate's work. `no_std`, no alloc, no unsafe code.
//!
//! ```
//! use whisperr_embassy::{EmbassyClock, Entropy, Handle, MemoryStorage, Options, RecordBuffers, Resources, Runner};
//! use whisperr_embassy::{Device, Identify, Transport, open, props};
//!
//! // On a device: the flash, and `static`s from `static_cell`.
//! type Store = MemoryStorage<[u8; 4096]>;
//!
//! async fn application(whisperr: Handle<'static, Store>) {
//!     // Waits for the storage, never for the network.
//!     whisperr.identify(Identify::new("user_8842")).await.unwrap();
//!     whisperr.track("door_opened", props! { "door" => 3 }).await.unwrap();
//! }
//!
//! async fn deliver(mut runner: Runner<'static, Store>, mut transport: impl Transport) {
//!     runner.run(&mut transport, |notice| { /* what the application is told */ }).await;
//! }
//!
//! static CLOCK: EmbassyClock = EmbassyClock::new();
//!
//! async fn start(entropy: &mut impl Entropy) -> (Handle<'static, Store>, Runner<'static, Store>) {
//! #   fn leak<T>(value: T) -> &'static mut T { Box::leak(Box::new(value)) }
//!     let resources = leak(Resources::new());
//!     let buffers = leak(RecordBuffers::<1024>::new());
//!     let options = Options::new(Device::new("kiosk"));
//!     let opening = open(resources, buffers, Store::new([0; 4096]), &CLOCK, &options, entropy).unwrap();
//!     opening.finish().await.unwrap()
//! }
//! ```
//!
//! - **Calls never wait for the network.** [`Handle::track`] takes as long as the storage; [`Handle::try_track`] does
//!   not wait at all.
//! - **Everything is the caller's.** [`Resources`], [`RecordBuffers`] and the transport's buffers are statics; nothing
//!   is allocated, nothing grows.
//! - **Sleep.** [`Handle::pause`] ends with no request out, [`Handle::next_run`] says how long the device may sleep and
//!   what a watchdog may expect, [`Handle::resume`] goes on at once.
//! - **The queue survives.** [`flash`] keeps it in NOR flash through power cuts.
//! - **The date may be unknown.** What is recorded before [`EmbassyClock::set_utc`] is dated when the device learns
//!   the time.
//!
//! The [guide](https://github.com/WhisperrAI/whisperr-rust/blob/main/whisperr-embassy/GUIDE.md) goes from an empty
//! project to the first event, with whole programs for three boards.
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `net` (default) | the transport over `embassy-net`, in plain TCP: [`net::HttpTransport`](mod@net) |
//! | `float` (default) | floating-point numbers in properties, for 4 KB of code; integers and JSON text need it not |
//! | `ipv6` | servers that are reached over IPv6, too |
//! | `tls` | TLS 1.3 with the server's certificate checked; the default base URL needs it |
//! | `p384` | authorities and servers with keys of P-384, too, as many public ones have; 47 KB of code |
//! | `sntp` | the date from a time server |
//! | `log`, `defmt` | what went wrong in an attempt, and every notice, at debug level |
#![no_std]
#![forbid(unsafe_code)]

// The time driver of the tests.
#[cfg(test)]
extern crate whisperr_virtual_time as _;

mod clock;
mod entropy;
pub mod flash;
mod handle;
mod lifecycle;
mod logging;
#[cfg(feature = "net")]
pub mod net;
mod next_run;
mod open;
mod runner;
mod shared;
mod waiters;

// The code of the guide compiles.
#[cfg(all(doctest, feature = "tls", feature = "sntp"))]
#[doc = include_str!("../GUIDE.md")]
mod guide {}

pub use clock::{EmbassyClock, Rtc, RtcClock};
pub use entropy::Entropy;
pub use flash::FlashStorage;
pub use handle::{Flush, Handle, TryError};
pub use next_run::NextRun;
pub use open::{Opening, Options, RecordBuffers, Resources, open};
pub use runner::Runner;
/// What a storage of one's own is made of; see [`Storage`].
pub mod storage {
    pub use whisperr_core::{
        Fault, RECORD_BYTES_MAX, RemoveWith, SLOT_BYTES_MAX, Seq, SeqRange, Slot, Storage, Stored,
    };
}

pub use whisperr_core::{
    AppVersionError, BaseUrlError, Body, BodyError, Channel, ChannelKind, Clock, Config, ConfigError,
    Consent, Counters, DEFAULT_BASE_URL, Defaults, Device, EnqueueError, EventTypeError, Fault, Identify,
    Instant, Json, KeyError, Ledger, MemoryStorage, MessageId, Notice, NoticeKind, Overflow, Properties,
    Props, PushEnvironment, PushKind, PushPlatform, PushToken, PushTokenError, RecordError, Reply, Request,
    Status, Storage, Track, Transport, UserIdError, UtcMillis, Value, ValueError, Waiting, apart, props,
};
