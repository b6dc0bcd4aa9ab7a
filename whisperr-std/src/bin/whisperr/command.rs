//! The commands as they are given.

use core::time::Duration;
use std::ffi::{OsStr, OsString};

use whisperr_std::{ChannelKind, PushEnvironment, PushKind, PushPlatform};

use crate::args::once;
use crate::assignment::Assignments;
use crate::channel::{KINDS, OwnedChannel};
use crate::exit::Failure;

/// One command with its arguments.
#[derive(Debug)]
pub(crate) enum Command {
    Track(Track),
    Identify(Identify),
    Reset { timeout: Duration },
    Say(Say),
    Flush { timeout: Duration },
    Status,
    Pipe { timeout: Duration },
}

/// `track EVENT …`
#[derive(Debug, Default)]
pub(crate) struct Track {
    /// Not empty once the command line is read.
    pub(crate) event: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) properties: Assignments,
    pub(crate) timeout: Duration,
}

/// `identify USER …`
#[derive(Debug, Default)]
pub(crate) struct Identify {
    /// Not empty once the command line is read.
    pub(crate) user: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) phone: Option<String>,
    pub(crate) push_token: Option<String>,
    pub(crate) traits: Assignments,
    pub(crate) preferred_channel: Option<ChannelKind>,
    pub(crate) channels: Vec<OwnedChannel>,
    pub(crate) timeout: Duration,
}

/// A command that is a call of the client, and the texts it takes.
#[derive(Debug)]
pub(crate) struct Say {
    pub(crate) call: Call,
    pub(crate) texts: Vec<String>,
    pub(crate) kind: Option<PushKind>,
    pub(crate) platform: Option<PushPlatform>,
    pub(crate) environment: Option<PushEnvironment>,
    pub(crate) timeout: Duration,
}

/// Which call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    OptOut,
    OptIn,
    PushToken,
    Launch,
    Foreground,
    Background,
    Screen,
}

impl Call {
    const ALL: [Self; 7] = [
        Self::OptOut,
        Self::OptIn,
        Self::PushToken,
        Self::Launch,
        Self::Foreground,
        Self::Background,
        Self::Screen,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::OptOut => "opt-out",
            Self::OptIn => "opt-in",
            Self::PushToken => "push-token",
            Self::Launch => "launch",
            Self::Foreground => "foreground",
            Self::Background => "background",
            Self::Screen => "screen",
        }
    }

    /// What it takes, in the words of the help.
    const fn takes(self) -> &'static [&'static str] {
        match self {
            Self::OptOut | Self::OptIn | Self::Foreground | Self::Background => &[],
            Self::PushToken => &["TOKEN"],
            Self::Launch => &["VERSION", "BUILD"],
            Self::Screen => &["NAME"],
        }
    }
}

impl Say {
    const fn new(call: Call) -> Self {
        let texts = Vec::new();
        Self { call, texts, kind: None, platform: None, environment: None, timeout: SHORT }
    }

    fn option(&mut self, option: &str, value: OsString) -> Result<(), Failure> {
        let unknown = || Failure::usage(format_args!("--{option} is none of those of a push token"));
        let name = value.to_str().ok_or_else(unknown)?;
        match option {
            "kind" => once(&mut self.kind, option, PushKind::parse(name).ok_or_else(unknown)?),
            "platform" => once(&mut self.platform, option, PushPlatform::parse(name).ok_or_else(unknown)?),
            "push-env" => {
                once(&mut self.environment, option, PushEnvironment::parse(name).ok_or_else(unknown)?)
            }
            _ => Ok(()),
        }
    }

    fn argument(&mut self, value: OsString) -> Result<(), Failure> {
        let (name, takes) = (self.call.name(), self.call.takes());
        if self.texts.len() >= takes.len() {
            let text = if takes.is_empty() { "no arguments".to_owned() } else { takes.join(" and ") };
            return Err(Failure::usage(format_args!("{name} takes {text}")));
        }
        self.texts.push(content(name, value)?);
        Ok(())
    }

    fn finish(&self) -> Result<(), Failure> {
        match self.call.takes().get(self.texts.len()) {
            Some(missing) => Err(Failure::usage(format_args!("{} needs a {missing}", self.call.name()))),
            None => Ok(()),
        }
    }

    /// One of the texts.
    pub(crate) fn text(&self, at: usize) -> &str {
        self.texts.get(at).map_or("", String::as_str)
    }
}

/// How long commands that say one thing deliver: a script waits for them.
const SHORT: Duration = Duration::from_secs(2);

/// How long commands deliver that are there to deliver.
const LONG: Duration = Duration::from_secs(10);

impl Command {
    pub(crate) fn parse(name: &OsStr) -> Result<Self, Failure> {
        Ok(match name.to_str() {
            Some("track") => Self::Track(Track { timeout: SHORT, ..Track::default() }),
            Some("identify") => Self::Identify(Identify { timeout: SHORT, ..Identify::default() }),
            Some("reset") => Self::Reset { timeout: SHORT },
            Some("flush") => Self::Flush { timeout: LONG },
            Some("status") => Self::Status,
            Some("pipe") => Self::Pipe { timeout: LONG },
            // What stands there is not shown: it may be a key without its option.
            other => match Call::ALL.into_iter().find(|call| Some(call.name()) == other) {
                Some(call) => Self::Say(Say::new(call)),
                None => {
                    let text = "the command is none of track, identify, reset, push-token, opt-out, opt-in, launch, \
                                foreground, background, screen, flush, status, pipe";
                    return Err(Failure::usage(text));
                }
            },
        })
    }

    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Track(_) => "track",
            Self::Identify(_) => "identify",
            Self::Reset { .. } => "reset",
            Self::Say(say) => say.call.name(),
            Self::Flush { .. } => "flush",
            Self::Status => "status",
            Self::Pipe { .. } => "pipe",
        }
    }

    /// Whether this is an option of the command's own.
    pub(crate) fn takes(&self, option: &str) -> bool {
        let own: &[&str] = match self {
            Self::Track(_) => &["user"],
            Self::Identify(_) => &["email", "phone", "push-token", "trait", "preferred-channel", "channel"],
            Self::Say(Say { call: Call::PushToken, .. }) => &["kind", "platform", "push-env"],
            _ => &[],
        };
        own.contains(&option)
    }

    /// Takes an option of the command's own.
    pub(crate) fn option(&mut self, option: &str, value: OsString) -> Result<(), Failure> {
        match self {
            Self::Track(track) => once(&mut track.user, option, content("external_user_id", value)?),
            Self::Identify(identify) => identify.option(option, value),
            Self::Say(say) => say.option(option, value),
            _ => Ok(()),
        }
    }

    /// Takes an argument that is not an option.
    pub(crate) fn argument(&mut self, value: OsString) -> Result<(), Failure> {
        match self {
            Self::Track(track) if track.event.is_none() => {
                track.event = Some(content("event_type", value)?);
                Ok(())
            }
            Self::Track(track) => track.properties.add("an argument of track", "properties", value),
            Self::Identify(identify) if identify.user.is_none() => {
                identify.user = Some(content("external_user_id", value)?);
                Ok(())
            }
            Self::Identify(_) => Err(Failure::usage("identify takes one USER")),
            Self::Say(say) => say.argument(value),
            _ => Err(Failure::usage(format_args!("{} takes no arguments", self.name()))),
        }
    }

    /// Ends the command line: nothing that must be there is missing.
    pub(crate) fn finish(&mut self, given: Option<Duration>) -> Result<(), Failure> {
        match self {
            Self::Track(Track { event: None, .. }) => return Err(Failure::usage("track needs an EVENT")),
            Self::Identify(Identify { user: None, .. }) => {
                return Err(Failure::usage("identify needs a USER"));
            }
            Self::Say(say) => say.finish()?,
            _ => {}
        }
        let Some(given) = given else { return Ok(()) };
        match self {
            Self::Track(Track { timeout, .. })
            | Self::Identify(Identify { timeout, .. })
            | Self::Say(Say { timeout, .. })
            | Self::Reset { timeout }
            | Self::Flush { timeout }
            | Self::Pipe { timeout } => *timeout = given,
            Self::Status => return Err(Failure::usage("status takes no --timeout")),
        }
        Ok(())
    }
}

impl Identify {
    fn option(&mut self, option: &str, value: OsString) -> Result<(), Failure> {
        match option {
            "email" => once(&mut self.email, option, content("email", value)?),
            "phone" => once(&mut self.phone, option, content("phone", value)?),
            "push-token" => once(&mut self.push_token, option, content("push_token", value)?),
            "trait" => self.traits.add("--trait", "traits", value),
            "preferred-channel" => {
                let kind = value.to_str().and_then(ChannelKind::parse);
                let unknown = || Failure::usage(format_args!("--preferred-channel is none of {KINDS}"));
                once(&mut self.preferred_channel, option, kind.ok_or_else(unknown)?)
            }
            "channel" => {
                self.channels.push(OwnedChannel::parse(&content("channels", value)?)?);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// Something to be said. What cannot be said is refused, as every other bad input is.
pub(crate) fn content(field: &str, value: OsString) -> Result<String, Failure> {
    value.into_string().map_err(|_| Failure::refused(format_args!("{field} is not UTF-8")))
}
