//! Ranges of sequence numbers, joined where no owed record lies between them.

use super::index::Index;
use super::segment::Span;

/// Sorted ranges that do not overlap. Never more than there are owed records, and one.
#[derive(Debug, Default)]
pub(super) struct Spans {
    spans: Vec<Span>,
}

impl Spans {
    pub(super) fn len(&self) -> usize {
        self.spans.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Span> {
        self.spans.iter()
    }

    /// How many numbers the ranges hold together.
    pub(super) fn count(&self) -> u64 {
        self.spans.iter().map(|span| span.count()).fold(0, u64::saturating_add)
    }

    /// Adds a range that holds no owed record, and joins it with its neighbours where nothing that
    /// is owed lies between.
    pub(super) fn insert(&mut self, span: Span, index: &Index) {
        self.join(span, |low, high| index.none_between(low, high));
    }

    /// Adds a range, and joins it only with what it touches.
    pub(super) fn insert_exact(&mut self, span: Span) {
        self.join(span, |low, high| low.saturating_add(1) >= high);
    }

    fn join(&mut self, span: Span, joins: impl Fn(u64, u64) -> bool) {
        let mut span = span;
        let mut from = self.spans.partition_point(|old| old.first < span.first);
        let mut to = from;
        while let Some(before) = from.checked_sub(1).and_then(|at| self.spans.get(at))
            && (before.last >= span.first || joins(before.last, span.first))
        {
            span.first = before.first;
            span.last = span.last.max(before.last);
            from = from.saturating_sub(1);
        }
        while let Some(after) = self.spans.get(to)
            && (after.first <= span.last || joins(span.last, after.first))
        {
            span.last = span.last.max(after.last);
            to = to.saturating_add(1);
        }
        self.spans.splice(from..to, [span]);
    }

    pub(super) fn drop_front(&mut self, count: usize) {
        self.spans.drain(..count.min(self.spans.len()));
    }

    pub(super) fn take(&mut self) -> Self {
        core::mem::take(self)
    }

    pub(super) fn clear(&mut self) {
        self.spans.clear();
    }

    /// The numbers from `first` to `last` that lie in no range.
    pub(super) fn gaps(&self, first: u64, last: u64) -> Self {
        let mut gaps = Self::default();
        let mut next = first;
        for span in &self.spans {
            if span.first > next && next <= last {
                let end = span.first.saturating_sub(1).min(last);
                gaps.spans.push(Span { first: next, last: end });
            }
            next = next.max(span.last.saturating_add(1));
        }
        if next <= last {
            gaps.spans.push(Span { first: next, last });
        }
        gaps
    }

    /// Whether `number` lies in a range.
    pub(super) fn contains(&self, number: u64) -> bool {
        let at = self.spans.partition_point(|span| span.last < number);
        self.spans.get(at).is_some_and(|span| span.first <= number)
    }
}

impl FromIterator<Span> for Spans {
    fn from_iter<I: IntoIterator<Item = Span>>(spans: I) -> Self {
        let mut sorted: Vec<Span> = spans.into_iter().collect();
        sorted.sort_unstable();
        let mut joined: Vec<Span> = Vec::new();
        for span in sorted {
            match joined.last_mut() {
                Some(last) if span.first <= last.last.saturating_add(1) => {
                    last.last = last.last.max(span.last);
                }
                _ => joined.push(span),
            }
        }
        Self { spans: joined }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(first: u64, last: u64) -> Span {
        Span { first, last }
    }

    fn spans(list: &[(u64, u64)]) -> Spans {
        list.iter().map(|&(first, last)| span(first, last)).collect()
    }

    #[test]
    fn ranges_that_touch_are_one() {
        assert_eq!(spans(&[(5, 6), (1, 2), (3, 3), (9, 9), (6, 8)]).spans, [span(1, 3), span(5, 9)]);
    }

    #[test]
    fn gaps_are_what_no_range_holds() {
        let held = spans(&[(3, 4), (7, 7)]);

        assert_eq!(held.gaps(1, 9).spans, [span(1, 2), span(5, 6), span(8, 9)]);
        assert_eq!(held.gaps(3, 7).spans, [span(5, 6)]);
        assert_eq!(held.gaps(4, 5).spans, [span(5, 5)]);
        assert_eq!(held.gaps(8, 7).spans, []);
        assert_eq!(Spans::default().gaps(1, 2).spans, [span(1, 2)]);
    }

    #[test]
    fn inserted_ranges_join_over_what_is_not_owed() {
        let entry = |seq| super::super::index::Entry { seq, key: 0, offset: 0, len: 0, placed: false };
        let index = Index::from_sorted(vec![entry(5), entry(20)]);
        let mut spans = Spans::default();

        for at in [9, 1, 3, 7, 30, 4, 22] {
            spans.insert(span(at, at), &index);
        }

        assert_eq!(spans.spans, [span(1, 4), span(7, 9), span(22, 30)]);
        assert!(spans.contains(8) && !spans.contains(5));
        assert_eq!(spans.count(), 16);
    }
}
