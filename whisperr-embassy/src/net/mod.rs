//! The transport over `embassy-net`.
//!
//! A client of our own rather than `reqwless`: a request of one form and a bounded reader of its reply are smaller
//! than the 16 KiB that `reqwless` 0.14 costs with what it links, read no header into a buffer of fixed size, and
//! know when a connection may be used again.

mod dial;
mod error;
mod exchange;
mod http;
mod key;
mod reply;
mod server;
#[cfg(feature = "sntp")]
pub mod sntp;
#[cfg(feature = "tls")]
mod tls;

pub use error::HttpError;
pub use http::{HttpTransport, TcpBuffers};
pub use key::KeyCell;
pub use reply::ReplyError;
pub use server::{Server, ServerError};
#[cfg(feature = "tls")]
pub use tls::{Distrust, Tls, TlsBuffers};
