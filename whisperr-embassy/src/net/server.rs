//! Where requests go, and as whose.

use core::fmt;

use whisperr_core::{BaseUrl, BaseUrlError, DEFAULT_BASE_URL, IngestionKey, KeyError};

use super::key::{Key, KeyCell};

/// Where requests go, and the ingestion key they carry.
///
/// ```
/// use whisperr_embassy::net::Server;
///
/// let server = Server::new("wrk_1")?;
/// let lab = Server::new("wrk_1")?.base_url("http://192.168.4.20:4801")?;
/// # Ok::<(), whisperr_embassy::net::ServerError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Server<'a> {
    pub(super) url: BaseUrl<'a>,
    pub(super) key: Key<'a>,
}

impl<'a> Server<'a> {
    /// The server of Whisperr itself, [`DEFAULT_BASE_URL`], which speaks `https` only.
    ///
    /// # Errors
    /// [`ServerError::Key`].
    pub fn new(key: &'a str) -> Result<Self, ServerError> {
        Self::with(Key::Fixed(IngestionKey::parse(key).map_err(ServerError::Key)?))
    }

    /// The same with a key that can be replaced.
    ///
    /// # Errors
    /// As [`new`](Self::new); a key in its cell is a good one.
    pub fn with_key_cell(key: &'a KeyCell) -> Result<Self, ServerError> {
        Self::with(Key::Cell(key))
    }

    fn with(key: Key<'a>) -> Result<Self, ServerError> {
        let url = BaseUrl::parse(DEFAULT_BASE_URL).map_err(ServerError::BaseUrl)?;
        Ok(Self { url, key })
    }

    /// Sets another base URL: `http` or `https`; a path prefix is kept.
    ///
    /// # Errors
    /// [`ServerError::BaseUrl`].
    pub fn base_url(self, url: &'a str) -> Result<Self, ServerError> {
        Ok(Self { url: BaseUrl::parse(url).map_err(ServerError::BaseUrl)?, ..self })
    }
}

/// Why a server cannot be spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerError {
    /// The ingestion key breaks the rule.
    Key(KeyError),
    /// The base URL breaks the rule.
    BaseUrl(BaseUrlError),
    /// The base URL is `https`, and this transport is plain TCP. Nothing is ever sent in the clear that was meant
    /// to be encrypted.
    NoTls,
    /// The base URL is `http`, and this transport speaks TLS only.
    NotSecure,
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(error) => error.fmt(f),
            Self::BaseUrl(error) => error.fmt(f),
            Self::NoTls => f.write_str(
                "base_url is https, which the plain transport does not speak: use the TLS transport of the feature \
                 tls, or an http base_url in a network you trust",
            ),
            Self::NotSecure => f.write_str("base_url is http: use the plain transport, or an https base_url"),
        }
    }
}

impl core::error::Error for ServerError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_the_server_of_whisperr_over_tls() {
        let server = Server::new(" wrk_1 ").unwrap();

        assert!(server.url.is_secure());
        assert_eq!((server.url.host(), server.url.port()), ("api.whisperr.net", 443));
        assert_eq!(Server::new(" "), Err(ServerError::Key(KeyError::Empty)));
        assert_eq!(server.base_url("ftp://host"), Err(ServerError::BaseUrl(BaseUrlError::OtherScheme)));
    }
}
