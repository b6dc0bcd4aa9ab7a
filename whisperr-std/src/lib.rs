//! Whisperr for Rust applications.
#![forbid(unsafe_code)]

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
    Properties, Props, RecordError, Reply, Request, Track, Transport, UserIdError, UtcMillis, Value,
    ValueError, Waiting, props,
};
