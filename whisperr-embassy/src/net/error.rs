//! Why there is no reply.

use core::fmt;

use embassy_net::{dns, tcp};

use super::reply::ReplyError;

/// Why an exchange ended without a reply. The core tries again later, whatever it was.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum HttpError {
    /// The name of the server could not be looked up.
    Name(dns::Error),
    /// The name of the server has no address of a kind the stack speaks.
    NoAddress,
    /// No connection could be made.
    Connect(tcp::ConnectError),
    /// The connection broke.
    Connection,
    /// TLS failed.
    #[cfg(feature = "tls")]
    Tls(embedded_tls::TlsError),
    /// The server is not who it should be, as far as can be told.
    #[cfg(feature = "tls")]
    Distrust(super::tls::Distrust),
    /// The queue could not be read while the body was written.
    Body,
    /// What came back is no reply.
    Reply(ReplyError),
    /// The server said 2xx before it had the whole request: that acknowledges nothing.
    TooEarly,
}

impl HttpError {
    /// Whether the request itself could not be made: another connection would not help.
    pub(super) const fn is_own(&self) -> bool {
        matches!(self, Self::Body)
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(error) => write!(f, "the server's name could not be looked up: {error:?}"),
            Self::NoAddress => f.write_str("the server's name has no address that the stack speaks"),
            Self::Connect(error) => write!(f, "no connection: {error:?}"),
            Self::Connection => f.write_str("the connection broke"),
            #[cfg(feature = "tls")]
            Self::Tls(error) => write!(f, "TLS: {error:?}"),
            #[cfg(feature = "tls")]
            Self::Distrust(distrust) => write!(f, "TLS: {distrust}"),
            Self::Body => f.write_str("the queue could not be read"),
            Self::Reply(error) => error.fmt(f),
            Self::TooEarly => f.write_str("the server acknowledged a request before it had all of it"),
        }
    }
}

impl core::error::Error for HttpError {}
