//! What a device knows of itself.

use serde::Serialize;

use crate::defaults::Defaults;
use crate::encode::{Encoder, ValueError};

/// What a device knows of itself. It goes with automatic events; time zone and locale also with the traits of an
/// identify, and its defaults with every event, where those do not say them themselves (contract, sections 3 and 9).
/// What is not known is left out, never guessed.
///
/// ```
/// use whisperr_core::Device;
///
/// let device = Device::new("kiosk").os_version("4.2").timezone("Europe/Berlin").locale("de-DE");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device<'a> {
    pub(crate) platform: &'a str,
    pub(crate) os_version: Option<&'a str>,
    pub(crate) locale: Option<&'a str>,
    pub(crate) timezone: Option<&'a str>,
    pub(crate) timezone_offset_minutes: Option<i16>,
    pub(crate) default_properties: Defaults<'a>,
    pub(crate) default_context: Defaults<'a>,
}

impl<'a> Device<'a> {
    /// A device of this platform: `linux`, `macos`, `windows`, or a firmware's own name in lower case.
    #[must_use]
    pub const fn new(platform: &'a str) -> Self {
        Self {
            platform,
            os_version: None,
            locale: None,
            timezone: None,
            timezone_offset_minutes: None,
            default_properties: Defaults::NONE,
            default_context: Defaults::NONE,
        }
    }

    /// Sets the version of the operating system, or of the firmware below the application.
    #[must_use]
    pub const fn os_version(mut self, version: &'a str) -> Self {
        self.os_version = Some(version);
        self
    }

    /// Sets the locale, as BCP 47 writes it.
    #[must_use]
    pub const fn locale(mut self, locale: &'a str) -> Self {
        self.locale = Some(locale);
        self
    }

    /// Sets the time zone, by its IANA name.
    #[must_use]
    pub const fn timezone(mut self, name: &'a str) -> Self {
        self.timezone = Some(name);
        self
    }

    /// Sets the offset from UTC in minutes, east positive. Sent only where the zone is not known.
    #[must_use]
    pub const fn timezone_offset_minutes(mut self, minutes: i16) -> Self {
        self.timezone_offset_minutes = Some(minutes);
        self
    }

    /// Sets what stands in the properties of every event that does not say it itself.
    #[must_use]
    pub const fn default_properties(mut self, defaults: Defaults<'a>) -> Self {
        self.default_properties = defaults;
        self
    }

    /// Sets what stands in the context of every event that does not say it itself.
    #[must_use]
    pub const fn default_context(mut self, defaults: Defaults<'a>) -> Self {
        self.default_context = defaults;
        self
    }

    /// Adds time zone and locale to the object written last, at `start`, as far as it does not say them.
    pub(crate) fn add_to(&self, encoder: &mut Encoder<'_>, start: usize) -> Result<(), ValueError> {
        if let Some(locale) = self.locale {
            encoder.add_missing(start, LOCALE, |encoder| {
                encoder.string(LOCALE)?;
                encoder.string(locale)
            })?;
        }
        // Never one beside the other.
        if encoder.has_key(start, TIMEZONE)? || encoder.has_key(start, OFFSET)? {
            return Ok(());
        }
        match (self.timezone, self.timezone_offset_minutes) {
            (Some(name), _) => encoder.add_missing(start, TIMEZONE, |encoder| {
                encoder.string(TIMEZONE)?;
                encoder.string(name)
            }),
            (None, Some(minutes)) => encoder.add_missing(start, OFFSET, |encoder| {
                encoder.string(OFFSET)?;
                minutes.serialize(encoder)
            }),
            (None, None) => Ok(()),
        }
    }
}

pub(crate) const LOCALE: &str = "locale";
pub(crate) const TIMEZONE: &str = "timezone";
pub(crate) const OFFSET: &str = "timezone_offset_minutes";
