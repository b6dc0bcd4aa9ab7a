//! The rule for event names.

use core::fmt;

/// A checked event name: `^[a-z0-9]+(?:_[a-z0-9]+)*$` (contract, section 2).
///
/// ```
/// use whisperr_core::EventType;
///
/// assert!(EventType::parse("payment_failed").is_ok());
/// let error = EventType::parse("Payment Failed").unwrap_err();
/// assert_eq!(error.to_string(), "event_type is not snake_case at byte 0");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventType<'a>(&'a str);

impl<'a> EventType<'a> {
    /// Checks a name. Nothing is trimmed or changed.
    ///
    /// # Errors
    /// [`EventTypeError`] for an empty name, and for the first byte that breaks the rule.
    pub fn parse(name: &'a str) -> Result<Self, EventTypeError> {
        // A separator needs a letter or digit on both sides, so the start counts as one.
        let mut after_separator = true;
        for (at, byte) in name.bytes().enumerate() {
            after_separator = match byte {
                b'a'..=b'z' | b'0'..=b'9' => false,
                b'_' if !after_separator => true,
                _ => return Err(EventTypeError::NotSnakeCase { at }),
            };
        }
        match name.len().checked_sub(1) {
            None => Err(EventTypeError::Empty),
            Some(at) if after_separator => Err(EventTypeError::NotSnakeCase { at }),
            Some(_) => Ok(Self(name)),
        }
    }

    /// The name.
    #[must_use]
    pub const fn as_str(self) -> &'a str {
        self.0
    }
}

/// Why a name is not an event name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventTypeError {
    /// The name is empty.
    Empty,
    /// The name breaks the rule first at this byte, counted from 0.
    NotSnakeCase {
        /// The offset of the byte.
        at: usize,
    },
}

impl fmt::Display for EventTypeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("event_type is empty"),
            Self::NotSnakeCase { at } => write!(f, "event_type is not snake_case at byte {at}"),
        }
    }
}

impl core::error::Error for EventTypeError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_snake_case_is_an_event_type() {
        let at = |at| Err(EventTypeError::NotSnakeCase { at });
        for (name, expected) in [
            ("a", Ok(())),
            ("0", Ok(())),
            ("a_b", Ok(())),
            ("a1_2b_c", Ok(())),
            ("", Err(EventTypeError::Empty)),
            (" ", at(0)),
            ("_", at(0)),
            ("_a", at(0)),
            ("a_", at(1)),
            ("a__b", at(2)),
            ("aB", at(1)),
            ("a-b", at(1)),
            ("a b", at(1)),
            ("a.b", at(1)),
            ("a\n", at(1)),
            ("caf\u{e9}", at(3)),
            ("a\0", at(1)),
        ] {
            assert_eq!(EventType::parse(name).map(|_| ()), expected, "{name:?}");
        }
    }
}
