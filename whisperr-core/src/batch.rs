//! Which run of operations is one request.

#[cfg(whisperr_planted)]
use crate::planted::{self, Bug};
use crate::record::Kind;
use crate::storage::{Seq, SeqRange};
use crate::transport::{BATCH_PATH, IDENTIFY_PATH, Request};
use crate::wire::{BATCH_CLOSE, BATCH_OPEN, BATCH_SEPARATOR};

/// How much one request may carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchLimit {
    /// Most events.
    pub events: u16,
    /// Most bytes of the body, unless one event alone is larger.
    pub bytes: usize,
}

/// The consecutive operations of one request: either events, or one identify.
///
/// Named by identity: every operation of the range that was stored when it was formed. None can
/// join it later (numbers only grow), and none leaves it while it is in flight (it is pinned).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    pub(crate) range: SeqRange,
    pub(crate) count: u16,
    pub(crate) body_bytes: usize,
    pub(crate) is_identify: bool,
}

impl Batch {
    /// A batch of the `count` consecutive events from `first` on, whose body has `body_bytes`; `None`
    /// without an event.
    ///
    /// For who drives [`Delivery`](crate::Delivery) without a storage, such as a simulation of many
    /// devices: the run loop forms its batches from what is stored.
    ///
    /// ```
    /// use whisperr_core::{Batch, Seq};
    ///
    /// let batch = Batch::of_events(Seq::new(8), 3, 700).unwrap();
    /// assert_eq!((batch.range().last, batch.count()), (Seq::new(10), 3));
    /// assert_eq!(Batch::of_events(Seq::FIRST, 0, 0), None);
    /// ```
    #[must_use]
    pub const fn of_events(first: Seq, count: u16, body_bytes: usize) -> Option<Self> {
        let Some(others) = count.checked_sub(1) else { return None };
        let last = Seq::new(first.get().saturating_add(others as u64));
        Some(Self { range: SeqRange { first, last }, count, body_bytes, is_identify: false })
    }

    /// Which operations.
    #[must_use]
    pub const fn range(&self) -> SeqRange {
        self.range
    }

    /// How many.
    #[must_use]
    pub const fn count(&self) -> u16 {
        self.count
    }

    /// What to ask the transport.
    #[must_use]
    pub const fn request(&self) -> Request {
        Request {
            path: if self.is_identify { IDENTIFY_PATH } else { BATCH_PATH },
            body_bytes: self.body_bytes,
        }
    }
}

/// A batch while it is being formed.
#[derive(Debug)]
pub(crate) struct Plan {
    limit: BatchLimit,
    batch: Option<Batch>,
}

impl Plan {
    pub(crate) const fn new(limit: BatchLimit) -> Self {
        Self { limit, batch: None }
    }

    pub(crate) const fn batch(&self) -> Option<Batch> {
        self.batch
    }

    /// Adds the next operation, whose JSON has `bytes`; `false` when it belongs to a later request.
    pub(crate) fn add(&mut self, seq: Seq, kind: Kind, bytes: usize) -> bool {
        match (&mut self.batch, kind) {
            (None, Kind::Identify) => {
                let range = SeqRange::one(seq);
                self.batch = Some(Batch { range, count: 1, body_bytes: bytes, is_identify: true });
            }
            (None, Kind::Track) => {
                let around = BATCH_OPEN.len().saturating_add(BATCH_CLOSE.len());
                let body_bytes = bytes.saturating_add(around);
                self.batch =
                    Some(Batch { range: SeqRange::one(seq), count: 1, body_bytes, is_identify: false });
            }
            #[cfg(whisperr_planted)]
            (Some(_), Kind::Identify) if planted::is(Bug::SwallowIdentify) => {}
            (Some(_), Kind::Identify) => return false,
            (Some(batch), Kind::Track) => {
                let body_bytes = batch.body_bytes.saturating_add(bytes).saturating_add(BATCH_SEPARATOR.len());
                let limit = self.limit;
                #[cfg(whisperr_planted)]
                let limit = if planted::is(Bug::NoByteLimit) {
                    BatchLimit { bytes: usize::MAX, ..limit }
                } else {
                    limit
                };
                if batch.is_identify || batch.count >= limit.events || body_bytes > limit.bytes {
                    return false;
                }
                batch.range.last = seq;
                batch.count = batch.count.saturating_add(1);
                batch.body_bytes = body_bytes;
            }
        }
        true
    }

    /// Whether nothing more can be added, so that the walk may end.
    pub(crate) fn is_full(&self) -> bool {
        self.batch.is_some_and(|batch| batch.is_identify || batch.count >= self.limit.events)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(events: u16, bytes: usize, operations: &[(Kind, usize)]) -> (u16, usize, bool) {
        let mut plan = Plan::new(BatchLimit { events, bytes });
        for (seq, (kind, bytes)) in (1..).zip(operations) {
            if !plan.add(Seq::new(seq), *kind, *bytes) {
                break;
            }
        }
        let batch = plan.batch().unwrap();
        assert_eq!(batch.range.last.get(), u64::from(batch.count));
        (batch.count, batch.body_bytes, batch.is_identify)
    }

    #[test]
    fn runs_end_at_an_identify_a_count_and_a_size() {
        use Kind::{Identify, Track};
        let (open, close) = (BATCH_OPEN.len(), BATCH_CLOSE.len());
        for (events, bytes, operations, expected) in [
            (2, 1000, &[(Track, 10), (Track, 10), (Track, 10)][..], (2, open + 21 + close, false)),
            (9, 1000, &[(Track, 10), (Identify, 10), (Track, 10)], (1, open + 10 + close, false)),
            (9, 1000, &[(Identify, 10), (Identify, 10)], (1, 10, true)),
            (9, 1000, &[(Identify, 10), (Track, 10)], (1, 10, true)),
            // One event larger than the limit still goes, alone.
            (9, 20, &[(Track, 500), (Track, 1)], (1, open + 500 + close, false)),
            (9, open + 21 + close, &[(Track, 10), (Track, 10)], (2, open + 21 + close, false)),
            (9, open + 20 + close, &[(Track, 10), (Track, 10)], (1, open + 10 + close, false)),
        ] {
            assert_eq!(plan(events, bytes, operations), expected, "{operations:?}");
        }
    }

    #[test]
    fn a_batch_tells_what_it_carries_and_where_it_goes() {
        let mut plan = Plan::new(BatchLimit { events: 9, bytes: 1000 });
        assert_eq!(plan.batch(), None);
        for seq in [4, 7, 9] {
            assert!(plan.add(Seq::new(seq), Kind::Track, 10));
        }
        let events = plan.batch().unwrap();
        let mut plan = Plan::new(BatchLimit { events: 9, bytes: 1000 });
        assert!(plan.add(Seq::new(4), Kind::Identify, 10));
        let identify = plan.batch().unwrap();

        assert_eq!(
            (events.count(), events.range().first, events.range().last),
            (3, Seq::new(4), Seq::new(9))
        );
        let bytes = BATCH_OPEN.len() + 32 + BATCH_CLOSE.len();
        assert_eq!(events.request(), Request { path: "/v1/events/batch", body_bytes: bytes });
        assert_eq!((identify.count(), identify.range()), (1, SeqRange::one(Seq::new(4))));
        assert_eq!(identify.request(), Request { path: "/v1/identify", body_bytes: 10 });
    }

    #[test]
    fn events_counted_by_the_caller_are_a_batch_unless_there_are_none() {
        let batch = Batch::of_events(Seq::new(8), 3, 700).unwrap();

        assert_eq!((batch.count(), batch.range().last), (3, Seq::new(10)));
        assert_eq!(batch.request().body_bytes, 700);
        assert_eq!(Batch::of_events(Seq::FIRST, 0, 0), None);
        assert_eq!(Batch::of_events(Seq::LAST, 2, 9).unwrap().range().last, Seq::LAST);
    }

    #[test]
    fn nothing_more_is_read_from_the_storage_for_a_batch_that_is_full() {
        let mut plan = Plan::new(BatchLimit { events: 2, bytes: 1000 });
        for (seq, full) in [(1, false), (2, true)] {
            assert!(plan.add(Seq::new(seq), Kind::Track, 10));
            assert_eq!(plan.is_full(), full, "after {seq}");
        }
        let mut plan = Plan::new(BatchLimit { events: 2, bytes: 1000 });
        assert!(!plan.is_full());
        assert!(plan.add(Seq::new(1), Kind::Identify, 10));
        assert!(plan.is_full());
    }
}
