//! Whisperr for Rust applications: say who the user is and what happened; everything between the
//! call and the server's acknowledgement is this crate's work.
//!
//! ```no_run
//! use whisperr_std::{Identify, Whisperr, props};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let whisperr = Whisperr::builder("wrk_…").build()?;
//!     whisperr.identify(Identify::new("user_8842").email("ada@example.com"))?;
//!     whisperr.track("payment_failed", props! { "amount_cents" => 4900, "currency" => "USD" })?;
//!     Ok(()) // dropping the handle delivers for at most two seconds; the rest stays on disk
//! }
//! ```
//!
//! - **Calls never wait for the network.** One thread delivers, with a small runtime of its own, so
//!   the client works the same in a synchronous program, in tokio of any flavour, and in any other
//!   executor.
//! - **When a call returns `Ok`, the operation is owed.** It is in the queue file and survives the
//!   death of the process; [`Fsync`] says how soon it survives a power cut.
//! - **Nothing is lost in silence.** Operations leave the queue acknowledged, or refused for good by
//!   the server, or evicted by its bound, or expired; [`Builder::on_error`] is told, and
//!   [`Status::counters`] add up.
//! - **Exit is bounded.** [`Whisperr::shutdown`] and dropping the last handle take no longer than
//!   their deadline, whatever the server does.
//!
//! # Threads and files
//!
//! A client has a thread that delivers (`whisperr`) and, with persistence, one that syncs the queue file
//! (`whisperr-sync`). The queue directory belongs to one client at a time; a second one is refused
//! with [`OpenError::Locked`]. After `fork`, the child must build a client of its own.
//!
//! # Features
//!
//! `rustls` (default): TLS by rustls with ring and the system's certificates. `native-tls`: TLS by the
//! system's library. `http`: the client without TLS, which refuses an `https` base URL when it is built.
//! `testing`: a recorder for the tests of an application. `cli`: the `whisperr` command. Without any of them
//! there is the queue [`mod@file`] alone, for a run loop and a transport of your own.
//!
//! With `rustls`, a `reqwest` (of the same version) that your own program uses without any TLS feature finds no
//! provider: install one for the process, or give your `reqwest` its TLS feature.
#![forbid(unsafe_code)]

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}

#[cfg(feature = "http")]
mod about;
#[cfg(feature = "http")]
mod body;
#[cfg(feature = "http")]
mod builder;
mod clock;
#[cfg(feature = "http")]
mod error;
pub mod file;
#[cfg(feature = "http")]
mod global;
#[cfg(feature = "http")]
mod handle;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "http")]
mod http_client;
#[cfg(feature = "http")]
mod lifecycle;
#[cfg(feature = "testing")]
mod recorder;
#[cfg(feature = "http")]
mod runner;
#[cfg(feature = "http")]
mod session;
#[cfg(feature = "http")]
mod shared;
#[cfg(feature = "http")]
mod storage;

#[cfg(feature = "http")]
pub use body::body_bytes;
#[cfg(feature = "http")]
pub use builder::Builder;
pub use clock::SystemClock;
#[cfg(feature = "http")]
pub use error::{BuildError, Error};
pub use file::{Fsync, OpenError};
#[cfg(feature = "http")]
pub use global::{init, instance};
#[cfg(feature = "http")]
pub use handle::{Flush, Status, Whisperr};
#[cfg(feature = "http")]
pub use http::{HttpError, HttpTransport};
#[cfg(feature = "testing")]
pub use recorder::{Recorded, Recorder};
#[cfg(feature = "http")]
pub use storage::StorageError;
pub use whisperr_core::{
    AppVersionError, BaseUrlError, Body, BodyError, Channel, ChannelKind, Clock, ConfigError, Consent,
    Counters, DEFAULT_BASE_URL, Device, EventTypeError, Identify, Instant, Json, KeyError, Ledger, MessageId,
    Notice, NoticeKind, Overflow, Properties, Props, PushEnvironment, PushKind, PushPlatform, PushToken,
    PushTokenError, RecordError, Reply, Request, Track, Transport, UserIdError, UtcMillis, Value, ValueError,
    Waiting, props,
};
