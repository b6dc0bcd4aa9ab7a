//! Who an operation speaks of.

use core::fmt;

/// Most bytes of an external user id. The contract names no limit; this one lets the id fit a slot.
pub const USER_ID_BYTES_MAX: usize = 256;

/// A checked `external_user_id`: trimmed and not empty (contract, section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UserId<'a>(&'a str);

impl<'a> UserId<'a> {
    /// Trims and checks an id.
    ///
    /// # Errors
    /// [`UserIdError`] when nothing is left, or more than [`USER_ID_BYTES_MAX`].
    pub fn parse(id: &'a str) -> Result<Self, UserIdError> {
        let id = id.trim();
        if id.is_empty() {
            return Err(UserIdError::Empty);
        }
        if id.len() > USER_ID_BYTES_MAX {
            return Err(UserIdError::TooLong { bytes: id.len() });
        }
        Ok(Self(id))
    }

    /// The trimmed id.
    #[must_use]
    pub const fn as_str(self) -> &'a str {
        self.0
    }
}

/// Why a text is not a user id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum UserIdError {
    /// Empty, or nothing but white space.
    Empty,
    /// Longer than [`USER_ID_BYTES_MAX`].
    TooLong {
        /// Its length after trimming.
        bytes: usize,
    },
}

impl fmt::Display for UserIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("external_user_id is empty"),
            Self::TooLong { bytes } => {
                write!(f, "external_user_id of {bytes} bytes exceeds the limit of {USER_ID_BYTES_MAX}")
            }
        }
    }
}

impl core::error::Error for UserIdError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_trimmed_and_bounded() {
        let longest = [b'u'; USER_ID_BYTES_MAX];
        let too_long = [b'u'; USER_ID_BYTES_MAX + 1];
        let longest = core::str::from_utf8(&longest).unwrap();
        let too_long = core::str::from_utf8(&too_long).unwrap();

        for (id, expected) in [
            (" user_1\n", Ok("user_1")),
            ("a b", Ok("a b")),
            ("", Err(UserIdError::Empty)),
            (" \t\u{a0}", Err(UserIdError::Empty)),
            (longest, Ok(longest)),
            (too_long, Err(UserIdError::TooLong { bytes: USER_ID_BYTES_MAX + 1 })),
        ] {
            assert_eq!(UserId::parse(id).map(UserId::as_str), expected, "{id:?}");
        }
    }
}
