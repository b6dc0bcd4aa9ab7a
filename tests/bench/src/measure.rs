//! What a process can say of itself.

use core::time::Duration;
use std::fs;
use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};

/// Time by the wall and by the processor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch {
    wall: Instant,
    cpu: Duration,
}

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self { wall: Instant::now(), cpu: cpu_time() }
    }

    /// Seconds by the wall, nanoseconds by the processor.
    pub(crate) fn read(self) -> (f64, f64) {
        let cpu = cpu_time().saturating_sub(self.cpu);
        (self.wall.elapsed().as_secs_f64(), cpu.as_secs_f64() * 1e9)
    }
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Peak memory of this process in megabytes (10^6 bytes); 0 where the system does not say.
pub(crate) fn peak_memory_mb() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: Option<f64> = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok());
    kib.unwrap_or(0.0) * 1024.0 / 1e6
}

/// Prints how long calls took.
pub(crate) fn print_percentiles(mut nanos: Vec<u32>) {
    nanos.sort_unstable();
    for (name, share) in [("p50", 0.5), ("p99", 0.99), ("p999", 0.999)] {
        println!("{name}_ns={}", percentile(&nanos, share));
    }
}

/// The value below which this share of the samples lies, in nanoseconds.
fn percentile(sorted: &[u32], share: f64) -> f64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a length")]
    let at = (sorted.len() as f64 * share) as usize;
    f64::from(sorted.get(at.min(sorted.len().saturating_sub(1))).copied().unwrap_or(0))
}
