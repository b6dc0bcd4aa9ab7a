//! Where the server is.

use core::fmt;

/// The server of Whisperr itself.
pub const DEFAULT_BASE_URL: &str = "https://api.whisperr.net";

/// Most bytes of a base URL.
pub const BASE_URL_BYTES_MAX: usize = 512;

/// A checked base URL: `http` or `https`, a host, and perhaps a port and a path prefix.
///
/// Trailing slashes are trimmed, a path prefix is kept (contract, section 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BaseUrl<'a> {
    text: &'a str,
    secure: bool,
    authority: &'a str,
    host: &'a str,
    port: u16,
    prefix: &'a str,
}

impl<'a> BaseUrl<'a> {
    /// Trims and checks a URL.
    ///
    /// # Errors
    /// [`BaseUrlError`] for anything a request path cannot simply be appended to: another scheme, no
    /// host, credentials, a query, a fragment, or characters that do not belong in a URL.
    pub fn parse(url: &'a str) -> Result<Self, BaseUrlError> {
        let text = url.trim().trim_end_matches('/');
        if text.is_empty() {
            return Err(BaseUrlError::Empty);
        }
        if text.len() > BASE_URL_BYTES_MAX {
            return Err(BaseUrlError::TooLong { bytes: text.len() });
        }
        if let Some(at) =
            text.bytes().position(|byte| !byte.is_ascii_graphic() || b"\\\"<>^`{|}".contains(&byte))
        {
            return Err(BaseUrlError::NotAUrl { at });
        }
        let (scheme, rest) = text.split_once("://").ok_or(BaseUrlError::NoScheme)?;
        let secure = if scheme.eq_ignore_ascii_case("https") {
            true
        } else if scheme.eq_ignore_ascii_case("http") {
            false
        } else {
            return Err(BaseUrlError::OtherScheme);
        };
        if rest.contains(['?', '#']) {
            return Err(BaseUrlError::QueryOrFragment);
        }
        let path_at = rest.find('/').unwrap_or(rest.len());
        let (authority, prefix) = rest.split_at(path_at);
        if authority.contains('@') {
            return Err(BaseUrlError::Credentials);
        }
        let (host, port) = split_authority(authority)?;
        let port = port.unwrap_or(if secure { 443 } else { 80 });
        Ok(Self { text, secure, authority, host, port, prefix })
    }

    /// The URL without trailing slashes; a request path such as `/v1/identify` is appended to it.
    #[must_use]
    pub const fn as_str(self) -> &'a str {
        self.text
    }

    /// Whether the scheme is `https`.
    #[must_use]
    pub const fn is_secure(self) -> bool {
        self.secure
    }

    /// Host and port, as in the `Host` header.
    #[must_use]
    pub const fn authority(self) -> &'a str {
        self.authority
    }

    /// The host alone: a name or an address, that of IPv6 without its brackets.
    #[must_use]
    pub const fn host(self) -> &'a str {
        self.host
    }

    /// The port, 443 or 80 where the URL names none.
    #[must_use]
    pub const fn port(self) -> u16 {
        self.port
    }

    /// The path prefix, empty or starting with a slash and not ending with one.
    #[must_use]
    pub const fn prefix(self) -> &'a str {
        self.prefix
    }
}

fn split_authority(authority: &str) -> Result<(&str, Option<u16>), BaseUrlError> {
    // The colons of an IPv6 address stand in brackets; only one outside them starts a port.
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if host.is_empty() || bare == Some("") || (host.contains(':') && bare.is_none()) {
        return Err(BaseUrlError::NoHost);
    }
    let port = match port {
        // Digits alone: the parser of the language takes a sign, too.
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(port.parse().map_err(|_| BaseUrlError::BadPort)?)
        }
        Some(_) => return Err(BaseUrlError::BadPort),
        None => None,
    };
    Ok((bare.unwrap_or(host), port))
}

/// Why a text is not a base URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BaseUrlError {
    /// Empty, or nothing but white space.
    Empty,
    /// Longer than [`BASE_URL_BYTES_MAX`].
    TooLong {
        /// Its length after trimming.
        bytes: usize,
    },
    /// There is no `http://` or `https://` in front.
    NoScheme,
    /// The scheme is neither `http` nor `https`.
    OtherScheme,
    /// There is no host.
    NoHost,
    /// The port is not a number from 0 to 65535.
    BadPort,
    /// It holds a user or password, which would end up in logs.
    Credentials,
    /// It holds `?` or `#`, so no path can be appended.
    QueryOrFragment,
    /// This byte does not belong in a URL.
    NotAUrl {
        /// The offset of the byte.
        at: usize,
    },
}

impl fmt::Display for BaseUrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("base_url is empty"),
            Self::TooLong { bytes } => {
                write!(f, "base_url of {bytes} bytes exceeds the limit of {BASE_URL_BYTES_MAX}")
            }
            Self::NoScheme => f.write_str("base_url has no scheme: start it with https://"),
            Self::OtherScheme => f.write_str("base_url is neither http nor https"),
            Self::NoHost => f.write_str("base_url has no host"),
            Self::BadPort => f.write_str("base_url has a port that is not a number from 0 to 65535"),
            Self::Credentials => f.write_str("base_url holds credentials: the ingestion key is enough"),
            Self::QueryOrFragment => f.write_str("base_url holds a query or a fragment"),
            Self::NotAUrl { at } => write!(f, "base_url is not a URL at byte {at}"),
        }
    }
}

impl core::error::Error for BaseUrlError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_path_can_follow_is_a_base_url() {
        use BaseUrlError as E;
        for (url, expected) in [
            ("https://api.whisperr.net", Ok(("api.whisperr.net", ""))),
            (" https://api.whisperr.net/// ", Ok(("api.whisperr.net", ""))),
            ("HTTP://localhost:4801/proxy/w/", Ok(("localhost:4801", "/proxy/w"))),
            ("http://[::1]:80", Ok(("[::1]:80", ""))),
            ("http://[::1]", Ok(("[::1]", ""))),
            ("", Err(E::Empty)),
            ("//", Err(E::Empty)),
            ("api.whisperr.net", Err(E::NoScheme)),
            ("localhost:80", Err(E::NoScheme)),
            ("ftp://host", Err(E::OtherScheme)),
            ("https://", Err(E::NoScheme)),
            ("https:///path", Err(E::NoHost)),
            ("https://:80", Err(E::NoHost)),
            ("https://::1", Err(E::NoHost)),
            ("https://host:port", Err(E::BadPort)),
            ("https://host:65536", Err(E::BadPort)),
            ("https://host:+80", Err(E::BadPort)),
            ("https://host:", Err(E::BadPort)),
            ("https://[]:80", Err(E::NoHost)),
            ("https://[::1", Err(E::NoHost)),
            ("https://user:pw@host", Err(E::Credentials)),
            ("https://host?x=1", Err(E::QueryOrFragment)),
            ("https://host/#a", Err(E::QueryOrFragment)),
            ("https://ho st", Err(E::NotAUrl { at: 10 })),
            ("https://host\r\nx", Err(E::NotAUrl { at: 12 })),
            ("https://h\u{f6}st", Err(E::NotAUrl { at: 9 })),
        ] {
            let found = BaseUrl::parse(url).map(|url| (url.authority(), url.prefix()));
            assert_eq!(found, expected, "{url:?}");
        }
    }

    #[test]
    fn host_and_port_are_what_to_connect_to() {
        for (url, host, port) in [
            ("https://api.whisperr.net", "api.whisperr.net", 443),
            ("http://api.whisperr.net", "api.whisperr.net", 80),
            ("http://localhost:4801/proxy/w/", "localhost", 4801),
            ("https://[2001:db8::1]", "2001:db8::1", 443),
            ("http://[::1]:0", "::1", 0),
        ] {
            let found = BaseUrl::parse(url).map(|url| (url.host(), url.port()));
            assert_eq!(found, Ok((host, port)), "{url:?}");
        }
    }
}
