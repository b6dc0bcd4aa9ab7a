//! When the events happened that were recorded before the device knew the time.

use crate::clock::UtcMillis;
use crate::record::Moment;

/// Boots whose start is remembered. Undated events of more boots than this get the bound of a later one.
const BOOTS_MAX: usize = 8;

/// Bytes of one remembered boot: number, start, how the start is known.
const BOOT_BYTES: usize = 13;

/// Bytes of [`Dating::as_bytes`]: always as many, so that a storage may replace them in place.
pub(crate) const DATING_BYTES: usize = BOOTS_MAX * BOOT_BYTES;

/// How the start of a boot is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// From the device's own wall clock.
    Clock,
    /// The boot never learnt the time; this is the start of the one that sent its events.
    LaterBoot,
    /// The device does not know the time; this is counted back from the `Date` of a server's reply.
    Server,
}

/// The starts of the boots that recorded events without a date. A start is written down before
/// anything is dated by it, so that a date that was sent once stays, whatever happens.
///
/// It is kept as it is written down: the number of a boot, which counts from 1, the wall clock at its start, and how
/// that is known. Boots that are not known are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Dating {
    boots: [[u8; BOOT_BYTES]; BOOTS_MAX],
}

impl Dating {
    /// The date of a moment, and whether it is only an estimate; `None` while it is not known.
    pub(crate) fn date(&self, moment: Moment) -> Option<(UtcMillis, bool)> {
        let (boot, ms) = match moment {
            Moment::Utc(ms) => return Some((UtcMillis::new(ms), false)),
            Moment::Boot { boot: 0, .. } => return None,
            Moment::Boot { boot, ms } => (boot, ms),
        };
        let is_its = |known: &&[u8; BOOT_BYTES]| known.first_chunk() == Some(&boot.to_le_bytes());
        let [_, _, _, _, started @ .., source] = self.boots.iter().find(is_its)?;
        let started = UtcMillis::new(i64::from_le_bytes(*started));
        Some(if *source == Source::Clock as u8 {
            (started.after_ms(ms), false)
        } else if *source == Source::Server as u8 {
            (started.after_ms(ms), true)
        } else {
            (started, true)
        })
    }

    /// Remembers the start of a boot; the oldest one is forgotten when there are too many.
    pub(crate) fn learn(&mut self, boot: u32, started: UtcMillis, source: Source) {
        self.boots.rotate_right(1);
        if let Some([b0, b1, b2, b3, at @ .., how]) = self.boots.first_mut() {
            [*b0, *b1, *b2, *b3] = boot.to_le_bytes();
            *at = started.get().to_le_bytes();
            *how = source as u8;
        }
    }

    /// What is to be written down.
    pub(crate) const fn as_bytes(&self) -> &[u8] {
        self.boots.as_flattened()
    }

    /// Reads what was written down; what is missing is as if it was not known.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        let mut dating = Self::default();
        let (boots, _) = bytes.as_chunks();
        dating.boots.iter_mut().zip(boots).for_each(|(known, boot)| *known = *boot);
        dating
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back(dating: &Dating) -> Dating {
        assert_eq!(dating.as_bytes().len(), DATING_BYTES);
        Dating::from_bytes(dating.as_bytes())
    }

    #[test]
    fn what_is_learnt_survives_as_bytes_and_the_oldest_is_forgotten() {
        let mut dating = Dating::default();
        for boot in 1..=9 {
            let source = [Source::Clock, Source::LaterBoot, Source::Server][boot as usize % 3];
            dating.learn(boot, UtcMillis::new(i64::from(boot) * 1000), source);
        }

        let read = there_and_back(&dating);

        assert_eq!(read, dating);
        assert_eq!(there_and_back(&Dating::default()), Dating::default());
        let date =
            |boot| read.date(Moment::Boot { boot, ms: 5 }).map(|(date, estimated)| (date.get(), estimated));
        assert_eq!((date(1), date(4), date(8)), (None, Some((4000, true)), Some((8005, true))));
        assert_eq!(date(9), Some((9005, false)));
        assert_eq!(Dating::default().date(Moment::Boot { boot: 0, ms: 5 }), None, "boots count from 1");
        let cut = &dating.as_bytes()[..2 * BOOT_BYTES + 12];
        let read = Dating::from_bytes(cut);
        assert_eq!(read.as_bytes()[..2 * BOOT_BYTES], cut[..2 * BOOT_BYTES]);
        assert!(read.as_bytes()[2 * BOOT_BYTES..].iter().all(|byte| *byte == 0));
    }
}
