//! What is still owed: the bound, and who makes room.

use crate::config::{Config, Overflow};
use crate::kept::{Kept, Trouble};
use crate::ledger::Page;
#[cfg(whisperr_planted)]
use crate::planted::{self, Bug};
use crate::record::{Kind, peek_kind};
use crate::storage::{Fault, RemoveWith, Seq, SeqRange, Storage, Stored};

/// Bytes beyond the record that a storage may need for it: heads, and what it cannot use.
const ROOM_SLACK: u64 = 256;

/// Bytes of a record that tell its kind.
const PEEK: usize = 2;

/// The bounded order of owed operations. The records themselves stay in the storage.
#[derive(Debug, Clone)]
pub(crate) struct Queue {
    operations_max: u32,
    bytes_max: u64,
    overflow: Overflow,
    owed: u32,
    bytes: u64,
    /// No operation below this is owed.
    head: Seq,
    /// No operation from this on was accepted yet.
    end: Seq,
    /// No event below this is owed: where the search for the oldest one starts.
    oldest_event: Seq,
    /// Operations of the settled batch that have left.
    settled: u32,
    /// The sums must be taken anew: the storage lost records by itself, or a call was dropped half way.
    stale: bool,
    /// The call of the storage under way, and how many operations it removes; still there at the next call when
    /// its future was dropped, or nobody knows what it did.
    under_way: Option<(Change, SeqRange, u32)>,
    changes: Changes,
}

/// Why the storage is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Accept,
    Evict,
    Expire,
    SetAside,
    Settle,
    Delete,
}

/// How many operations came and went since this was taken last, also by calls that were dropped
/// half way: what left the queue is surfaced, whoever stopped waiting for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) accepted: u32,
    pub(crate) evicted: u32,
    pub(crate) expired: u32,
    pub(crate) damaged: u32,
    pub(crate) deleted: u32,
}

impl Changes {
    const NONE: Self = Self { accepted: 0, evicted: 0, expired: 0, damaged: 0, deleted: 0 };
}

/// An operation cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoRoom {
    /// Nothing may be evicted: what is stored are identifies, operations in flight, or the settings say so.
    NothingToEvict,
    Storage(Trouble),
}

impl From<Trouble> for NoRoom {
    fn from(fault: Trouble) -> Self {
        Self::Storage(fault)
    }
}

impl Queue {
    /// One whose sums are not taken yet.
    pub(crate) const fn new(config: &Config) -> Self {
        Self {
            operations_max: config.max_queue_size,
            bytes_max: config.max_queue_bytes,
            overflow: config.overflow,
            owed: 0,
            bytes: 0,
            head: Seq::FIRST,
            end: Seq::FIRST,
            oldest_event: Seq::FIRST,
            settled: 0,
            stale: true,
            under_way: None,
            changes: Changes::NONE,
        }
    }

    /// Takes the sums anew when they are in doubt, and finds out what a dropped call has done.
    pub(crate) async fn refresh<S: Storage>(&mut self, storage: &mut Kept<S>) -> Result<(), Trouble> {
        if !self.stale && self.under_way.is_none() {
            return Ok(());
        }
        let (mut owed, mut bytes, mut from, mut head) = (0_u32, 0_u64, Seq::FIRST, None);
        let mut left = 0_u32;
        while let Some(Stored { seq, len }) = storage.read(from, &mut []).await? {
            left =
                left.saturating_add(self.under_way.is_some_and(|(_, range, _)| range.contains(seq)).into());
            owed = owed.saturating_add(1);
            bytes = bytes.saturating_add(len as u64);
            head = head.or(Some(seq));
            from = seq.next();
        }
        self.owed = owed;
        self.bytes = bytes;
        self.head = head.unwrap_or(from);
        self.oldest_event = self.head;
        self.end = self.end.max(from);
        self.stale = false;
        #[cfg(whisperr_planted)]
        if planted::is(Bug::ForgetDroppedCall) {
            self.under_way = None;
        }
        match self.under_way.take() {
            // What it evicts goes in the same step as what it brings comes.
            Some((Change::Accept, _, evicted)) => {
                self.count(Change::Accept, left);
                self.count(Change::Evict, evicted.min(left));
            }
            Some((change, _, before)) => self.count(change, before.saturating_sub(left)),
            None => {}
        }
        Ok(())
    }

    fn count(&mut self, change: Change, operations: u32) {
        #[cfg(whisperr_planted)]
        if planted::is(Bug::SilentEviction) && matches!(change, Change::Evict) {
            return;
        }
        let counter = match change {
            Change::Accept => &mut self.changes.accepted,
            Change::Evict => &mut self.changes.evicted,
            Change::Expire => &mut self.changes.expired,
            Change::SetAside => &mut self.changes.damaged,
            Change::Settle => &mut self.settled,
            Change::Delete => &mut self.changes.deleted,
        };
        *counter = counter.saturating_add(operations);
    }

    /// What came and went since this was asked last.
    pub(crate) fn take_changes(&mut self) -> Changes {
        core::mem::replace(&mut self.changes, Changes::NONE)
    }

    /// How many operations of the settled batch have left, over all tries.
    pub(crate) fn take_settled(&mut self) -> u32 {
        core::mem::take(&mut self.settled)
    }

    pub(crate) const fn owed(&self) -> u32 {
        self.owed
    }

    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) const fn head(&self) -> Seq {
        self.head
    }

    /// No operation from this on was accepted yet.
    pub(crate) const fn end(&self) -> Seq {
        self.end
    }

    /// Whether an operation of this length could be taken without evicting one.
    pub(crate) const fn has_room(&self, len: usize) -> bool {
        self.owed == 0
            || (self.owed < self.operations_max && self.bytes.saturating_add(len as u64) <= self.bytes_max)
    }

    /// Appends a record, evicting the oldest events outside `pinned` as far as the bounds need it.
    pub(crate) async fn append<S: Storage>(
        &mut self,
        storage: &mut Kept<S>,
        seq: Seq,
        record: &[u8],
        pinned: Option<SeqRange>,
    ) -> Result<(), NoRoom> {
        let len = record.len() as u64;
        // What was owed when the storage had no room for the first time.
        let mut owed_bytes = None;
        loop {
            let over_bound =
                self.owed >= self.operations_max || self.bytes.saturating_add(len) > self.bytes_max;
            if !over_bound {
                self.under_way = Some((Change::Accept, SeqRange::one(seq), 0));
                let appended = storage.append(seq, record).await;
                self.under_way = None;
                match appended {
                    Ok(()) => break,
                    Err(Fault::Full) => {}
                    Err(fault) => return Err(fault.into()),
                }
                let made_room = owed_bytes.get_or_insert(self.bytes).saturating_sub(self.bytes);
                // When twice the room was not enough, more evictions will not be either.
                if made_room > len.saturating_mul(2).saturating_add(ROOM_SLACK) {
                    return Err(Fault::Full.into());
                }
            }
            let oldest = match self.find_evictable(storage, pinned).await {
                // The bound of the queue is not what refuses.
                Err(NoRoom::NothingToEvict) if !over_bound => return Err(Fault::Full.into()),
                found => found?,
            };
            if self.evict(storage, oldest, seq, record).await? {
                break;
            }
        }
        self.owed = self.owed.saturating_add(1);
        self.bytes = self.bytes.saturating_add(len);
        self.end = seq.next();
        self.count(Change::Accept, 1);
        Ok(())
    }

    /// Evicts an event, and appends a record in its place where that is enough and the storage does it in one step;
    /// returns whether.
    async fn evict<S: Storage>(
        &mut self,
        storage: &mut Kept<S>,
        oldest: Stored,
        seq: Seq,
        record: &[u8],
    ) -> Result<bool, Trouble> {
        let (range, gone) = (SeqRange::one(oldest.seq), oldest.len as u64);
        let bytes = self.bytes.saturating_sub(gone).saturating_add(record.len() as u64);
        let mut replaced = false;
        if self.owed <= self.operations_max && bytes <= self.bytes_max {
            self.under_way = Some((Change::Accept, SeqRange::one(seq), 1));
            replaced = match storage.remove_with(range, RemoveWith::Record { seq, record }).await {
                Ok(replaced) => replaced,
                Err(Fault::Full) => false,
                // Nobody knows: the sums are taken anew.
                Err(fault) => return Err(fault),
            };
        }
        if !replaced {
            self.under_way = Some((Change::Evict, range, 1));
            let removed = storage.remove(range).await;
            self.under_way = None;
            removed?;
        }
        self.under_way = None;
        self.gone(Change::Evict, range, 1, gone);
        Ok(replaced)
    }

    /// The oldest event that is not in flight. An identify is never evicted.
    async fn find_evictable<S: Storage>(
        &mut self,
        storage: &mut Kept<S>,
        pinned: Option<SeqRange>,
    ) -> Result<Stored, NoRoom> {
        if self.overflow == Overflow::Refuse {
            return Err(NoRoom::NothingToEvict);
        }
        #[cfg(whisperr_planted)]
        let pinned = pinned.filter(|_| !planted::is(Bug::EvictInFlight));
        let mut from = self.oldest_event;
        let mut passed_pinned = false;
        let mut peek = [0; PEEK];
        let mut found = Err(NoRoom::NothingToEvict);
        while let Some(stored) = storage.read(from, &mut peek).await? {
            let Stored { seq, len } = stored;
            let known = peek.get(..len.min(PEEK)).unwrap_or_default();
            if let Some(range) = pinned.filter(|range| range.contains(seq)) {
                passed_pinned = true;
                from = range.last.next();
                continue;
            }
            // What cannot be decoded is left for the runner, which sets it aside and says so.
            let evictable = peek_kind(known) == Ok(Kind::Track);
            #[cfg(whisperr_planted)]
            let evictable = evictable || planted::is(Bug::EvictIdentify);
            if evictable {
                // It is not passed over before it is gone.
                from = seq;
                #[cfg(whisperr_planted)]
                if planted::is(Bug::PassFailedEviction) {
                    from = seq.next();
                }
                found = Ok(stored);
                break;
            }
            from = seq.next();
        }
        if !passed_pinned {
            self.oldest_event = from;
        }
        found
    }

    /// Removes what is stored in a range. The page of the ledger is written in the same step, where the storage can,
    /// and otherwise beforehand; without a medium that takes it, the operations leave all the same. Returns
    /// whether it is written.
    pub(crate) async fn forget<S: Storage>(
        &mut self,
        storage: &mut Kept<S>,
        change: Change,
        range: SeqRange,
        page: &Page,
    ) -> Result<bool, Trouble> {
        #[cfg(whisperr_planted)]
        let range = if planted::is(Bug::RemoveOneMore) && change == Change::Settle {
            SeqRange { last: range.last.next(), ..range }
        } else {
            range
        };
        let (mut operations, mut bytes, mut from) = (0_u32, 0_u64, range.first.max(self.head));
        while let Some(Stored { seq, len }) = storage.read(from, &mut []).await? {
            if seq > range.last {
                break;
            }
            operations = operations.saturating_add(1);
            bytes = bytes.saturating_add(len as u64);
            from = seq.next();
        }
        self.under_way = Some((change, range, operations));
        let at_once = matches!(page.store_removing(storage, range).await, Ok(true));
        let noted = at_once || page.store(storage).await.is_ok();
        // What a medium that failed has removed is not there any more, which is no error.
        let removed = if at_once { Ok(()) } else { storage.remove(range).await };
        self.under_way = None;
        removed?;
        self.gone(change, range, operations, bytes);
        Ok(noted)
    }

    /// Deletes every record for good.
    pub(crate) async fn wipe<S: Storage>(&mut self, storage: &mut Kept<S>) -> Result<(), Trouble> {
        // What cannot be read can be deleted.
        let _summed = self.refresh(storage).await;
        let all = SeqRange { first: Seq::FIRST, last: Seq::LAST };
        self.under_way = Some((Change::Delete, all, self.owed));
        if let Err(trouble) = storage.wipe().await {
            // Some or all may be gone. Where that cannot be found out now, the next sums do.
            let _summed = self.refresh(storage).await;
            return Err(trouble);
        }
        self.under_way = None;
        self.count(Change::Delete, self.owed);
        self.owed = 0;
        self.bytes = 0;
        self.end = self.end.max(storage.next_seq());
        self.head = self.end;
        self.oldest_event = self.end;
        self.stale = false;
        Ok(())
    }

    /// Sets one operation aside.
    pub(crate) async fn set_aside<S: Storage>(
        &mut self,
        storage: &mut Kept<S>,
        Stored { seq, len }: Stored,
    ) -> Result<(), Trouble> {
        self.under_way = Some((Change::SetAside, SeqRange::one(seq), 1));
        let moved = storage.set_aside(seq).await;
        self.under_way = None;
        moved?;
        self.gone(Change::SetAside, SeqRange::one(seq), 1, len as u64);
        Ok(())
    }

    fn gone(&mut self, change: Change, range: SeqRange, operations: u32, bytes: u64) {
        self.count(change, operations);
        self.owed = self.owed.saturating_sub(operations);
        self.bytes = self.bytes.saturating_sub(bytes);
        if range.first <= self.head {
            self.head = self.head.max(range.last.next());
        }
    }

    /// The storage lost records by itself: the sums are taken anew at the next call.
    pub(crate) const fn mark_stale(&mut self) {
        self.stale = true;
    }
}
