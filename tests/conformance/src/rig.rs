//! A client under test and the server it speaks to, alike for every adapter.

use core::fmt;

use whisperr_core::{Notice, PushToken, Track, UtcMillis};

use crate::core_rig::CoreRig;
use crate::embassy_rig::EmbassyRig;
use crate::exact::Exact;
use crate::report::Reason;
use crate::scenario::{About, Given, IdentifyScenario, TrackScenario};
use crate::std_rig::StdRig;

/// One way to run a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a caller chooses among them")]
pub enum Driver {
    /// `whisperr-core` over memory storage, in simulated time.
    Core,
    /// `whisperr-std` without persistence, over HTTP.
    StdInMemory,
    /// `whisperr-std` over a queue file and HTTP. What one client was told, the next delivers.
    StdOnFile,
    /// `whisperr-embassy` over a flash that is memory, and HTTP over embassy-net in virtual time.
    Embassy,
}

impl Driver {
    /// Every way.
    pub const ALL: [Self; 4] = [Self::Core, Self::StdInMemory, Self::StdOnFile, Self::Embassy];

    /// Whether what a client was told survives it.
    pub(crate) const fn survives(self) -> bool {
        !matches!(self, Self::StdInMemory)
    }

    /// A client that was told nothing yet, and a server that accepts.
    pub(crate) fn open(self, setup: Setup) -> Result<Box<dyn Rig>, Reason> {
        Ok(match self {
            Self::Core => Box::new(CoreRig::new(setup)),
            Self::StdInMemory => Box::new(StdRig::in_memory(setup)?),
            Self::StdOnFile => Box::new(StdRig::on_file(setup)?),
            Self::Embassy => Box::new(EmbassyRig::new(setup)),
        })
    }
}

impl fmt::Display for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Core => "core",
            Self::StdInMemory => "std in memory",
            Self::StdOnFile => "std on file",
            Self::Embassy => "embassy",
        })
    }
}

/// What a case asks of its client.
#[derive(Debug, Clone, Default)]
pub(crate) struct Setup {
    /// The date at which everything is said; without it, the adapter's own.
    pub(crate) clock: Option<UtcMillis>,
    /// `max_retries`; without it, the default.
    pub(crate) max_retries: Option<u32>,
    /// What automatic events need; without it, they are off.
    pub(crate) automatic: Option<AutomaticSetup>,
}

/// What automatic events need.
#[derive(Debug, Clone)]
pub(crate) struct AutomaticSetup {
    /// The switch.
    pub(crate) enabled: bool,
    pub(crate) device: DeviceSetup,
}

/// What a device knows of itself.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct DeviceSetup {
    pub(crate) os_version: Option<String>,
    pub(crate) locale: Option<String>,
    pub(crate) timezone: Option<String>,
    pub(crate) timezone_offset_minutes: Option<i16>,
}

/// What else happens to a client.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Act<'a> {
    /// An event about whoever the client speaks of.
    Track(Track<'a, Given<'a>>),
    SetPushToken(PushToken<'a>),
    Reset,
    OptOut,
    OptIn,
    /// Another client goes on with the same storage.
    Restart,
    Launch {
        version: &'a str,
        build: &'a str,
    },
    Foreground,
    Background,
    /// Time passes.
    Advance {
        ms: u64,
    },
    Screen(&'a str),
    /// A notification with this data is opened.
    PushOpened(&'a [(&'a str, &'a str)]),
}

/// One request and how it was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exchange {
    pub(crate) path: String,
    pub(crate) body: Exact,
    /// `None` without a reply.
    pub(crate) status: Option<u16>,
}

impl Exchange {
    /// Whether the server took it.
    pub(crate) fn is_accepted(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

/// A client and its server. Nothing is in flight when a method returns.
pub(crate) trait Rig {
    /// Tracks; returns the message id the client promised.
    fn track(&mut self, event: &TrackScenario, about: About) -> Result<String, Reason>;

    /// Does something else.
    fn act(&mut self, act: Act<'_>) -> Result<(), Reason>;

    /// Identifies.
    fn identify(&mut self, user: &IdentifyScenario) -> Result<(), Reason>;

    /// Flushes until the client says that the flush ended, however it did.
    fn flush(&mut self) -> Result<(), Reason>;

    /// Where the queue survives the client, ends it and lets another one go on.
    fn hand_over(&mut self) -> Result<(), Reason>;

    /// Answers every request from here on with this status. A 2xx is an acceptance.
    fn answer(&mut self, status: u16) -> Result<(), Reason>;

    /// Every request so far, in order.
    fn exchanges(&self) -> Result<Vec<Exchange>, Reason>;

    /// What the application was told so far, by every client of the case. If that is nothing,
    /// waits a moment for the first notice.
    fn notices(&mut self) -> Vec<Notice>;

    /// How many operations the client still owes.
    fn owed(&self) -> u32;
}

/// What every request says before its body (contract, section 1).
pub(crate) fn check_head<'a>(
    method: &str,
    key: &str,
    header: impl Fn(&str) -> Option<&'a str>,
) -> Result<(), Reason> {
    if method != "POST" {
        return Err(format!("{method} is not POST"));
    }
    for (name, expected) in [
        ("content-type", "application/json"),
        ("authorization", &format!("Bearer {key}")),
        ("x-whisperr-sdk", concat!("rust/", env!("CARGO_PKG_VERSION"))),
    ] {
        let sent = header(name);
        if sent != Some(expected) {
            return Err(format!("header {name}: expected {expected:?}, sent {sent:?}"));
        }
    }
    Ok(())
}
