//! The ingestion key, which is never printed whole.

use core::fmt;

/// Most bytes of an ingestion key: it has to fit a header line on small devices.
pub const KEY_BYTES_MAX: usize = 256;

/// A checked ingestion key (`wrk_…`), fit for a header.
///
/// Its `Debug` prints the first four characters and nothing else.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct IngestionKey<'a>(&'a str);

impl<'a> IngestionKey<'a> {
    /// Trims and checks a key: visible ASCII, not empty, at most [`KEY_BYTES_MAX`] bytes.
    ///
    /// The prefix is not checked: keys of other kinds are the server's to refuse.
    ///
    /// # Errors
    /// [`KeyError`] otherwise.
    pub fn parse(key: &'a str) -> Result<Self, KeyError> {
        let key = key.trim();
        if key.is_empty() {
            return Err(KeyError::Empty);
        }
        if key.len() > KEY_BYTES_MAX {
            return Err(KeyError::TooLong { bytes: key.len() });
        }
        match key.bytes().position(|byte| !byte.is_ascii_graphic()) {
            Some(at) => Err(KeyError::NotAscii { at }),
            None => Ok(Self(key)),
        }
    }

    /// The key, for the header only.
    #[must_use]
    pub const fn expose(self) -> &'a str {
        self.0
    }
}

impl fmt::Debug for IngestionKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}…", self.0.get(..4).unwrap_or_default())
    }
}

/// Why a text is not an ingestion key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// Empty, or nothing but white space.
    Empty,
    /// Longer than [`KEY_BYTES_MAX`].
    TooLong {
        /// Its length after trimming.
        bytes: usize,
    },
    /// This byte is not visible ASCII, so it cannot stand in a header.
    NotAscii {
        /// The offset of the byte.
        at: usize,
    },
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("ingestion key is empty"),
            Self::TooLong { bytes } => {
                write!(f, "ingestion key of {bytes} bytes exceeds the limit of {KEY_BYTES_MAX}")
            }
            Self::NotAscii { at } => write!(f, "ingestion key is not visible ASCII at byte {at}"),
        }
    }
}

impl core::error::Error for KeyError {}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::format;

    #[test]
    fn only_header_text_is_a_key() {
        for (key, expected) in [
            ("wrk_live_1", Ok("wrk_live_1")),
            (" wrk_1\n", Ok("wrk_1")),
            ("", Err(KeyError::Empty)),
            ("   ", Err(KeyError::Empty)),
            ("wrk 1", Err(KeyError::NotAscii { at: 3 })),
            ("wrk\r\nx: y", Err(KeyError::NotAscii { at: 3 })),
            ("wrk_\u{e9}", Err(KeyError::NotAscii { at: 4 })),
        ] {
            assert_eq!(IngestionKey::parse(key).map(IngestionKey::expose), expected, "{key:?}");
        }
    }

    #[test]
    fn debug_never_prints_the_key() {
        let key = IngestionKey::parse("wrk_secret").unwrap();

        assert_eq!(format!("{key:?}"), "wrk_…");
    }
}
