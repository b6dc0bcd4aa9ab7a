//! Where a user may be reached.

use serde::{Deserialize, Serialize};

use crate::push_token::{PushMetadata, PushToken};

/// The kind of a channel, and a preferred channel (contract, section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(clippy::exhaustive_enums, reason = "the wire contract has no other")]
pub enum ChannelKind {
    /// `email`
    Email,
    /// `sms`
    Sms,
    /// `push`
    Push,
}

impl ChannelKind {
    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Sms => "sms",
            Self::Push => "push",
        }
    }

    /// The kind with this name on the wire.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Email, Self::Sms, Self::Push].into_iter().find(|kind| kind.as_str() == name)
    }
}

/// Whether a user wants to be reached on a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[expect(clippy::exhaustive_enums, reason = "a boolean with names")]
pub enum Consent {
    /// `opted_in: true`
    #[default]
    OptedIn,
    /// `opted_in: false`
    OptedOut,
}

/// One entry of an identify's `channels`: an address, and whether it may be used.
///
/// ```
/// use whisperr_core::Channel;
///
/// let sms = Channel::sms("+15551234567").verified(true);
/// let old = Channel::email("old@example.com").opted_out();
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Channel<'a> {
    pub(crate) kind: ChannelKind,
    pub(crate) address: &'a str,
    pub(crate) consent: Consent,
    pub(crate) verified: Option<bool>,
    pub(crate) metadata: PushMetadata,
}

impl<'a> Channel<'a> {
    /// An opted-in channel of any kind. A blank address is ignored when the identify is accepted.
    #[must_use]
    pub const fn new(kind: ChannelKind, address: &'a str) -> Self {
        Self { kind, address, consent: Consent::OptedIn, verified: None, metadata: PushMetadata::NONE }
    }

    /// An opted-in email address.
    #[must_use]
    pub const fn email(address: &'a str) -> Self {
        Self::new(ChannelKind::Email, address)
    }

    /// An opted-in phone number for text messages.
    #[must_use]
    pub const fn sms(address: &'a str) -> Self {
        Self::new(ChannelKind::Sms, address)
    }

    /// An opted-in push token.
    #[must_use]
    pub const fn push(address: &'a str) -> Self {
        Self::new(ChannelKind::Push, address)
    }

    /// Marks the channel as not to be used: `opted_in: false`.
    #[must_use]
    pub const fn opted_out(mut self) -> Self {
        self.consent = Consent::OptedOut;
        self
    }

    /// Without white space around the address; nothing when nothing else is there.
    pub(crate) fn trimmed(self) -> Option<Self> {
        let address = self.address.trim();
        (!address.is_empty()).then_some(Self { address, ..self })
    }

    /// Whether this is a push token that may be used.
    pub(crate) fn is_push_token(&self) -> bool {
        self.kind == ChannelKind::Push && self.consent == Consent::OptedIn
    }

    /// Says whether the address was verified; sent only when said.
    #[must_use]
    pub const fn verified(mut self, verified: bool) -> Self {
        self.verified = Some(verified);
        self
    }
}

impl<'a> From<PushToken<'a>> for Channel<'a> {
    fn from(token: PushToken<'a>) -> Self {
        Self { metadata: token.metadata, ..Self::push(token.token) }
    }
}
