//! Which numbers were removed, as far as memory has room for it.

/// Ranges that are kept.
const RANGES: usize = 12;

/// What is known of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    Removed,
    Kept,
    /// Only the medium knows.
    Spilled,
}

/// Sorted ranges that neither overlap nor touch, and the hull of those for which there was no room.
///
/// Operations leave in order, apart from the few that are never evicted: the ranges between those
/// are all there is to keep. Whatever does not fit is on the medium and is looked up there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Removed {
    ranges: [(u64, u64); RANGES],
    len: usize,
    spilled: Option<(u64, u64)>,
}

impl Removed {
    pub(super) const fn new() -> Self {
        Self { ranges: [(0, 0); RANGES], len: 0, spilled: None }
    }

    fn ranges(&self) -> &[(u64, u64)] {
        self.ranges.get(..self.len).unwrap_or_default()
    }

    pub(super) fn get(&self, at: usize) -> Option<(u64, u64)> {
        self.ranges().get(at).copied()
    }

    pub(super) const fn is_full(&self) -> bool {
        self.len >= RANGES
    }

    pub(super) const fn has_spilled(&self) -> bool {
        self.spilled.is_some()
    }

    pub(super) fn know(&self, seq: u64) -> Known {
        if self.ranges().iter().any(|(first, last)| (*first..=*last).contains(&seq)) {
            return Known::Removed;
        }
        match self.spilled {
            Some((first, last)) if (first..=last).contains(&seq) => Known::Spilled,
            _ => Known::Kept,
        }
    }

    /// Adds a range, joined with what it overlaps or touches.
    pub(super) fn insert(&mut self, first: u64, last: u64) {
        let (mut low, mut high) = (first, last);
        let mut kept = 0_usize;
        for at in 0..self.len {
            let Some((first, last)) = self.get(at) else { break };
            if last.saturating_add(1) < low || high.saturating_add(1) < first {
                self.set(kept, (first, last));
                kept = kept.saturating_add(1);
            } else {
                low = low.min(first);
                high = high.max(last);
            }
        }
        self.len = kept;
        // Each of those above it moves up by one; the highest goes last.
        let mut range = (low, high);
        let at = self.ranges().iter().take_while(|(first, _)| *first < low).count();
        for place in self.ranges.get_mut(at..kept).unwrap_or_default() {
            core::mem::swap(place, &mut range);
        }
        self.push(range);
    }

    fn set(&mut self, at: usize, range: (u64, u64)) {
        if let Some(place) = self.ranges.get_mut(at) {
            *place = range;
        }
    }

    fn push(&mut self, range: (u64, u64)) {
        if let Some(free) = self.ranges.get_mut(self.len) {
            *free = range;
            self.len = self.len.saturating_add(1);
        } else {
            let (first, last) = self.spilled.unwrap_or(range);
            self.spilled = Some((first.min(range.0), last.max(range.1)));
        }
    }

    /// Joins two neighbours, given that nothing between them is kept.
    pub(super) fn join(&mut self, at: usize) {
        if let (Some((first, _)), Some((_, last))) = (self.get(at), self.get(at.saturating_add(1))) {
            self.insert(first, last);
        }
    }

    /// Which ranges matter, a bit for each, and whether those do for which there was no room. To be given to
    /// [`keep`](Self::keep): who decides may be looking at what holds this.
    pub(super) fn which(&self, matters: impl Fn(u64, u64) -> bool) -> (u32, bool) {
        let bits = self
            .ranges()
            .iter()
            .rev()
            .fold(0, |bits, (first, last)| (bits << 1) | u32::from(matters(*first, *last)));
        (bits, self.spilled.is_some_and(|(first, last)| matters(first, last)))
    }

    /// Forgets ranges of which nothing is left on the medium.
    pub(super) fn keep(&mut self, (bits, spilled): (u32, bool)) {
        let mut kept = 0_usize;
        for at in 0..self.len {
            if bits.unbounded_shr(u32::try_from(at).unwrap_or(u32::MAX)) & 1 == 1
                && let Some(range) = self.get(at)
            {
                self.set(kept, range);
                kept = kept.saturating_add(1);
            }
        }
        self.len = kept;
        self.spilled = self.spilled.filter(|_| spilled);
    }
}

const _: () = assert!(RANGES <= 32, "a bit for each range");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_touch_are_one_and_what_does_not_fit_is_remembered_by_its_hull() {
        let mut removed = Removed::new();
        for first in [5, 1, 3, 2, 4] {
            removed.insert(first, first);
        }
        assert_eq!(removed.ranges(), [(1, 5)]);

        for at in 1..20 {
            removed.insert(at * 10, at * 10 + 1);
        }
        assert!(removed.is_full() && removed.has_spilled());
        assert_eq!(removed.know(11), Known::Removed);
        assert_eq!(removed.know(12), Known::Kept);
        assert_eq!(removed.know(191), Known::Spilled);
        removed.join(0);
        assert_eq!(removed.get(0), Some((1, 11)));
        removed.insert(0, u64::MAX);
        assert_eq!(removed.ranges(), [(0, u64::MAX)]);
    }

    #[test]
    fn ranges_that_matter_to_nothing_are_forgotten() {
        let mut removed = Removed::new();
        removed.insert(1, 5);
        removed.insert(9, 9);

        removed.keep(removed.which(|_, last| last > 5));

        assert_eq!(removed.ranges(), [(9, 9)]);
        assert_eq!(removed.know(3), Known::Kept);

        for first in (20..60).step_by(3) {
            removed.insert(first, first);
        }
        removed.keep(removed.which(|first, last| (first..=last).contains(&20) || last == 53));
        assert_eq!(removed.ranges(), [(20, 20)]);
        assert_eq!(removed.know(58), Known::Kept, "what did not fit ends at 59 and does not matter");
    }
}
