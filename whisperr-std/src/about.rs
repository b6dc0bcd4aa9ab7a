//! What the application said of itself and its device when it built the client.

use whisperr_core::{Defaults, Device, Properties, ValueError};

/// Most bytes of the defaults as encoded, for properties and context each.
const DEFAULTS_BYTES_MAX: usize = 16 << 10;

/// What goes with the operations of a client.
#[derive(Debug, Default)]
pub(crate) struct About {
    pub(crate) os_version: Option<String>,
    pub(crate) locale: Option<String>,
    pub(crate) timezone: Option<String>,
    pub(crate) timezone_offset_minutes: Option<i16>,
    pub(crate) default_properties: Vec<u8>,
    pub(crate) default_context: Vec<u8>,
}

impl About {
    pub(crate) fn device(&self) -> Device<'_> {
        let mut device = Device::new(std::env::consts::OS)
            .default_properties(Defaults::from_bytes(&self.default_properties))
            .default_context(Defaults::from_bytes(&self.default_context));
        if let Some(version) = &self.os_version {
            device = device.os_version(version);
        }
        if let Some(locale) = &self.locale {
            device = device.locale(locale);
        }
        if let Some(timezone) = &self.timezone {
            device = device.timezone(timezone);
        }
        if let Some(minutes) = self.timezone_offset_minutes {
            device = device.timezone_offset_minutes(minutes);
        }
        device
    }
}

/// Encodes defaults, to be kept.
pub(crate) fn encode(object: &impl Properties) -> Result<Vec<u8>, ValueError> {
    let mut buffer = vec![0; DEFAULTS_BYTES_MAX];
    Ok(Defaults::encode(&mut buffer, object)?.as_bytes().to_vec())
}
