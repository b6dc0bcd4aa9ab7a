//! What goes with every event unless the call says it itself.

use crate::encode::{Encoder, Properties, ValueError};
use crate::tree::Members;

/// Members for the properties or the context of every event, checked and encoded once: the device's id, the
/// version of its firmware. A call that says a key itself has the last word.
///
/// ```
/// use whisperr_core::{Defaults, Device, Track, props};
///
/// let mut buffer = [0; 64];
/// let firmware = Defaults::encode(&mut buffer, &props! { "firmware" => "1.4.2" })?;
/// let device = Device::new("kiosk").default_context(firmware);
/// let event = Track::new("door_opened").device(device);
/// # Ok::<(), whisperr_core::ValueError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Defaults<'a>(&'a [u8]);

impl<'a> Defaults<'a> {
    /// None.
    pub const NONE: Self = Self(&[]);

    /// Encodes an object into `buffer`, of which it keeps the part it needs.
    ///
    /// # Errors
    /// [`ValueError`] for what JSON cannot say or a limit forbids, for a key that is the client's own, and
    /// when the buffer is too small.
    pub fn encode<P: Properties>(buffer: &'a mut [u8], object: &P) -> Result<Self, ValueError> {
        let mut encoder = Encoder::new(buffer);
        encoder.object(object)?;
        encoder.refuse_reserved_keys(0)?;
        let len = encoder.len();
        Ok(Self(buffer.get(..len).unwrap_or_default()))
    }

    /// The encoded object, to be kept.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.0
    }

    /// What [`as_bytes`](Self::as_bytes) returned. Bytes from elsewhere make the events that they are added to
    /// be refused.
    #[must_use]
    pub const fn from_bytes(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Adds the members that the object written last, at `start`, does not have.
    pub(crate) fn add_to(self, encoder: &mut Encoder<'_>, start: usize) -> Result<(), ValueError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let refused = |_| ValueError::Refused;
        let mut members = Members::of(self.0).map_err(refused)?;
        while let Some(member) = members.next().map_err(refused)? {
            let key = core::str::from_utf8(member.key).map_err(|_| ValueError::Refused)?;
            encoder.add_missing(start, key, |encoder| encoder.bytes(member.bytes))?;
        }
        Ok(())
    }
}
