//! The figures of a row, and the lines it is judged by.

use crate::scenario::{Line, Scenario};
use crate::trace::Trace;

/// Noise is no overload: arrivals of this many times the capacity in a minute count as at it.
const AT_CAPACITY: f64 = 1.10;

/// The share of the devices that must be drained: a thousandth may have had bad luck.
const MOST: f64 = 0.999;

/// Capacity is used until this share is drained: the last hundredth cannot fill a server.
const NEARLY_ALL: f64 = 0.99;

const HOUR: usize = 3600;

/// What a row comes to, from when the capacity came back.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Figures {
    /// Most arrivals of 1 s, in capacities.
    pub peak_1s: f64,
    /// Most arrivals of 10 s, in capacities.
    pub peak_10s: f64,
    /// Seconds in windows of 10 s with more arrivals than the capacity.
    pub over_capacity: u64,
    /// Requests rejected, or answered too late, per request served, until drained; in the first hour
    /// where there is no backlog.
    pub rejected_per_served: f64,
    /// The share of the capacity that was used until 99 % of the devices were drained.
    pub used: f64,
    /// The least time in which the backlog can be drained, in seconds.
    pub least_drain: f64,
    /// When 99.9 % of the devices were drained, in seconds.
    pub drained: Option<f64>,
    /// When the last device was drained, in seconds.
    pub drained_last: Option<f64>,
    /// From when on no minute had more arrivals than the capacity, in seconds.
    pub settled: f64,
    /// The 99.9th percentile of the age of the oldest event of an acknowledged batch, in seconds.
    pub age: f64,
    /// Autocorrelation of the arrivals at the cap.
    pub waves: f64,
    /// Rejected per served in the last half hour.
    pub rejected_at_end: f64,
    /// Events that did not fit the queues.
    pub evicted: u64,
    /// How often a device was woken in the whole run.
    pub steps: u64,
}

impl Figures {
    /// The figures of what was seen.
    #[must_use]
    pub fn new(scenario: &Scenario, trace: &Trace) -> Self {
        let (arrivals, served, capacity) = (trace.arrivals(), trace.served(), trace.capacity());
        let drained = trace.drained(MOST);
        let until = |share| match trace.drained(share) {
            Some(seconds) => (seconds.ceil() as usize).clamp(1, arrivals.len().max(1)),
            None if scenario.has_backlog() => arrivals.len().max(1),
            None => HOUR,
        };
        let (end, used_end) = (until(MOST), until(NEARLY_ALL));
        let per_10s = windows(arrivals, 10);
        let over = per_10s.iter().filter(|count| **count > capacity * 10.0).count() as u64;
        let per_minute = windows(arrivals, 60);
        let last_over = per_minute.iter().rposition(|count| *count > capacity * 60.0 * AT_CAPACITY);
        Self {
            peak_1s: peak(&windows(arrivals, 1)) / capacity,
            peak_10s: peak(&per_10s) / capacity / 10.0,
            over_capacity: over * 10,
            rejected_per_served: rejected(head(arrivals, end), head(served, end)),
            used: sum(head(served, used_end)) / capacity / used_end as f64,
            least_drain: trace.least_drain(),
            drained,
            drained_last: trace.drained(1.0),
            settled: last_over.map_or(0.0, |minute| (minute + 1) as f64 * 60.0),
            age: trace.age(MOST),
            waves: autocorrelation(&per_10s, (scenario.cap as usize).div_ceil(10)),
            rejected_at_end: rejected(tail(arrivals, HOUR / 2), tail(served, HOUR / 2)),
            evicted: trace.evicted(),
            steps: trace.steps(),
        }
    }

    /// Whether a line is met.
    #[must_use]
    pub fn meets(&self, line: Line) -> bool {
        match line {
            Line::Rejected => self.rejected_per_served <= 0.10,
            Line::Peak => self.peak_10s <= 2.0,
            Line::Settled => self.settled <= 300.0,
            Line::Drained => self.drained.is_some_and(|seconds| seconds <= 1.5 * self.least_drain),
            Line::Used => self.used >= 0.85,
            Line::Waves => self.waves < 0.1,
            Line::Recovered => self.rejected_at_end < 0.01,
        }
    }

    /// The lines that say something about this row and are missed.
    #[must_use]
    pub fn missed(&self, scenario: &Scenario) -> Vec<Line> {
        let judged = Line::ALL.into_iter().filter(|line| scenario.is_judged_by(*line));
        judged.filter(|line| !self.meets(*line)).collect()
    }
}

/// Sums of whole windows of so many seconds.
fn windows(counts: &[u32], seconds: usize) -> Vec<f64> {
    counts.chunks_exact(seconds).map(sum).collect()
}

fn sum(counts: &[u32]) -> f64 {
    counts.iter().map(|count| u64::from(*count)).sum::<u64>() as f64
}

fn head(counts: &[u32], len: usize) -> &[u32] {
    &counts[..len.min(counts.len())]
}

fn tail(counts: &[u32], len: usize) -> &[u32] {
    &counts[counts.len().saturating_sub(len)..]
}

fn peak(windows: &[f64]) -> f64 {
    windows.iter().copied().fold(0.0, f64::max)
}

fn rejected(arrivals: &[u32], served: &[u32]) -> f64 {
    (sum(arrivals) - sum(served)) / sum(served).max(1.0)
}

/// How alike a series is to itself `lag` steps later, once its trend, the mean over `lag` steps
/// around each, is taken off: a fleet that drains is no wave.
fn autocorrelation(series: &[f64], lag: usize) -> f64 {
    if lag == 0 || series.len() < 3 * lag {
        return 0.0;
    }
    let half = lag / 2;
    let detrended: Vec<f64> = (half..series.len() - half)
        .map(|at| {
            let around = &series[at - half..=at + half];
            series[at] - around.iter().sum::<f64>() / around.len() as f64
        })
        .collect();
    let variance: f64 = detrended.iter().map(|value| value * value).sum();
    let pairs = detrended.iter().zip(&detrended[lag..]);
    let covariance: f64 = pairs.map(|(value, later)| value * later).sum();
    if variance > 0.0 { covariance / variance } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::Chance;

    #[test]
    fn waves_of_the_lag_correlate_and_noise_and_trends_do_not() {
        let mut chance = Chance::new(1);
        let wave: Vec<f64> = (0..1000).map(|n| if n % 30 < 5 { 10.0 } else { 0.0 }).collect();
        let noise: Vec<f64> = (0..1000).map(|_| chance.below(100) as f64).collect();
        let trend: Vec<f64> = (0..1000).map(|n| f64::from(1000 - n)).collect();
        let both: Vec<f64> = trend.iter().zip(&noise).map(|(trend, noise)| trend + noise).collect();

        assert!(autocorrelation(&wave, 30) > 0.9);
        assert!(autocorrelation(&wave, 22) < 0.1);
        assert!(autocorrelation(&noise, 30).abs() < 0.1);
        assert!(autocorrelation(&both, 30).abs() < 0.1);
        assert_eq!(autocorrelation(&[0.0; 100], 30), 0.0);
        assert_eq!(autocorrelation(&[1.0; 3], 30), 0.0);
    }
}
