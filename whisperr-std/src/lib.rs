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
//! system's library. `testing`: a recorder for the tests of an application. `cli`: the `whisperr`
//! command. Without a TLS feature an `https` base URL is refused when the client is built.
//!
//! With `rustls`, a `reqwest` (of the same version) that your own program uses without any TLS feature finds no
//! provider: install one for the process, or give your `reqwest` its TLS feature.
#![forbid(unsafe_code)]

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}

mod body;
mod builder;
mod clock;
mod error;
pub mod file;
mod global;
mod handle;
mod http;
mod http_client;
#[cfg(feature = "testing")]
mod recorder;
mod runner;
mod shared;
mod storage;

pub use body::body_bytes;
pub use builder::Builder;
pub use clock::SystemClock;
pub use error::{BuildError, Error};
pub use file::{Fsync, OpenError};
pub use global::{init, instance};
pub use handle::{Flush, Status, Whisperr};
pub use http::{HttpError, HttpTransport};
#[cfg(feature = "testing")]
pub use recorder::{Recorded, Recorder};
pub use storage::StorageError;
pub use whisperr_core::{
    BaseUrlError, Body, BodyError, Channel, ChannelKind, Clock, ConfigError, Consent, Counters,
    DEFAULT_BASE_URL, EventTypeError, Identify, Instant, Json, KeyError, MessageId, Notice, NoticeKind,
    Overflow, Properties, Props, RecordError, Reply, Request, Track, Transport, UserIdError, UtcMillis,
    Value, ValueError, Waiting, props,
};
