//! When the events happened that were recorded before the device knew the time.

use crate::clock::{Instant, UtcMillis};
use crate::record::Moment;

/// Boots whose start is remembered. Undated events of more boots than this get the bound of a later one.
const BOOTS_MAX: usize = 8;

/// Bytes of one remembered boot: number, start, how the start is known.
const BOOT_BYTES: usize = 13;

/// Bytes of [`Dating::to_bytes`]: always as many, so that a storage may replace them in place.
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

/// The wall clock at the start of one boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct BootStart {
    boot: u32,
    started: UtcMillis,
    source: Source,
}

/// The starts of the boots that recorded events without a date. A start is written down before
/// anything is dated by it, so that a date that was sent once stays, whatever happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Dating {
    boots: [Option<BootStart>; BOOTS_MAX],
}

impl Dating {
    /// The date of a moment, and whether it is only an estimate; `None` while it is not known.
    pub(crate) fn date(&self, moment: Moment) -> Option<(UtcMillis, bool)> {
        match moment {
            Moment::Utc(ms) => Some((UtcMillis::new(ms), false)),
            Moment::Boot { boot, ms } => {
                let known = self.boots.iter().flatten().find(|known| known.boot == boot)?;
                let since = Instant::from_millis(ms).since(Instant::START);
                Some(match known.source {
                    Source::Clock => (known.started.after(since), false),
                    Source::LaterBoot => (known.started, true),
                    Source::Server => (known.started.after(since), true),
                })
            }
        }
    }

    /// Remembers the start of a boot; the oldest one is forgotten when there are too many.
    pub(crate) fn learn(&mut self, boot: u32, started: UtcMillis, source: Source) {
        self.boots.rotate_right(1);
        if let Some(first) = self.boots.first_mut() {
            *first = Some(BootStart { boot, started, source });
        }
    }

    /// Writes what is remembered; boots that are not known are zero.
    pub(crate) fn to_bytes(self) -> [u8; DATING_BYTES] {
        let mut buffer = [0; DATING_BYTES];
        let (slots, _) = buffer.as_chunks_mut::<BOOT_BYTES>();
        for (slot, known) in slots.iter_mut().zip(self.boots.iter().flatten()) {
            let boot = known.boot.to_le_bytes().into_iter();
            let bytes = boot.chain(known.started.get().to_le_bytes()).chain([known.source as u8]);
            slot.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        }
        buffer
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote; anything else is as if nothing was known.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        let mut dating = Self::default();
        let (boots, _) = bytes.as_chunks::<BOOT_BYTES>();
        for (known, [b0, b1, b2, b3, started @ .., source]) in dating.boots.iter_mut().zip(boots) {
            let boot = u32::from_le_bytes([*b0, *b1, *b2, *b3]);
            let started = UtcMillis::new(i64::from_le_bytes(*started));
            // Boots count from 1.
            let source = match source {
                0 => Source::Clock,
                2 => Source::Server,
                _ => Source::LaterBoot,
            };
            *known = (boot > 0).then_some(BootStart { boot, started, source });
        }
        dating
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_learnt_survives_as_bytes_and_the_oldest_is_forgotten() {
        let mut dating = Dating::default();
        for boot in 1..=9 {
            let source = [Source::Clock, Source::LaterBoot, Source::Server][boot as usize % 3];
            dating.learn(boot, UtcMillis::new(i64::from(boot) * 1000), source);
        }

        let read = Dating::from_bytes(&dating.to_bytes());

        assert_eq!(read, dating);
        assert_eq!(Dating::from_bytes(&Dating::default().to_bytes()), Dating::default());
        let date =
            |boot| read.date(Moment::Boot { boot, ms: 5 }).map(|(date, estimated)| (date.get(), estimated));
        assert_eq!((date(1), date(4), date(8)), (None, Some((4000, true)), Some((8005, true))));
        assert_eq!(date(9), Some((9005, false)));
    }
}
