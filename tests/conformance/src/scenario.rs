//! What a case lets the application say, and how that is said in Rust.

use serde::Deserialize;
use serde_json::value::RawValue;
use whisperr_core::{
    Channel, ChannelKind, Encoder, Identify, Json, Properties, Track, UtcMillis, ValueError,
};

use crate::date;
use crate::report::Reason;

/// An event in the words of the fixtures.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct TrackScenario {
    external_user_id: String,
    event_type: String,
    properties: Option<Box<RawValue>>,
    /// Not in the public fixtures.
    context: Option<Box<RawValue>>,
    clock_iso: Option<String>,
}

/// An identify in the words of the fixtures.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct IdentifyScenario {
    external_user_id: String,
    traits: Option<Box<RawValue>>,
    email: Option<String>,
    phone: Option<String>,
    push_token: Option<String>,
    preferred_channel: Option<Kind>,
    #[serde(default)]
    channels: Vec<ChannelScenario>,
    clock_iso: Option<String>,
}

/// A channel as SDKs take it; on the wire its fields are called otherwise.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ChannelScenario {
    #[serde(rename = "type")]
    kind: Kind,
    address: String,
    opted_in: Option<bool>,
    verified: Option<bool>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Email,
    Sms,
    Push,
}

impl From<Kind> for ChannelKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Email => Self::Email,
            Kind::Sms => Self::Sms,
            Kind::Push => Self::Push,
        }
    }
}

/// Whom an event is said to be about. The wire must not show which way it was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum About {
    /// The event names its user.
    Explicit,
    /// The user was identified before.
    Current,
}

impl TrackScenario {
    /// The call that says it.
    pub(crate) fn event(&self, about: About) -> Track<'_, Given<'_>, Given<'_>> {
        let event = Track::new(&self.event_type)
            .properties(Given(self.properties.as_deref()))
            .context(Given(self.context.as_deref()));
        match about {
            About::Explicit => event.user(&self.external_user_id),
            About::Current => event,
        }
    }

    /// The identify that makes its user the current one.
    pub(crate) fn current_user(&self) -> IdentifyScenario {
        IdentifyScenario { clock_iso: self.clock_iso.clone(), ..IdentifyScenario::of(&self.external_user_id) }
    }

    /// When it is said, if the case says so.
    pub(crate) fn clock(&self) -> Result<Option<UtcMillis>, Reason> {
        clock(self.clock_iso.as_deref())
    }
}

impl IdentifyScenario {
    /// A user of whom nothing else is said.
    pub(crate) fn of(user: &str) -> Self {
        Self {
            external_user_id: user.to_owned(),
            traits: None,
            email: None,
            phone: None,
            push_token: None,
            preferred_channel: None,
            channels: Vec::new(),
            clock_iso: None,
        }
    }

    /// The channels of the call.
    pub(crate) fn channels(&self) -> Vec<Channel<'_>> {
        self.channels.iter().map(ChannelScenario::channel).collect()
    }

    /// The call that says it. What the scenario leaves out is not said.
    pub(crate) fn identify<'a>(&'a self, channels: &'a [Channel<'a>]) -> Identify<'a, Given<'a>> {
        let mut identify =
            Identify::new(&self.external_user_id).traits(Given(self.traits.as_deref())).channels(channels);
        if let Some(email) = &self.email {
            identify = identify.email(email);
        }
        if let Some(phone) = &self.phone {
            identify = identify.phone(phone);
        }
        if let Some(token) = &self.push_token {
            identify = identify.push_token(token);
        }
        if let Some(kind) = self.preferred_channel {
            identify = identify.preferred_channel(kind.into());
        }
        identify
    }

    /// When it is said, if the case says so.
    pub(crate) fn clock(&self) -> Result<Option<UtcMillis>, Reason> {
        clock(self.clock_iso.as_deref())
    }
}

impl ChannelScenario {
    fn channel(&self) -> Channel<'_> {
        let mut channel = Channel::new(self.kind.into(), &self.address);
        if self.opted_in == Some(false) {
            channel = channel.opted_out();
        }
        if let Some(verified) = self.verified {
            channel = channel.verified(verified);
        }
        channel
    }
}

fn clock(iso: Option<&str>) -> Result<Option<UtcMillis>, Reason> {
    let Some(iso) = iso else { return Ok(None) };
    let at = date::parse(iso).ok_or_else(|| format!("clockIso {iso:?} is not a date"))?;
    Ok(Some(UtcMillis::new(at.0)))
}

/// An object of the fixture, handed over as its text; left out where the fixture leaves it out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Given<'a>(Option<&'a RawValue>);

impl<'a> Given<'a> {
    pub(crate) const fn new(object: Option<&'a RawValue>) -> Self {
        Self(object)
    }
}

impl Properties for Given<'_> {
    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), ValueError> {
        match self.0 {
            Some(object) => Json(object.get()).encode(encoder),
            None => ().encode(encoder),
        }
    }
}
