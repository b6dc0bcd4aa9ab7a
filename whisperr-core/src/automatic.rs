//! Events that the client knows how to name itself (contract, section 9).

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::application::Version;
use crate::device::{Device, LOCALE, OFFSET, TIMEZONE};
use crate::record::TrackBody;

/// The name of this SDK in automatic events.
const SDK_NAME: &str = "whisperr-rust";
const SDK_VERSION: &str = env!("CARGO_PKG_VERSION");

/// What one of them says of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Automatic<'a> {
    Installed,
    Updated { before: Version<'a> },
    Opened { cold_start: bool },
    Backgrounded { foreground_ms: u64 },
    ScreenViewed { name: &'a str },
    PushOpened { message_id: &'a str, deep_link: Option<&'a str> },
}

impl Automatic<'_> {
    /// The type of the event.
    pub(crate) const fn event_type(&self) -> &'static str {
        match self {
            Self::Installed => "app_installed",
            Self::Updated { .. } => "app_updated",
            Self::Opened { .. } => "app_opened",
            Self::Backgrounded { .. } => "app_backgrounded",
            Self::ScreenViewed { .. } => "screen_viewed",
            Self::PushOpened { .. } => "push_opened",
        }
    }
}

/// The properties of an automatic event: its own, and what is known around it. What is not known is left out.
#[derive(Debug)]
pub(crate) struct AutomaticProperties<'a> {
    pub(crate) own: Automatic<'a>,
    pub(crate) device: &'a Device<'a>,
    pub(crate) application: Option<Version<'a>>,
}

impl AutomaticProperties<'_> {
    /// The event that they are the properties of.
    pub(crate) const fn body(&self) -> TrackBody<'_> {
        TrackBody { properties: self, context: &(), device: Some(self.device) }
    }
}

impl Serialize for AutomaticProperties<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self.own {
            Automatic::Installed => {}
            Automatic::Updated { before } => {
                map.serialize_entry("previous_version", before.version)?;
                map.serialize_entry("previous_build", before.build)?;
            }
            Automatic::Opened { cold_start } => map.serialize_entry("cold_start", &cold_start)?,
            Automatic::Backgrounded { foreground_ms } => {
                map.serialize_entry("foreground_ms", &foreground_ms)?
            }
            Automatic::ScreenViewed { name } => map.serialize_entry("screen_name", name)?,
            Automatic::PushOpened { message_id, deep_link } => {
                map.serialize_entry("whisperr_message_id", message_id)?;
                if let Some(deep_link) = deep_link {
                    map.serialize_entry("deep_link", deep_link)?;
                }
            }
        }
        let device = self.device;
        let zone = device.timezone;
        for (key, value) in [
            ("app_version", self.application.map(|application| application.version)),
            ("app_build", self.application.map(|application| application.build)),
            ("sdk_name", Some(SDK_NAME)),
            ("sdk_version", Some(SDK_VERSION)),
            ("platform", Some(device.platform)),
            ("os_name", Some(device.platform)),
            ("os_version", device.os_version),
            (LOCALE, device.locale),
            (TIMEZONE, zone),
        ] {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                map.serialize_entry(key, value)?;
            }
        }
        if let Some(minutes) = device.timezone_offset_minutes.filter(|_| zone.is_none()) {
            map.serialize_entry(OFFSET, &minutes)?;
        }
        map.end()
    }
}
