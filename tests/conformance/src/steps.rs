//! What a client goes through in a case, step by step.

use serde::de::{Deserialize, Deserializer, Error};
use serde_json::value::RawValue;
use whisperr_core::{PushEnvironment, PushKind, PushPlatform, PushToken, Track};

use crate::report::Reason;
use crate::rig::{Act, Rig};
use crate::scenario::{Given, IdentifyScenario};

/// One step of a case.
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Step {
    /// A user is identified.
    Identify(IdentifyScenario),
    /// An event happens.
    Track(TrackStep),
    /// The device's push token is set.
    SetPushToken(PushStep),
    /// A new client over the same storage.
    Restart(True),
    /// The user signs out.
    Reset(True),
    /// The user withdraws consent.
    OptOut(True),
    /// The user gives it again.
    OptIn(True),
}

/// `true`: the step has nothing to say but its name.
#[derive(Debug)]
pub(crate) struct True;

impl<'de> Deserialize<'de> for True {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if bool::deserialize(deserializer)? { Ok(Self) } else { Err(D::Error::custom("only true is a step")) }
    }
}

/// An event, about whoever the client speaks of.
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct TrackStep {
    event_type: String,
    properties: Option<Box<RawValue>>,
}

/// A push token, alone or with what is known of it.
#[derive(Debug, serde::Deserialize)]
#[serde(untagged)]
pub(crate) enum PushStep {
    /// The token.
    Token(String),
    /// The token and its metadata.
    Known(KnownToken),
}

#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct KnownToken {
    token: String,
    kind: Option<String>,
    platform: Option<String>,
    push_env: Option<String>,
}

impl PushStep {
    fn token(&self) -> Result<PushToken<'_>, Reason> {
        let known = match self {
            Self::Token(token) => return Ok(PushToken::new(token)),
            Self::Known(known) => known,
        };
        let mut token = PushToken::new(&known.token);
        if let Some(name) = &known.kind {
            token = token.kind(PushKind::parse(name).ok_or_else(|| format!("kind {name:?} is unknown"))?);
        }
        if let Some(name) = &known.platform {
            let platform = PushPlatform::parse(name);
            token = token.platform(platform.ok_or_else(|| format!("platform {name:?} is unknown"))?);
        }
        if let Some(name) = &known.push_env {
            let environment = PushEnvironment::parse(name);
            token = token.environment(environment.ok_or_else(|| format!("pushEnv {name:?} is unknown"))?);
        }
        Ok(token)
    }
}

impl Step {
    /// Whether the step needs a storage that outlives its client.
    pub(crate) const fn is_restart(&self) -> bool {
        matches!(self, Self::Restart(True))
    }

    /// Whether it makes a difference what was delivered before.
    pub(crate) const fn is_opt_out(&self) -> bool {
        matches!(self, Self::OptOut(True))
    }

    /// Does it.
    pub(crate) fn run(&self, rig: &mut dyn Rig) -> Result<(), Reason> {
        match self {
            Self::Identify(user) => rig.identify(user),
            Self::Track(event) => {
                let properties = Given::new(event.properties.as_deref());
                rig.act(Act::Track(Track::new(&event.event_type).properties(properties)))
            }
            Self::SetPushToken(push) => rig.act(Act::SetPushToken(push.token()?)),
            Self::Restart(True) => rig.act(Act::Restart),
            Self::Reset(True) => rig.act(Act::Reset),
            Self::OptOut(True) => rig.act(Act::OptOut),
            Self::OptIn(True) => rig.act(Act::OptIn),
        }
    }
}
