//! From a long run that breaks a promise to a short one that breaks the same.

/// Makes a list of choices shorter and milder for as long as `breaks` says that it still breaks the
/// same promise, with at most `tries` runs.
///
/// ```
/// // Breaks when two values above 10 come one after the other.
/// let breaks = |values: &[u64]| values.windows(2).any(|pair| pair.iter().all(|value| *value > 10));
/// let shrunk = whisperr_simulation::shrink(&[3, 99, 1, 40, 77, 5], 1000, breaks);
/// assert_eq!(shrunk, [11, 11]);
/// ```
pub fn shrink(values: &[u64], tries: u32, mut breaks: impl FnMut(&[u64]) -> bool) -> Vec<u64> {
    let mut best = values.to_vec();
    let mut left = tries;
    let mut attempt = |best: &mut Vec<u64>, candidate: Vec<u64>| {
        let Some(less) = left.checked_sub(1) else { return false };
        left = less;
        let better = breaks(&candidate);
        if better {
            *best = candidate;
        }
        better
    };
    loop {
        // What is behind the end is 0 anyway.
        while best.last() == Some(&0) {
            best.pop();
        }
        let before = best.clone();
        // Chunks out, from large to small and from the back, where nothing else hangs on them.
        let mut size = best.len() / 2;
        while size > 0 {
            let mut end = best.len();
            while end > 0 {
                let start = end.saturating_sub(size);
                let candidate: Vec<u64> =
                    best.iter().take(start).chain(best.iter().skip(end)).copied().collect();
                attempt(&mut best, candidate);
                end = start.min(best.len());
            }
            size /= 2;
        }
        // Values down: to nothing, to half, by one.
        for at in 0..best.len() {
            let Some(value) = best.get(at).copied() else { break };
            let mut low = 0;
            let mut high = value;
            while low < high {
                let middle = low.midpoint(high);
                let mut candidate = best.clone();
                if let Some(place) = candidate.get_mut(at) {
                    *place = middle;
                }
                if attempt(&mut best, candidate) {
                    high = middle;
                } else {
                    low = middle.saturating_add(1);
                }
            }
        }
        if best == before {
            return best;
        }
    }
}
