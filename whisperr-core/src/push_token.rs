//! A push token as the application hands it over.

use core::fmt;

use serde::{Deserialize, Serialize};

/// Most bytes of a push token. The contract names no limit; those in use have up to about 200.
pub const PUSH_TOKEN_BYTES_MAX: usize = 256;

macro_rules! names {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum $name {
            $(
                #[doc = concat!("`", $text, "`")]
                $variant,
            )*
        }

        impl $name {
            /// The name on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            /// The one with this name on the wire.
            #[must_use]
            pub fn parse(name: &str) -> Option<Self> {
                [$(Self::$variant),*].into_iter().find(|known| known.as_str() == name)
            }
        }
    };
}

names! {
    /// Whose push token it is (contract, section 3).
    PushKind { Fcm = "fcm" Apns = "apns" Expo = "expo" OneSignalSubscription = "onesignal_sub" }
}

names! {
    /// The platform a push token was given out on (contract, section 3).
    PushPlatform { Ios = "ios" Android = "android" Web = "web" }
}

names! {
    /// Which of Apple's push services a token belongs to (contract, section 3).
    PushEnvironment { Production = "production" Sandbox = "sandbox" }
}

/// What is known of a push token; each is sent only when known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct PushMetadata {
    pub(crate) kind: Option<PushKind>,
    pub(crate) platform: Option<PushPlatform>,
    pub(crate) environment: Option<PushEnvironment>,
}

impl PushMetadata {
    pub(crate) const NONE: Self = Self { kind: None, platform: None, environment: None };
}

/// A push token, with what is known of it.
///
/// ```
/// use whisperr_core::{PushKind, PushPlatform, PushToken};
///
/// let token = PushToken::new("d4f0…").kind(PushKind::Fcm).platform(PushPlatform::Android);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PushToken<'a> {
    pub(crate) token: &'a str,
    pub(crate) metadata: PushMetadata,
}

impl<'a> PushToken<'a> {
    /// A token of which nothing else is known. White space around it is cut off; a blank one is ignored.
    #[must_use]
    pub const fn new(token: &'a str) -> Self {
        Self { token, metadata: PushMetadata::NONE }
    }

    /// Says whose token it is.
    #[must_use]
    pub const fn kind(mut self, kind: PushKind) -> Self {
        self.metadata.kind = Some(kind);
        self
    }

    /// Says on which platform it was given out.
    #[must_use]
    pub const fn platform(mut self, platform: PushPlatform) -> Self {
        self.metadata.platform = Some(platform);
        self
    }

    /// Says which push service it belongs to.
    #[must_use]
    pub const fn environment(mut self, environment: PushEnvironment) -> Self {
        self.metadata.environment = Some(environment);
        self
    }

    /// Trims and checks a token; `None` for a blank one.
    pub(crate) fn parse(self) -> Result<Option<Self>, PushTokenError> {
        let token = self.token.trim();
        if token.len() > PUSH_TOKEN_BYTES_MAX {
            return Err(PushTokenError { bytes: token.len() });
        }
        Ok(Some(Self { token, ..self }).filter(|checked| !checked.token.is_empty()))
    }
}

/// A token as text: `&str`, `&String`.
impl<'a, T: AsRef<str> + ?Sized> From<&'a T> for PushToken<'a> {
    fn from(token: &'a T) -> Self {
        Self::new(token.as_ref())
    }
}

/// A push token is longer than [`PUSH_TOKEN_BYTES_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PushTokenError {
    /// Its length after trimming.
    pub bytes: usize,
}

impl fmt::Display for PushTokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bytes } = self;
        write!(f, "push token of {bytes} bytes exceeds the limit of {PUSH_TOKEN_BYTES_MAX}")
    }
}

impl core::error::Error for PushTokenError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_trimmed_and_bounded() {
        let longest = [b't'; PUSH_TOKEN_BYTES_MAX + 1];
        let too_long = core::str::from_utf8(&longest).unwrap();

        for (token, expected) in [
            (" a\n", Ok(Some("a"))),
            ("", Ok(None)),
            (" \t", Ok(None)),
            (&too_long[1..], Ok(Some(&too_long[1..]))),
            (too_long, Err(PushTokenError { bytes: PUSH_TOKEN_BYTES_MAX + 1 })),
        ] {
            assert_eq!(
                PushToken::new(token).parse().map(|parsed| parsed.map(|parsed| parsed.token)),
                expected
            );
        }
    }
}
