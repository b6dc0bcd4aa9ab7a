//! What a platform's medium must promise: an ordered log of records and a few slots of state.

use core::fmt;

/// The local identity of an operation: its place in the order of acceptance.
///
/// Never reused, also across restarts. The first operation is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(u64);

impl Seq {
    /// The first operation of a new storage.
    pub const FIRST: Self = Self(1);

    /// The highest number there is.
    pub const LAST: Self = Self(u64::MAX);

    /// The operation with this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The operation after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The operations from `first` to `last`, both included, that are still stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a range is its two ends")]
pub struct SeqRange {
    /// The oldest operation.
    pub first: Seq,
    /// The newest operation.
    pub last: Seq,
}

impl SeqRange {
    /// The range of one operation.
    #[must_use]
    pub const fn one(seq: Seq) -> Self {
        Self { first: seq, last: seq }
    }

    /// Whether `seq` lies in the range.
    #[must_use]
    pub fn contains(self, seq: Seq) -> bool {
        self.first <= seq && seq <= self.last
    }
}

/// One record found by [`Storage::read`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "storages build it")]
pub struct Stored {
    /// Which operation it is.
    pub seq: Seq,
    /// Length of the record in bytes. More than the buffer holds means that only the part that
    /// fits was copied.
    pub len: usize,
}

/// What [`Storage::remove_with`] writes in the step that removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "storages handle every case")]
pub enum RemoveWith<'a> {
    /// A new operation, as [`Storage::append`] takes it.
    Record {
        /// Its number.
        seq: Seq,
        /// Its bytes.
        record: &'a [u8],
    },
    /// The new value of a slot, as [`Storage::store`] takes it.
    Slot {
        /// Which slot.
        slot: Slot,
        /// Its bytes.
        value: &'a [u8],
    },
}

/// The small named values that survive restarts beside the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a storage lays out every slot")]
#[repr(u8)]
pub enum Slot {
    /// Who the current user is.
    Identity = 0,
    /// The anonymous id of this device.
    Anonymous = 1,
    /// The push token last delivered, and for whom.
    Push = 2,
    /// Opted in or out.
    Consent = 3,
    /// The application version last seen.
    Application = 4,
    /// How often this device started, and its own entropy.
    Boot = 5,
    /// The counters that always add up.
    Ledger = 6,
    /// Reserved for the platform adapter.
    Platform = 7,
}

impl Slot {
    /// Every slot, in the order of its number.
    pub const ALL: [Self; 8] = [
        Self::Identity,
        Self::Anonymous,
        Self::Push,
        Self::Consent,
        Self::Application,
        Self::Boot,
        Self::Ledger,
        Self::Platform,
    ];

    /// The number that names the slot on a medium. Never changes.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }
}

/// Most bytes a slot holds.
pub const SLOT_BYTES_MAX: usize = 544;

/// Most bytes a record holds, on any platform: its length fits two bytes.
pub const RECORD_BYTES_MAX: usize = 65_535;

/// Why a storage could not do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "storages build it, the queue handles every case")]
pub enum Fault<E> {
    /// There is no room. Nothing changed; removing operations may make room.
    Full,
    /// The medium failed, in the platform's own words.
    Medium(E),
}

impl<E> From<E> for Fault<E> {
    fn from(error: E) -> Self {
        Self::Medium(error)
    }
}

impl<E: fmt::Debug> fmt::Display for Fault<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the storage is full"),
            Self::Medium(error) => write!(f, "the storage failed: {error:?}"),
        }
    }
}

impl<E: fmt::Debug> core::error::Error for Fault<E> {}

/// Keeps operations and slots across restarts and power cuts.
///
/// It knows nothing of events: records are opaque bytes under a [`Seq`], slots are opaque bytes
/// under a name. A walk goes from the oldest record to the newest and is restartable at any
/// sequence number, so nobody holds a position while the storage changes.
///
/// **Futures.** Only one call is under way at a time (`&mut self`). A future that is dropped before
/// it completes leaves either the whole change or none of it, as a power cut does; the next call
/// works. A storage whose calls never wait, such as a file, returns futures that are ready at once,
/// and may then be driven by [`ready`](crate::ready).
///
/// **Opening** belongs to the platform, and is total: whatever bytes the medium holds, it ends in a
/// working storage in bounded time.
#[expect(async_fn_in_trait, reason = "embedded executors have no `Send`; std drives it on one thread")]
pub trait Storage {
    /// What can go wrong below, in the platform's own words.
    type Error: fmt::Debug;

    /// The number the next operation will get: higher than any ever stored, also before restarts.
    fn next_seq(&self) -> Seq;

    /// Appends `record` under `seq`, which is at least [`next_seq`](Self::next_seq).
    ///
    /// Once this returns `Ok`, the record is on the medium, by the medium's own word.
    ///
    /// # Errors
    /// [`Fault::Full`] without room, [`Fault::Medium`] when the medium failed. Either way the record
    /// is not promised; after a failed sync it may still be found after a restart.
    async fn append(&mut self, seq: Seq, record: &[u8]) -> Result<(), Fault<Self::Error>>;

    /// Copies the oldest record whose number is `from` or higher into `buffer`; `None` when there
    /// is no such record.
    ///
    /// A record that the storage finds damaged is not returned: it is counted for
    /// [`take_damaged`](Self::take_damaged), and the walk goes on behind it. With an empty buffer only
    /// number and length are asked for, and nothing need be read from the medium.
    ///
    /// # Errors
    /// [`Fault::Medium`] when the medium cannot be read; trying again later may work.
    async fn read(&mut self, from: Seq, buffer: &mut [u8]) -> Result<Option<Stored>, Fault<Self::Error>>;

    /// Removes every stored record in `range`. Removing what is not there is not an error.
    ///
    /// After `Ok` a walk does not find them. A power cut shortly after may bring them back (they
    /// are then sent again, with the same message ids), so a storage need not wait for the medium.
    ///
    /// # Errors
    /// [`Fault::Medium`] when the medium failed; the records are then still there.
    async fn remove(&mut self, range: SeqRange) -> Result<(), Fault<Self::Error>>;

    /// Removes every stored record in `range` and writes something, in one step: a cut leaves both done or
    /// neither. What makes room for a new event in a full queue, and the ledger of a delivered batch, are
    /// written so; on flash that is one write instead of two.
    ///
    /// `Ok(false)` says that it cannot be done in one step, now or ever, and that nothing changed: the caller
    /// takes two. A storage with nothing to gain from it need not provide this.
    ///
    /// # Errors
    /// As [`append`](Self::append) and [`store`](Self::store). After [`Fault::Full`] nothing changed.
    async fn remove_with(
        &mut self,
        range: SeqRange,
        with: RemoveWith<'_>,
    ) -> Result<bool, Fault<Self::Error>> {
        let _two_steps = (range, with);
        Ok(false)
    }

    /// Takes a record that cannot be decoded out of the walk, keeping a copy of its bytes where a
    /// person or a later version finds it, as far as the medium has bounded room for that.
    ///
    /// # Errors
    /// As [`remove`](Self::remove).
    async fn set_aside(&mut self, seq: Seq) -> Result<(), Fault<Self::Error>>;

    /// Copies a slot into `buffer` and returns its length; 0 for a slot that holds nothing, or more
    /// than `buffer` has room for.
    ///
    /// # Errors
    /// [`Fault::Medium`] when the medium cannot be read.
    async fn load(&mut self, slot: Slot, buffer: &mut [u8]) -> Result<usize, Fault<Self::Error>>;

    /// Replaces a slot; an empty value clears it. At most [`SLOT_BYTES_MAX`] bytes. After a cut,
    /// the slot holds the old value or the new one.
    ///
    /// # Errors
    /// [`Fault::Full`], [`Fault::Medium`]: the slot keeps its old value for this run.
    async fn store(&mut self, slot: Slot, value: &[u8]) -> Result<(), Fault<Self::Error>>;

    /// Deletes every record for good: overwritten, truncated or erased, not only unreachable, and
    /// with them what was set aside. Slots stay, and no number is used again.
    ///
    /// # Errors
    /// [`Fault::Medium`] when the medium failed; call again.
    async fn wipe(&mut self) -> Result<(), Fault<Self::Error>>;

    /// Whether [`persist`](Self::persist) can make anything durable: not in memory, nor on a medium that is
    /// set to be never synced.
    fn is_persistent(&self) -> bool {
        true
    }

    /// Returns once everything that was accepted so far survives a power cut, by the medium's own word.
    /// Where every `Ok` of [`append`](Self::append) and [`store`](Self::store) says that already, there is nothing
    /// to do.
    ///
    /// # Errors
    /// [`Fault::Full`], [`Fault::Medium`]: nobody knows what survives.
    async fn persist(&mut self) -> Result<(), Fault<Self::Error>> {
        Ok(())
    }

    /// How many records were found damaged since the last call. They are lost and are surfaced.
    fn take_damaged(&mut self) -> u32;
}

impl<T: Storage + ?Sized> Storage for &mut T {
    type Error = T::Error;

    fn next_seq(&self) -> Seq {
        (**self).next_seq()
    }

    async fn append(&mut self, seq: Seq, record: &[u8]) -> Result<(), Fault<Self::Error>> {
        (**self).append(seq, record).await
    }

    async fn read(&mut self, from: Seq, buffer: &mut [u8]) -> Result<Option<Stored>, Fault<Self::Error>> {
        (**self).read(from, buffer).await
    }

    async fn remove(&mut self, range: SeqRange) -> Result<(), Fault<Self::Error>> {
        (**self).remove(range).await
    }

    async fn remove_with(
        &mut self,
        range: SeqRange,
        with: RemoveWith<'_>,
    ) -> Result<bool, Fault<Self::Error>> {
        (**self).remove_with(range, with).await
    }

    async fn set_aside(&mut self, seq: Seq) -> Result<(), Fault<Self::Error>> {
        (**self).set_aside(seq).await
    }

    async fn load(&mut self, slot: Slot, buffer: &mut [u8]) -> Result<usize, Fault<Self::Error>> {
        (**self).load(slot, buffer).await
    }

    async fn store(&mut self, slot: Slot, value: &[u8]) -> Result<(), Fault<Self::Error>> {
        (**self).store(slot, value).await
    }

    async fn wipe(&mut self) -> Result<(), Fault<Self::Error>> {
        (**self).wipe().await
    }

    fn is_persistent(&self) -> bool {
        (**self).is_persistent()
    }

    async fn persist(&mut self) -> Result<(), Fault<Self::Error>> {
        (**self).persist().await
    }

    fn take_damaged(&mut self) -> u32 {
        (**self).take_damaged()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_both_its_ends_and_nothing_beside_them() {
        let range = SeqRange { first: Seq::new(3), last: Seq::new(5) };
        let held = [2, 3, 4, 5, 6].map(|seq| range.contains(Seq::new(seq)));

        assert_eq!(held, [false, true, true, true, false]);
        assert_eq!(SeqRange::one(Seq::new(4)), SeqRange { first: Seq::new(4), last: Seq::new(4) });
    }
}
