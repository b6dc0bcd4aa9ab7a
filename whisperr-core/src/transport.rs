//! One HTTP exchange, as the core sees it.

use core::fmt;
use core::time::Duration;

use embedded_io_async::Write;
use serde::Deserialize;

use crate::clock::UtcMillis;
use crate::timestamp::parse_http_date;

/// The name and version sent in [`SDK_HEADER`].
pub const SDK: &str = concat!("rust/", env!("CARGO_PKG_VERSION"));

/// The header that names the client (contract, section 1).
pub const SDK_HEADER: &str = "X-Whisperr-Sdk";

/// Most bytes of a reply's body that a transport needs to read: enough for `accepted` and `rejected`.
pub const REPLY_BYTES_MAX: usize = 1024;

/// Where a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// The path to append to the base URL.
    pub path: &'static str,
    /// Length of the body in bytes, for `Content-Length`.
    pub body_bytes: usize,
}

pub(crate) const BATCH_PATH: &str = "/v1/events/batch";
pub(crate) const IDENTIFY_PATH: &str = "/v1/identify";

/// The body of a request, produced from stored records while it is written.
#[expect(async_fn_in_trait, reason = "embedded executors have no `Send`; std drives it on one thread")]
pub trait Body {
    /// Its exact length in bytes.
    fn bytes(&self) -> usize;

    /// Writes the whole body. May be called again after a failure: it starts over.
    ///
    /// # Errors
    /// [`BodyError::Writer`] with the writer's error, or [`BodyError::Storage`] when records could
    /// not be read: the request must then not be completed.
    async fn write_to<W: Write>(&mut self, writer: &mut W) -> Result<(), BodyError<W::Error>>;
}

/// Why a body was not written to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "transports map both cases")]
pub enum BodyError<E> {
    /// The connection failed.
    Writer(E),
    /// The storage failed, or no longer held what the length announced.
    Storage,
}

impl<E: fmt::Debug> fmt::Display for BodyError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Writer(error) => write!(f, "the body could not be written: {error:?}"),
            Self::Storage => f.write_str("the body could not be read from the storage"),
        }
    }
}

impl<E: fmt::Debug> core::error::Error for BodyError<E> {}

/// Carries one request to the server and its reply back.
///
/// A transport adds the headers of contract section 1 (`Content-Type: application/json`, the
/// ingestion key, [`SDK_HEADER`]), follows no redirect, verifies TLS, and decides nothing: it needs no time-out of
/// its own, since the future is dropped when the attempt's time is over.
#[expect(async_fn_in_trait, reason = "embedded executors have no `Send`; std drives it on one thread")]
pub trait Transport {
    /// What went wrong below, in the platform's own words. Any error counts as no reply.
    type Error: fmt::Debug;

    /// Sends one request and reads its reply: the status, the headers `Retry-After` and `Date`, and
    /// at most [`REPLY_BYTES_MAX`] of the body.
    ///
    /// When the future is dropped, the request may or may not have reached the server.
    ///
    /// # Errors
    /// Whenever there is no complete reply head.
    async fn send<B: Body>(&mut self, request: Request, body: &mut B) -> Result<Reply, Self::Error>;
}

impl<T: Transport + ?Sized> Transport for &mut T {
    type Error = T::Error;

    async fn send<B: Body>(&mut self, request: Request, body: &mut B) -> Result<Reply, Self::Error> {
        (**self).send(request, body).await
    }
}

/// What the server answered, in the few words the core needs.
///
/// ```
/// use whisperr_core::Reply;
///
/// let reply = Reply::new(503).retry_after(b"30").date(b"Sun, 06 Nov 1994 08:49:37 GMT");
/// let accepted = Reply::new(202).body(br#"{"accepted":500,"rejected":0}"#);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    pub(crate) status: u16,
    pub(crate) rejected: u32,
    pub(crate) retry_after: Option<RetryAfter>,
    pub(crate) date: Option<UtcMillis>,
}

/// The two forms of `Retry-After`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RetryAfter {
    Delay(Duration),
    Date(UtcMillis),
}

#[derive(Deserialize)]
struct Counts {
    #[serde(default)]
    rejected: u32,
}

impl Reply {
    /// A reply with this status and nothing else.
    #[must_use]
    pub const fn new(status: u16) -> Self {
        Self { status, rejected: 0, retry_after: None, date: None }
    }

    /// Adds the value of the `Retry-After` header: seconds or an HTTP date. What is neither is as
    /// if absent; any number of seconds is legal, however large.
    #[must_use]
    pub fn retry_after(mut self, value: &[u8]) -> Self {
        let value = value.trim_ascii();
        self.retry_after = if !value.is_empty() && value.iter().all(u8::is_ascii_digit) {
            let seconds = value.iter().fold(0_u64, |sum, digit| {
                sum.saturating_mul(10).saturating_add(u64::from(digit.wrapping_sub(b'0')))
            });
            Some(RetryAfter::Delay(Duration::from_secs(seconds)))
        } else {
            parse_http_date(value).map(RetryAfter::Date)
        };
        self
    }

    /// Adds the value of the `Date` header: the server's own clock.
    #[must_use]
    pub fn date(mut self, value: &[u8]) -> Self {
        self.date = parse_http_date(value);
        self
    }

    /// Adds the body. Only `rejected` is read from it; what is not such an object says nothing.
    #[must_use]
    pub fn body(mut self, body: &[u8]) -> Self {
        self.rejected = serde_json_core::from_slice::<Counts>(body).map_or(0, |(counts, _)| counts.rejected);
        self
    }

    /// The status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_in_both_forms() {
        let seconds = |seconds| Some(RetryAfter::Delay(Duration::from_secs(seconds)));
        for (value, expected) in [
            (&b"0"[..], seconds(0)),
            (b"3", seconds(3)),
            (b" 120 ", seconds(120)),
            (b"1000000000000", seconds(1_000_000_000_000)),
            (b"99999999999999999999999999999999", seconds(u64::MAX)),
            (b"Sun, 06 Nov 1994 08:49:37 GMT", Some(RetryAfter::Date(UtcMillis::new(784_111_777_000)))),
            (b"-1", None),
            (b"+1", None),
            (b"1.5", None),
            (b"1s", None),
            (b"soon", None),
            (b"", None),
            (b"\xff\xfe", None),
        ] {
            assert_eq!(Reply::new(503).retry_after(value).retry_after, expected, "{value:?}");
        }
    }

    #[test]
    fn only_a_count_is_read_from_a_body() {
        for (body, expected) in [
            (&br#"{"accepted":3,"rejected":2}"#[..], 2),
            (br#"{"accepted":5,"rejected":0}"#, 0),
            (br#"{"rejected":1,"more":{"a":[1]},"accepted":0}"#, 1),
            (b"{}", 0),
            (b"", 0),
            (b"<html>", 0),
            (br#"{"rejected":-1}"#, 0),
            (br#"{"rejected":99999999999}"#, 0),
            (br#"{"rejected":"1"}"#, 0),
            (b"\xff", 0),
        ] {
            assert_eq!(Reply::new(202).body(body).rejected, expected, "{body:?}");
        }
    }
}
