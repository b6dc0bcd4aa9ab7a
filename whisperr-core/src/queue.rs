//! What is still owed: the bound, and who makes room.

use crate::config::{Config, Overflow};
use crate::record::{Kind, peek_kind};
use crate::storage::{Fault, Seq, SeqRange, Storage, Stored};

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
    /// A call was dropped half way; the sums must be taken anew.
    stale: bool,
}

/// An operation cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoRoom<E> {
    /// Nothing may be evicted: what is stored are identifies, operations in flight, or the settings say so.
    NothingToEvict,
    Storage(Fault<E>),
}

impl<E> From<Fault<E>> for NoRoom<E> {
    fn from(fault: Fault<E>) -> Self {
        Self::Storage(fault)
    }
}

/// What a removal took out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Removed {
    pub(crate) operations: u32,
}

impl Queue {
    pub(crate) async fn open<S: Storage>(storage: &mut S, config: &Config) -> Result<Self, Fault<S::Error>> {
        let mut queue = Self {
            operations_max: config.max_queue_size,
            bytes_max: config.max_queue_bytes,
            overflow: config.overflow,
            owed: 0,
            bytes: 0,
            head: Seq::FIRST,
            end: Seq::FIRST,
            oldest_event: Seq::FIRST,
            stale: true,
        };
        queue.refresh(storage).await?;
        Ok(queue)
    }

    /// Takes the sums anew when a dropped future left them in doubt.
    pub(crate) async fn refresh<S: Storage>(&mut self, storage: &mut S) -> Result<(), Fault<S::Error>> {
        if !self.stale {
            return Ok(());
        }
        let (mut owed, mut bytes, mut from, mut head) = (0_u32, 0_u64, Seq::FIRST, None);
        while let Some(Stored { seq, len }) = storage.read(from, &mut []).await? {
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
        Ok(())
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
    /// Returns how many were evicted.
    pub(crate) async fn append<S: Storage>(
        &mut self,
        storage: &mut S,
        seq: Seq,
        record: &[u8],
        pinned: Option<SeqRange>,
    ) -> Result<u32, (u32, NoRoom<S::Error>)> {
        let mut evicted = 0_u32;
        let len = record.len() as u64;
        while self.owed >= self.operations_max || self.bytes.saturating_add(len) > self.bytes_max {
            self.evict(storage, pinned).await.map_err(|error| (evicted, error))?;
            evicted = evicted.saturating_add(1);
        }
        let owed_bytes = self.bytes;
        loop {
            self.stale = true;
            let appended = storage.append(seq, record).await;
            self.stale = false;
            let made_room = owed_bytes.saturating_sub(self.bytes);
            match appended {
                Ok(()) => break,
                // When twice the room was not enough, more evictions will not be either.
                Err(Fault::Full)
                    if self.overflow == Overflow::EvictOldest
                        && made_room <= len.saturating_mul(2).saturating_add(ROOM_SLACK) =>
                {
                    self.evict(storage, pinned).await.map_err(|error| (evicted, error))?;
                    evicted = evicted.saturating_add(1);
                }
                Err(fault) => return Err((evicted, fault.into())),
            }
        }
        self.owed = self.owed.saturating_add(1);
        self.bytes = self.bytes.saturating_add(len);
        self.end = seq.next();
        Ok(evicted)
    }

    /// Removes the oldest event that is not in flight. An identify is never evicted.
    async fn evict<S: Storage>(
        &mut self,
        storage: &mut S,
        pinned: Option<SeqRange>,
    ) -> Result<(), NoRoom<S::Error>> {
        if self.overflow == Overflow::Refuse {
            return Err(NoRoom::NothingToEvict);
        }
        let mut from = self.oldest_event;
        let mut passed_pinned = false;
        let mut peek = [0; PEEK];
        while let Some(Stored { seq, len }) = storage.read(from, &mut peek).await? {
            let known = peek.get(..len.min(PEEK)).unwrap_or_default();
            if let Some(range) = pinned.filter(|range| range.contains(seq)) {
                passed_pinned = true;
                from = range.last.next();
                continue;
            }
            from = seq.next();
            // What cannot be decoded is left for the runner, which sets it aside and says so.
            if peek_kind(known) == Ok(Kind::Track) {
                if !passed_pinned {
                    self.oldest_event = from;
                }
                self.forget(storage, SeqRange::one(seq)).await?;
                return Ok(());
            }
        }
        if !passed_pinned {
            self.oldest_event = from;
        }
        Err(NoRoom::NothingToEvict)
    }

    /// Removes what is stored in a range.
    pub(crate) async fn forget<S: Storage>(
        &mut self,
        storage: &mut S,
        range: SeqRange,
    ) -> Result<Removed, Fault<S::Error>> {
        let (mut operations, mut bytes, mut from) = (0_u32, 0_u64, range.first.max(self.head));
        while let Some(Stored { seq, len }) = storage.read(from, &mut []).await? {
            if seq > range.last {
                break;
            }
            operations = operations.saturating_add(1);
            bytes = bytes.saturating_add(len as u64);
            from = seq.next();
        }
        self.stale = true;
        let removed = storage.remove(range).await;
        self.stale = false;
        removed?;
        self.gone(range, operations, bytes);
        Ok(Removed { operations })
    }

    /// Sets one operation aside.
    pub(crate) async fn set_aside<S: Storage>(
        &mut self,
        storage: &mut S,
        Stored { seq, len }: Stored,
    ) -> Result<(), Fault<S::Error>> {
        self.stale = true;
        let moved = storage.set_aside(seq).await;
        self.stale = false;
        moved?;
        self.gone(SeqRange::one(seq), 1, len as u64);
        Ok(())
    }

    fn gone(&mut self, range: SeqRange, operations: u32, bytes: u64) {
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
