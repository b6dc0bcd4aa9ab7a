//! Keeping the ledger.

use super::Client;
use crate::kept::{Kept, Trouble};
use crate::ledger::{Leaving, Ledger, NOTED_EVERY, Page, Totals};
use crate::queue::Change;
use crate::storage::{Seq, SeqRange, Storage, Stored};

/// The ledger of a run.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Books {
    /// The totals at the start.
    pub(super) base: Totals,
    /// Operations that came or made room since it was written down.
    unnoted: u64,
}

impl Books {
    /// Finds out what happened since the ledger was written down last.
    pub(super) async fn open<S: Storage>(
        storage: &mut Kept<S>,
        owed: u32,
        damaged: u32,
    ) -> Result<Self, Trouble> {
        let next = storage.next_seq();
        let base = match Page::load(storage).await? {
            Some(page) => {
                let mut stayed = 0_u32;
                if let Some(range) = page.leaving_range() {
                    let mut from = range.first;
                    while let Some(Stored { seq, .. }) = storage.read(from, &mut []).await? {
                        if seq > range.last {
                            break;
                        }
                        stayed = stayed.saturating_add(1);
                        from = seq.next();
                    }
                }
                page.settle(owed, next, damaged, stayed)
            }
            // A storage from before there was a ledger: what is there was accepted.
            None => {
                let accepted = u64::from(owed).saturating_add(damaged.into());
                Totals { accepted, damaged: damaged.into(), ..Totals::default() }
            }
        };
        Ok(Self { base, unnoted: NOTED_EVERY })
    }
}

impl<S: Storage, B: AsMut<[u8]>> Client<S, B> {
    /// What became of every operation that was ever accepted on this storage.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        // What was damaged before this start is in the totals already.
        let mut run = self.counters;
        run.damaged = run.damaged.saturating_sub(self.damaged_at_start.into());
        Ledger::with(&self.books.base, &run, self.queue.owed())
    }

    /// Lets operations leave, and writes that down: in one step where the storage can, and otherwise beforehand.
    pub(super) async fn leave(
        &mut self,
        range: SeqRange,
        count: u32,
        how: Leaving,
        change: Change,
    ) -> Result<(), Trouble> {
        let page = self.page_without(range, count, how);
        if self.queue.forget(&mut self.storage, change, range, &page).await? {
            self.books.unnoted = 0;
        }
        Ok(())
    }

    /// Writes down that operations are about to leave. Without a medium that takes it, they leave all the same.
    pub(super) async fn note_leaving(&mut self, range: SeqRange, count: u32, how: Leaving) {
        let page = self.page_without(range, count, how);
        self.write_page(&page).await;
    }

    /// The ledger once operations have left.
    fn page_without(&mut self, range: SeqRange, count: u32, how: Leaving) -> Page {
        // What left before is not among it.
        self.note_changes();
        let mut page = self.page();
        let exit = match how {
            Leaving::Acknowledged { .. } => &mut page.totals.acknowledged,
            Leaving::Dropped => &mut page.totals.dropped,
            Leaving::Expired => &mut page.totals.expired,
            Leaving::Damaged => &mut page.totals.damaged,
            Leaving::Deleted => &mut page.totals.deleted,
        };
        *exit = exit.saturating_add(count.into());
        if let Leaving::Acknowledged { rejected } = how {
            page.totals.rejected = page.totals.rejected.saturating_add(rejected.into());
        }
        page.owed = page.owed.saturating_sub(count);
        page.leaving = Some((range.first.get(), range.last.get(), how));
        page
    }

    /// Writes the ledger down when much came or made room since it was.
    pub(super) async fn note_ledger(&mut self, changes: u64) {
        self.books.unnoted = self.books.unnoted.saturating_add(changes);
        if self.books.unnoted >= NOTED_EVERY {
            let page = self.page();
            self.write_page(&page).await;
        }
    }

    fn page(&self) -> Page {
        let ledger = self.ledger();
        let totals = Totals {
            accepted: ledger.accepted,
            acknowledged: ledger.acknowledged,
            rejected: ledger.rejected,
            dropped: ledger.dropped,
            evicted: ledger.evicted,
            expired: ledger.expired,
            deleted: ledger.deleted,
            damaged: ledger.damaged,
        };
        let next = self.storage.next_seq().max(Seq::FIRST).get();
        Page { totals, next, owed: self.queue.owed(), leaving: None }
    }

    async fn write_page(&mut self, page: &Page) {
        if page.store(&mut self.storage).await.is_ok() {
            self.books.unnoted = 0;
        }
    }
}
