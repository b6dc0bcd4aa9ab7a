//! When the events happened that were recorded before the device knew the time.

use crate::clock::{Instant, UtcMillis};
use crate::record::Moment;

/// Boots whose start is remembered. Undated events of more boots than this get the bound of a later one.
const BOOTS_MAX: usize = 8;

/// Bytes of one remembered boot: number, start, whether the start is only a bound.
const BOOT_BYTES: usize = 13;

/// Bytes of [`Dating::to_bytes`]: always as many, so that a storage may replace them in place.
pub(crate) const DATING_BYTES: usize = BOOTS_MAX * BOOT_BYTES;

/// The wall clock at the start of one boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct BootStart {
    boot: u32,
    started: UtcMillis,
    /// The boot never learnt the time; this is the start of the one that sent its events.
    estimated: bool,
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
                let date = if known.estimated { known.started } else { known.started.after(since) };
                Some((date, known.estimated))
            }
        }
    }

    /// Remembers the start of a boot; the oldest one is forgotten when there are too many.
    pub(crate) fn learn(&mut self, boot: u32, started: UtcMillis, estimated: bool) {
        self.boots.rotate_right(1);
        if let Some(first) = self.boots.first_mut() {
            *first = Some(BootStart { boot, started, estimated });
        }
    }

    /// Writes what is remembered; boots that are not known are zero.
    pub(crate) fn to_bytes(self) -> [u8; DATING_BYTES] {
        let mut buffer = [0; DATING_BYTES];
        let (slots, _) = buffer.as_chunks_mut::<BOOT_BYTES>();
        for (slot, known) in slots.iter_mut().zip(self.boots.iter().flatten()) {
            let boot = known.boot.to_le_bytes().into_iter();
            let bytes = boot.chain(known.started.get().to_le_bytes()).chain([u8::from(known.estimated)]);
            slot.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        }
        buffer
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote; anything else is as if nothing was known.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        let mut dating = Self::default();
        let (boots, _) = bytes.as_chunks::<BOOT_BYTES>();
        for (known, [b0, b1, b2, b3, started @ .., estimated]) in dating.boots.iter_mut().zip(boots) {
            let boot = u32::from_le_bytes([*b0, *b1, *b2, *b3]);
            let started = UtcMillis::new(i64::from_le_bytes(*started));
            // Boots count from 1.
            *known = (boot > 0).then_some(BootStart { boot, started, estimated: *estimated != 0 });
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
            dating.learn(boot, UtcMillis::new(i64::from(boot) * 1000), boot % 2 == 0);
        }

        let read = Dating::from_bytes(&dating.to_bytes());

        assert_eq!(read, dating);
        assert_eq!(Dating::from_bytes(&Dating::default().to_bytes()), Dating::default());
        let date =
            |boot| read.date(Moment::Boot { boot, ms: 5 }).map(|(date, estimated)| (date.get(), estimated));
        assert_eq!((date(1), date(2), date(9)), (None, Some((2000, true)), Some((9005, false))));
    }
}
