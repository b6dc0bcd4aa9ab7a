//! The version of the application that was seen last, and whether its event was recorded (contract, section 9).

use core::fmt;

use crate::encode::{Encoder, ValueError};
use crate::kept::{Kept, Trouble};
use crate::storage::{Seq, Slot, Storage};

/// Most bytes of a version and of a build of the application.
pub const VERSION_BYTES_MAX: usize = 64;

/// The layout of the slot written by this version.
const LAYOUT: u8 = 1;

/// Most bytes of the slot: layout, whether an event belongs to it, its operation, and four texts.
const SLOT_BYTES: usize = 10 + 4 * (1 + VERSION_BYTES_MAX);

/// A version and a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Version<'a> {
    pub(crate) version: &'a str,
    pub(crate) build: &'a str,
}

impl<'a> Version<'a> {
    /// Trims and checks both.
    pub(crate) fn parse(version: &'a str, build: &'a str) -> Result<Self, AppVersionError> {
        let checked = |name: &'static str, text: &'a str| {
            let text = text.trim();
            let bytes = text.len();
            if bytes > VERSION_BYTES_MAX { Err(AppVersionError { name, bytes }) } else { Ok(text) }
        };
        Ok(Self { version: checked("app_version", version)?, build: checked("app_build", build)? })
    }
}

/// The version or the build of the application is longer than [`VERSION_BYTES_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct AppVersionError {
    /// Which of the two.
    pub name: &'static str,
    /// Its length after trimming.
    pub bytes: usize,
}

impl fmt::Display for AppVersionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, bytes } = self;
        write!(f, "{name} of {bytes} bytes exceeds the limit of {VERSION_BYTES_MAX}")
    }
}

impl core::error::Error for AppVersionError {}

/// What the slot holds.
///
/// It is written before the event of an installation or an update is appended, with the number that event
/// will have. A start that finds the number unused knows that the event was not recorded: the version
/// before it still counts as the one that was seen last. So neither comes twice, and none is lost.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    bytes: [u8; SLOT_BYTES],
    len: usize,
}

impl Seen {
    /// Nothing was seen yet.
    pub(crate) const NOTHING: Self = Self { bytes: [0; SLOT_BYTES], len: 0 };

    /// Reads what the slot holds.
    pub(crate) async fn load<S: Storage>(&mut self, storage: &mut Kept<S>) -> Result<(), Trouble> {
        self.len = storage.load(Slot::Application, &mut self.bytes).await?;
        Ok(())
    }

    pub(crate) async fn store<S: Storage>(&self, storage: &mut Kept<S>) -> Result<(), Trouble> {
        storage.store(Slot::Application, self.bytes.get(..self.len).unwrap_or_default()).await
    }

    /// This version was seen. Its event, if there is one, is the operation `event`, and `before` was
    /// the version before it.
    pub(crate) fn new(version: Version<'_>, event: Option<Seq>, before: Option<Version<'_>>) -> Self {
        let mut seen = Self::NOTHING;
        let mut encoder = Encoder::new(&mut seen.bytes);
        let mut write = || {
            encoder.bytes(&[LAYOUT, event.is_some().into()])?;
            encoder.bytes(&event.map_or(0, Seq::get).to_le_bytes())?;
            for Version { version, build } in [Some(version), before].into_iter().flatten() {
                for text in [version, build] {
                    encoder.byte(u8::try_from(text.len()).unwrap_or(u8::MAX))?;
                    encoder.bytes(text.as_bytes())?;
                }
            }
            Ok(())
        };
        let _it_fits: Result<(), ValueError> = write();
        seen.len = encoder.len();
        seen
    }

    /// The version that was seen last and whose event, if it had one, was recorded.
    pub(crate) fn last(&self, next: Seq) -> Option<Version<'_>> {
        let (head, mut rest) = self.bytes.get(..self.len)?.split_first_chunk::<10>()?;
        let [LAYOUT, has_event, seq @ ..] = head else { return None };
        let mut version = || {
            let version = take(&mut rest)?;
            Some(Version { version, build: take(&mut rest)? })
        };
        let (current, before) = (version()?, version());
        let was_recorded = *has_event == 0 || Seq::new(u64::from_le_bytes(*seq)) < next;
        if was_recorded { Some(current) } else { before }
    }

    /// Whether the event that belongs to it was not recorded.
    pub(crate) fn is_unrecorded(&self, next: Seq) -> bool {
        matches!(
            self.bytes.get(..self.len).and_then(<[u8]>::split_first_chunk::<10>),
            Some(([LAYOUT, 1, seq @ ..], _)) if Seq::new(u64::from_le_bytes(*seq)) >= next
        )
    }

    /// The version in it, whatever became of its event.
    pub(crate) fn current(&self) -> Option<Version<'_>> {
        self.last(Seq::LAST)
    }
}

/// Takes a text with its length off the front.
fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let (len, behind) = rest.split_first()?;
    let (text, behind) = behind.split_at_checked((*len).into())?;
    *rest = behind;
    core::str::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_counts_as_seen_once_its_event_is_recorded() {
        let old = Version { version: "1.0", build: "7" };
        let new = Version { version: "2.0", build: "" };

        let updated = Seen::new(new, Some(Seq::new(9)), Some(old));
        assert_eq!((updated.last(Seq::new(9)), updated.last(Seq::new(10))), (Some(old), Some(new)));
        assert!(updated.is_unrecorded(Seq::new(9)) && !updated.is_unrecorded(Seq::new(10)));
        assert!(!Seen::new(new, None, None).is_unrecorded(Seq::FIRST));
        let installed = Seen::new(new, Some(Seq::new(1)), None);
        assert_eq!((installed.last(Seq::new(1)), installed.last(Seq::new(2))), (None, Some(new)));
        assert_eq!(Seen::new(new, None, None).last(Seq::FIRST), Some(new));
        assert_eq!(Seen::NOTHING.last(Seq::LAST), None);
        for len in 0..updated.len {
            let cut = Seen { len, ..updated.clone() };
            assert!(cut.last(Seq::new(10)).is_none_or(|version| version == new), "{len}");
        }
    }
}
