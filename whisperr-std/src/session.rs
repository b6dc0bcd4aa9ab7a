//! The application's session, for scripts: a command says that it came to the foreground, another one, in
//! another process, that it left it.

use core::time::Duration;
use std::fs;
use std::io;

use whisperr_core::{Now, Session, Slot, Storage, ready};

use crate::error::Error;
use crate::shared::QueueClient;
use crate::storage::StorageError;

/// The layout of the slot written by this version.
const LAYOUT: u8 = 1;

/// Layout, what is known, milliseconds.
const HEAD_BYTES: usize = 10;

const LAUNCHED: u8 = 1;
const OPENED: u8 = 2;
const FOREGROUND: u8 = 4;

/// Where the kernel tells one boot from another.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Bytes of a boot's name.
const BOOT_ID_BYTES: usize = 36;

/// The clock that all processes of a boot share, with the name of the boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Uptime {
    since_boot: Duration,
    boot: String,
}

impl Uptime {
    /// Finds out which boot this is.
    ///
    /// # Errors
    /// Where boots have no names.
    pub(crate) fn read() -> io::Result<Self> {
        let since_boot = since_boot().ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::Unsupported,
                "no session across processes: this system is not Linux",
            )
        })?;
        let boot = fs::read_to_string(BOOT_ID).map_err(|error| {
            let text = format!("no session across processes: the boot has no name in {BOOT_ID}: {error}");
            io::Error::new(error.kind(), text)
        })?;
        Ok(Self { since_boot, boot: boot.trim().to_owned() })
    }

    /// The same boot, now.
    pub(crate) fn now(&self) -> Self {
        Self { since_boot: since_boot().unwrap_or(self.since_boot), boot: self.boot.clone() }
    }
}

/// Time since the boot, also that in which the machine slept.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn since_boot() -> Option<Duration> {
    Duration::try_from(rustix::time::clock_gettime(rustix::time::ClockId::Boottime)).ok()
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
const fn since_boot() -> Option<Duration> {
    None
}

/// Goes on with the session of this boot, if there is one.
pub(crate) fn resume(client: &mut QueueClient, now: Now, uptime: &Uptime) -> Result<(), Error> {
    let mut bytes = [0; HEAD_BYTES + BOOT_ID_BYTES];
    let loaded = ready(client.storage().load(Slot::Platform, &mut bytes));
    let len = loaded.ok_or(Error::StorageFull)?.map_err(Error::from)?;
    if let Some(session) = decode(bytes.get(..len).unwrap_or_default(), uptime) {
        client.continue_session(now, session);
    }
    Ok(())
}

/// Writes the session down.
pub(crate) fn keep(
    client: &mut QueueClient,
    now: Now,
    uptime: &Uptime,
) -> Option<Result<(), whisperr_core::Fault<StorageError>>> {
    let bytes = encode(client.session(now), uptime);
    ready(client.storage().store(Slot::Platform, &bytes))
}

fn encode(session: Session, uptime: &Uptime) -> Vec<u8> {
    let Session { launched, opened, foreground } = session;
    let flags = [(launched, LAUNCHED), (opened, OPENED), (foreground.is_some(), FOREGROUND)];
    let known = flags.iter().filter(|(is, _)| *is).fold(0, |all, (_, flag)| all | flag);
    let since = uptime.since_boot.saturating_sub(foreground.unwrap_or_default());
    let since = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    let mut bytes = vec![LAYOUT, known];
    bytes.extend(since.to_le_bytes());
    bytes.extend(uptime.boot.bytes().take(BOOT_ID_BYTES));
    bytes
}

/// The session in the slot, if this boot wrote it.
fn decode(bytes: &[u8], uptime: &Uptime) -> Option<Session> {
    let ([layout, known, since @ ..], boot) = bytes.split_first_chunk::<HEAD_BYTES>()?;
    if *layout != LAYOUT || boot != uptime.boot.as_bytes() {
        return None;
    }
    let since = Duration::from_millis(u64::from_le_bytes(*since));
    let lasted = uptime.since_boot.saturating_sub(since);
    let has = |flag: u8| known & flag != 0;
    Some(Session {
        launched: has(LAUNCHED),
        opened: has(OPENED),
        foreground: has(FOREGROUND).then_some(lasted),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uptime(boot: &str, ms: u64) -> Uptime {
        Uptime { since_boot: Duration::from_millis(ms), boot: boot.to_owned() }
    }

    #[test]
    fn a_session_goes_on_in_the_same_boot_and_in_no_other() {
        let session = Session { launched: true, opened: true, foreground: Some(Duration::from_millis(400)) };

        let bytes = encode(session, &uptime("a", 1000));

        let later = Session { foreground: Some(Duration::from_millis(2400)), ..session };
        assert_eq!(decode(&bytes, &uptime("a", 3000)), Some(later));
        assert_eq!(decode(&bytes, &uptime("b", 3000)), None);
        let ended = Session { foreground: None, ..session };
        assert_eq!(decode(&encode(ended, &uptime("a", 1000)), &uptime("a", 3000)), Some(ended));
        assert_eq!(
            decode(&encode(Session::default(), &uptime("a", 1)), &uptime("a", 3)),
            Some(Session::default())
        );
    }

    #[test]
    fn what_was_not_written_by_this_version_is_no_session() {
        let bytes = encode(Session::default(), &uptime("a", 1));

        for len in 0..bytes.len() {
            assert_eq!(decode(&bytes[..len], &uptime("a", 1)), None, "{len}");
        }
        let mut newer = bytes;
        newer[0] = 2;
        assert_eq!(decode(&newer, &uptime("a", 1)), None);
    }
}
