//! How many operations were ever accepted, and by which exit they left: over all runs.

use serde::{Deserialize, Serialize};

use crate::counters::Counters;
use crate::kept::{Kept, Trouble};
use crate::storage::{RemoveWith, Seq, SeqRange, Slot, Storage};

/// The layout of the slot written by this version.
const LAYOUT: u8 = 2;

/// Most bytes of the slot: the layout and at most thirteen numbers of ten bytes.
const SLOT_BYTES: usize = 160;

/// After this many operations that came or made room, the ledger is written down without another reason.
pub(crate) const NOTED_EVERY: u64 = 64;

/// What became of every operation that was ever accepted on this storage. It always adds up: `accepted` is the
/// sum of the exits and of what is owed.
///
/// It is written down whenever operations leave the queue by an exit that a reply or a loss decided. After a
/// crash, what was accepted or evicted since then is found out from the numbers of the operations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Ledger {
    /// Accepted.
    pub accepted: u64,
    /// Acknowledged by a 2xx; among them the `rejected` ones.
    pub acknowledged: u64,
    /// Acknowledged, but refused by the server's shape check.
    pub rejected: u64,
    /// Refused for good by the server.
    pub dropped: u64,
    /// Pushed out as the oldest events by the bound of the queue.
    pub evicted: u64,
    /// Older than the server takes.
    pub expired: u64,
    /// Deleted on the application's word.
    pub deleted: u64,
    /// Stored, but unreadable later.
    pub damaged: u64,
    /// In the queue.
    pub owed: u64,
}

impl Ledger {
    /// The totals at the start of a run, and what happened in it.
    pub(crate) fn with(base: &Totals, run: &Counters, owed: u32) -> Self {
        let sum = |before: u64, since: u64| before.saturating_add(since);
        Self {
            accepted: sum(base.accepted, run.accepted),
            acknowledged: sum(base.acknowledged, run.acknowledged),
            rejected: sum(base.rejected, run.rejected),
            dropped: sum(base.dropped, run.dropped),
            evicted: sum(base.evicted, run.evicted),
            expired: sum(base.expired, run.expired),
            deleted: sum(base.deleted, run.deleted),
            damaged: sum(base.damaged, run.damaged),
            owed: owed.into(),
        }
    }
}

/// The exits of the ledger.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Totals {
    /// Not written down: it is the sum of the exits and of what is owed.
    #[serde(skip)]
    pub(crate) accepted: u64,
    pub(crate) acknowledged: u64,
    pub(crate) rejected: u64,
    pub(crate) dropped: u64,
    pub(crate) evicted: u64,
    pub(crate) expired: u64,
    pub(crate) deleted: u64,
    pub(crate) damaged: u64,
}

/// By which exit operations are about to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Leaving {
    Acknowledged { rejected: u32 },
    Dropped,
    Expired,
    Damaged,
    Deleted,
}

/// What the slot holds: the totals as they are once the operations in `leaving` have left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Page {
    pub(crate) totals: Totals,
    /// The number the next operation would have got.
    pub(crate) next: u64,
    pub(crate) owed: u32,
    /// The first and the last of them, and how; nothing where they left in the step that wrote this.
    pub(crate) leaving: Option<(u64, u64, Leaving)>,
}

impl Page {
    /// What the slot holds; a layout of another version is as if nothing was written down.
    pub(crate) async fn load<S: Storage>(storage: &mut Kept<S>) -> Result<Option<Self>, Trouble> {
        let mut bytes = [0; SLOT_BYTES];
        let len = storage.load(Slot::Ledger, &mut bytes).await?;
        Ok(match bytes.get(..len).and_then(<[u8]>::split_first) {
            Some((&LAYOUT, page)) => postcard::from_bytes(page).ok().map(Self::with_accepted),
            _ => None,
        })
    }

    fn with_accepted(mut self) -> Self {
        let Totals { accepted, acknowledged, rejected: _, dropped, evicted, expired, deleted, damaged } =
            &mut self.totals;
        let exits = [*acknowledged, *dropped, *evicted, *expired, *deleted, *damaged];
        *accepted = exits.into_iter().fold(self.owed.into(), u64::saturating_add);
        self
    }

    /// The bytes of the slot, and how many there are.
    fn encode(&self) -> ([u8; SLOT_BYTES], usize) {
        let mut bytes = [LAYOUT; SLOT_BYTES];
        let len = match bytes.get_mut(1..).map(|free| postcard::to_slice(self, free)) {
            Some(Ok(page)) => page.len().saturating_add(1),
            // It always fits.
            _ => 0,
        };
        (bytes, len)
    }

    pub(crate) async fn store<S: Storage>(&self, storage: &mut Kept<S>) -> Result<(), Trouble> {
        let (bytes, len) = self.encode();
        storage.store(Slot::Ledger, bytes.get(..len).unwrap_or_default()).await
    }

    /// Writes it, and removes the operations that are about to leave in the same step; `false` where the storage
    /// takes two.
    pub(crate) async fn store_removing<S: Storage>(
        &self,
        storage: &mut Kept<S>,
        range: SeqRange,
    ) -> Result<bool, Trouble> {
        let (bytes, len) = Self { leaving: None, ..*self }.encode();
        let value = bytes.get(..len).unwrap_or_default();
        storage.remove_with(range, RemoveWith::Slot { slot: Slot::Ledger, value }).await
    }

    /// The operations that were about to leave.
    pub(crate) fn leaving_range(&self) -> Option<SeqRange> {
        self.leaving.map(|(first, last, _)| SeqRange { first: Seq::new(first), last: Seq::new(last) })
    }

    /// The totals at a start that finds `owed` operations, the next number `next`, `damaged` operations lost, and `stayed`
    /// of those that were about to leave still there.
    pub(crate) fn settle(&self, owed: u32, next: Seq, damaged: u32, stayed: u32) -> Totals {
        let mut totals = self.totals;
        let mut undone = u64::from(stayed);
        if let Some((_, _, how)) = self.leaving {
            let exit = match how {
                Leaving::Acknowledged { .. } => &mut totals.acknowledged,
                Leaving::Dropped => &mut totals.dropped,
                Leaving::Expired => &mut totals.expired,
                Leaving::Damaged => &mut totals.damaged,
                Leaving::Deleted => &mut totals.deleted,
            };
            // More than those were found: a cut has brought others back, which left before.
            undone = undone.min(*exit);
            *exit = exit.saturating_sub(undone);
            if let Leaving::Acknowledged { rejected } = how {
                totals.rejected = totals.rejected.saturating_sub(u64::from(rejected.min(stayed)));
            }
        }
        let before = u64::from(self.owed).saturating_add(undone);
        let found = u64::from(owed).saturating_add(damaged.into());
        let numbered = next.get().saturating_sub(self.next);
        // A storage steps over numbers that it cannot read; those are no operations.
        let came =
            if numbered > NOTED_EVERY.saturating_mul(2) { found.saturating_sub(before) } else { numbered };
        let expected = before.saturating_add(came);
        totals.accepted = totals.accepted.saturating_add(came);
        totals.damaged = totals.damaged.saturating_add(damaged.into());
        // Every other exit is written down beforehand.
        totals.evicted = totals.evicted.saturating_add(expected.saturating_sub(found));
        // A cut may have undone an older removal: what is back is sent again.
        let mut back = found.saturating_sub(expected);
        for exit in [&mut totals.acknowledged, &mut totals.dropped, &mut totals.expired, &mut totals.evicted]
        {
            let here = back.min(*exit);
            *exit = exit.saturating_sub(here);
            back = back.saturating_sub(here);
        }
        totals.accepted = totals.accepted.saturating_add(back);
        totals
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryStorage;
    use crate::ready;

    fn adds_up(totals: &Totals, owed: u32) -> bool {
        let left = [totals.acknowledged, totals.dropped, totals.evicted, totals.expired, totals.deleted];
        left.iter().chain(&[totals.damaged, owed.into()]).sum::<u64>() == totals.accepted
    }

    /// The published format: a change here needs a new layout byte and a reader for both.
    #[test]
    fn layout_2_stays_as_it_is() {
        let mut storage = Kept::new(MemoryStorage::new([0; 512]));
        let totals =
            Totals { accepted: 300, acknowledged: 2, rejected: 1, damaged: 127, ..Totals::default() };
        let page = Page { totals, next: 301, owed: 171, leaving: None };
        for (leaving, expected) in [
            (None, &b"\0"[..]),
            (Some((5, 900, Leaving::Acknowledged { rejected: 200 })), b"\x01\x05\x84\x07\x00\xc8\x01"),
            (Some((5, 5, Leaving::Dropped)), b"\x01\x05\x05\x01"),
            (Some((5, 5, Leaving::Expired)), b"\x01\x05\x05\x02"),
            (Some((5, 5, Leaving::Damaged)), b"\x01\x05\x05\x03"),
            (Some((5, 5, Leaving::Deleted)), b"\x01\x05\x05\x04"),
        ] {
            let page = Page { leaving, ..page };
            ready(page.store(&mut storage)).unwrap().unwrap();
            let mut bytes = [0; SLOT_BYTES];
            let len = ready(storage.load(Slot::Ledger, &mut bytes)).unwrap().unwrap();

            let head = b"\x02\x02\x01\0\0\0\0\x7f\xad\x02\xab\x01";
            assert_eq!(bytes[..len].split_at(head.len()), (&head[..], expected), "{leaving:?}");
            assert_eq!(ready(Page::load(&mut storage)), Some(Ok(Some(page))));
            for cut in 0..len {
                ready(storage.store(Slot::Ledger, &bytes[..cut])).unwrap().unwrap();
                assert_eq!(ready(Page::load(&mut storage)), Some(Ok(None)), "{cut} of {len}");
            }
        }
        let most = Some((u64::MAX, u64::MAX, Leaving::Acknowledged { rejected: u32::MAX }));
        let most = Page {
            totals: Totals {
                accepted: u64::MAX,
                acknowledged: u64::MAX,
                rejected: u64::MAX,
                dropped: u64::MAX,
                evicted: u64::MAX,
                expired: u64::MAX,
                deleted: u64::MAX,
                damaged: u64::MAX,
            },
            next: u64::MAX,
            owed: u32::MAX,
            leaving: most,
        };
        ready(most.store(&mut storage)).unwrap().unwrap();
        assert_eq!(ready(Page::load(&mut storage)), Some(Ok(Some(most))));
    }

    #[test]
    fn whatever_a_start_finds_the_ledger_adds_up() {
        let totals = Totals {
            accepted: 30,
            acknowledged: 10,
            dropped: 2,
            evicted: 3,
            expired: 1,
            ..Totals::default()
        };
        for leaving in
            [None, Some((1, 4, Leaving::Acknowledged { rejected: 1 })), Some((1, 4, Leaving::Dropped))]
        {
            let page = Page { totals, next: 31, owed: 14, leaving };
            for owed in 0..40 {
                for numbered in [0, 1, 5, 60, 5000] {
                    for damaged in 0..4 {
                        for stayed in 0..=(if leaving.is_some() { owed } else { 0 }) {
                            let settled = page.settle(owed, Seq::new(31 + numbered), damaged, stayed);
                            // What was damaged is in its own sum, not among what is owed.
                            assert!(
                                adds_up(&settled, owed),
                                "{owed} {numbered} {damaged} {stayed} {settled:?}"
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn what_came_and_made_room_since_the_last_page_is_found_out() {
        let totals = Totals { accepted: 8, ..Totals::default() };
        let page = Page { totals, next: 9, owed: 8, leaving: None };

        let settled = page.settle(8, Seq::new(14), 0, 0);

        assert_eq!((settled.accepted, settled.evicted), (13, 5));
    }
}
