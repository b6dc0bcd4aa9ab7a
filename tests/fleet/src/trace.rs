//! What is written down while a row is played.

use crate::device::Happened;

/// Ages are counted in steps of this.
const AGE_STEP_MS: u64 = 10_000;

/// What was seen since the capacity came back.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    start_ms: u64,
    end_ms: u64,
    capacity: f64,
    /// Requests of each second.
    arrivals: Vec<u32>,
    /// Requests of each second that were served.
    served: Vec<u32>,
    backlog_batches: u64,
    backlog_devices: u64,
    /// When each device was drained, in the order of time, in milliseconds since the start.
    drained_ms: Vec<u64>,
    /// How many acknowledged batches had an oldest event of this age.
    ages: Vec<u64>,
    steps: u64,
    evicted: u64,
}

impl Trace {
    pub(crate) const fn new(start_ms: u64, capacity: f64) -> Self {
        Self {
            start_ms,
            end_ms: start_ms,
            capacity,
            arrivals: Vec::new(),
            served: Vec::new(),
            backlog_batches: 0,
            backlog_devices: 0,
            drained_ms: Vec::new(),
            ages: Vec::new(),
            steps: 0,
            evicted: 0,
        }
    }

    pub(crate) fn add_backlog(&mut self, batches: u32) {
        self.backlog_batches += u64::from(batches);
        self.backlog_devices += u64::from(batches > 0);
    }

    pub(crate) fn note(&mut self, now_ms: u64, happened: &Happened) {
        if happened.drained {
            self.drained_ms.push(now_ms - self.start_ms);
        }
        if let Some(age) = happened.age_ms {
            add_at(&mut self.ages, age / AGE_STEP_MS, 1);
        }
    }

    pub(crate) fn note_request(&mut self, now_ms: u64, served: bool) {
        let second = (now_ms - self.start_ms) / 1000;
        add_at(&mut self.arrivals, second, 1);
        add_at(&mut self.served, second, u32::from(served));
    }

    pub(crate) fn end(mut self, now_ms: u64, steps: u64, evicted: u64) -> Self {
        self.end_ms = now_ms;
        self.steps = steps;
        self.evicted = evicted;
        let seconds = usize::try_from((now_ms - self.start_ms) / 1000).unwrap_or(0);
        self.arrivals.resize(seconds, 0);
        self.served.resize(seconds, 0);
        self
    }

    pub(crate) fn is_drained(&self) -> bool {
        self.drained_ms.len() as u64 >= self.backlog_devices
    }

    /// The least time in which the backlog can be drained.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time of some hours")]
    pub(crate) fn least_drain_ms(&self) -> u64 {
        (self.least_drain() * 1000.0) as u64
    }

    /// The least time in which the backlog can be drained, in seconds: all capacity for it alone.
    #[must_use]
    pub fn least_drain(&self) -> f64 {
        self.backlog_batches as f64 / self.capacity
    }

    /// When the backlog of this share of the devices was gone, in seconds; `None` when it never was.
    #[must_use]
    pub fn drained(&self, share: f64) -> Option<f64> {
        let count = share_of(self.backlog_devices, share);
        let index = count.checked_sub(1)?;
        self.drained_ms.get(usize::try_from(index).ok()?).map(|ms| *ms as f64 / 1000.0)
    }

    /// The age in seconds that this share of the acknowledged batches did not exceed.
    #[must_use]
    pub fn age(&self, share: f64) -> f64 {
        let mut left = share_of(self.ages.iter().sum(), share);
        for (step, count) in self.ages.iter().enumerate() {
            if *count >= left {
                return ((step + 1) as u64 * AGE_STEP_MS / 1000) as f64;
            }
            left -= count;
        }
        0.0
    }

    /// Requests of each second.
    #[must_use]
    pub fn arrivals(&self) -> &[u32] {
        &self.arrivals
    }

    /// Served requests of each second.
    #[must_use]
    pub fn served(&self) -> &[u32] {
        &self.served
    }

    /// Requests a second that the server can serve.
    #[must_use]
    pub const fn capacity(&self) -> f64 {
        self.capacity
    }

    /// Requests that the backlog needs.
    #[must_use]
    pub const fn backlog_batches(&self) -> u64 {
        self.backlog_batches
    }

    /// How often a device was woken, from the first boot on.
    #[must_use]
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    /// Events that did not fit the queues.
    #[must_use]
    pub const fn evicted(&self) -> u64 {
        self.evicted
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a count")]
fn share_of(count: u64, share: f64) -> u64 {
    (count as f64 * share).ceil() as u64
}

fn add_at<T: Copy + Default + core::ops::AddAssign>(counts: &mut Vec<T>, index: u64, more: T) {
    let index = usize::try_from(index).unwrap_or(usize::MAX);
    if counts.len() <= index {
        counts.resize(index + 1, T::default());
    }
    counts[index] += more;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_count_from_the_best() {
        let mut trace = Trace::new(1000, 10.0);
        for n in 1..=1000 {
            trace.add_backlog(2);
            trace.note(1000 + n * 1000, &Happened { age_ms: Some(n * 10_000), drained: true });
        }

        assert_eq!((trace.drained(0.999), trace.drained(1.0)), (Some(999.0), Some(1000.0)));
        assert_eq!(trace.age(0.999), 10_000.0);
        assert_eq!(trace.least_drain(), 200.0);
    }

    #[test]
    fn what_is_never_drained_has_no_time() {
        let mut trace = Trace::new(0, 1.0);
        trace.add_backlog(1);

        assert_eq!(trace.drained(0.999), None);
        assert!(!trace.is_drained());
    }
}
