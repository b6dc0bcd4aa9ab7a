//! Every setting of the core: default, unit, range, source.

use core::fmt;
use core::time::Duration;

/// Most events the server takes in one request (contract, section 1).
pub const BATCH_EVENTS_MAX: u16 = 500;

/// What happens when the queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[expect(clippy::exhaustive_enums, reason = "there is no third way")]
pub enum Overflow {
    /// The oldest event is evicted and surfaced (contract, section 4).
    #[default]
    EvictOldest,
    /// The new operation is refused: for producers that can wait, such as a pipe.
    Refuse,
}

/// The settings of the queue and its delivery. Names and defaults are those of every Whisperr SDK
/// (contract, section 4); a wrong value is refused when the client is built, never clamped.
///
/// ```
/// use core::time::Duration;
/// use whisperr_core::Config;
///
/// let config = Config { flush_interval: Duration::from_secs(60), ..Config::DEFAULT };
/// assert!(config.validate().is_ok());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "built with struct update from DEFAULT in const context")]
pub struct Config {
    /// How long a queued event waits for company before it is sent, up to a quarter less by chance, and
    /// up to half of it less after a start. The backlog of an outage is paced by it, too: one request per
    /// interval at the slowest. Default 15 s; 1 s to 24 h.
    pub flush_interval: Duration,
    /// How many queued operations start a flush at once. Default 20; 1 to 10,000,000.
    pub flush_at: u32,
    /// Most events in one request. Default 500; 1 to 500.
    pub max_batch_size: u16,
    /// Most operations in the queue; past it the oldest event is evicted. Default 1000; 1 to 10,000,000.
    pub max_queue_size: u32,
    /// Most bytes of records in the queue; past it the oldest event is evicted. Default 64 MiB;
    /// 1 KiB to 1 TiB. Not in the contract: a queue that is bounded in operations only is not bounded.
    pub max_queue_bytes: u64,
    /// What happens when the queue is full. Default [`Overflow::EvictOldest`].
    pub overflow: Overflow,
    /// Most bytes of a request body of several events; one event larger than that is sent alone.
    /// Default 512 KiB; 1 KiB to 64 MiB. Not in the contract, which names no limit but answers 413.
    pub max_request_bytes: u32,
    /// How many retries follow a failed attempt before `retry_exhausted` is surfaced. Default 6; 0 to 1000.
    pub max_retries: u32,
    /// The ceiling of the first backoff; it doubles with each failure. Default 1 s; 10 ms to 1 h.
    pub retry_base_delay: Duration,
    /// The ceiling of every backoff. Default 5 min; `retry_base_delay` to 24 h. Once the retries are
    /// spent, delivery goes on at this pace, but never more than about twice per flush interval.
    pub max_retry_delay: Duration,
    /// How long an attempt may take before it counts as unanswered. Default 30 s; 100 ms to 10 min.
    pub request_timeout: Duration,
    /// Whether launches, installations, updates, and moves to the foreground and background are reported as events
    /// (contract, section 9). Default true.
    pub automatic_events: bool,
}

impl Config {
    /// The defaults of the contract, for `const` contexts.
    pub const DEFAULT: Self = Self {
        flush_interval: Duration::from_secs(15),
        flush_at: 20,
        max_batch_size: BATCH_EVENTS_MAX,
        max_queue_size: 1000,
        max_queue_bytes: 64 << 20,
        overflow: Overflow::EvictOldest,
        max_request_bytes: 512 << 10,
        max_retries: 6,
        retry_base_delay: Duration::from_secs(1),
        max_retry_delay: Duration::from_secs(300),
        request_timeout: Duration::from_secs(30),
        automatic_events: true,
    };

    /// Checks every value against its range.
    ///
    /// # Errors
    /// [`ConfigError`] with the name and the legal range of the first value outside it.
    pub fn validate(&self) -> Result<(), ConfigError> {
        const DAY: Duration = Duration::from_secs(86_400);
        number("flush_at", self.flush_at.into(), 1, 10_000_000)?;
        number("max_batch_size", self.max_batch_size.into(), 1, BATCH_EVENTS_MAX.into())?;
        number("max_queue_size", self.max_queue_size.into(), 1, 10_000_000)?;
        number("max_queue_bytes", self.max_queue_bytes, 1 << 10, 1 << 40)?;
        number("max_request_bytes", self.max_request_bytes.into(), 1 << 10, 64 << 20)?;
        number("max_retries", self.max_retries.into(), 0, 1000)?;
        duration("flush_interval", self.flush_interval, Duration::from_secs(1), DAY)?;
        duration(
            "retry_base_delay",
            self.retry_base_delay,
            Duration::from_millis(10),
            Duration::from_secs(3600),
        )?;
        duration("max_retry_delay", self.max_retry_delay, self.retry_base_delay, DAY)?;
        duration(
            "request_timeout",
            self.request_timeout,
            Duration::from_millis(100),
            Duration::from_secs(600),
        )
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::DEFAULT
    }
}

fn number(name: &'static str, value: u64, min: u64, max: u64) -> Result<(), ConfigError> {
    if (min..=max).contains(&value) { Ok(()) } else { Err(ConfigError::Number { name, value, min, max }) }
}

fn duration(name: &'static str, value: Duration, min: Duration, max: Duration) -> Result<(), ConfigError> {
    if (min..=max).contains(&value) { Ok(()) } else { Err(ConfigError::Duration { name, value, min, max }) }
}

/// A setting is outside its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// A count or a size.
    Number {
        /// The name of the setting.
        name: &'static str,
        /// What it was set to.
        value: u64,
        /// The smallest legal value.
        min: u64,
        /// The largest legal value.
        max: u64,
    },
    /// A duration.
    Duration {
        /// The name of the setting.
        name: &'static str,
        /// What it was set to.
        value: Duration,
        /// The shortest legal value.
        min: Duration,
        /// The longest legal value.
        max: Duration,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number { name, value, min, max } => {
                write!(f, "{name} of {value} is outside {min} to {max}")
            }
            Self::Duration { name, value, min, max } => {
                write!(f, "{name} of {value:?} is outside {min:?} to {max:?}")
            }
        }
    }
}

impl core::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_pass_and_just_beyond_fails() {
        let ms = Duration::from_millis;
        let secs = Duration::from_secs;
        let ok = Config::DEFAULT;
        for (config, legal) in [
            (ok, true),
            (Config { flush_at: 1, ..ok }, true),
            (Config { flush_at: 0, ..ok }, false),
            (Config { max_batch_size: 500, ..ok }, true),
            (Config { max_batch_size: 501, ..ok }, false),
            (Config { max_batch_size: 0, ..ok }, false),
            (Config { max_queue_size: 10_000_000, ..ok }, true),
            (Config { max_queue_size: 10_000_001, ..ok }, false),
            (Config { max_queue_size: 0, ..ok }, false),
            (Config { max_queue_bytes: 1024, ..ok }, true),
            (Config { max_queue_bytes: 1023, ..ok }, false),
            (Config { max_request_bytes: 1023, ..ok }, false),
            (Config { max_retries: 0, ..ok }, true),
            (Config { max_retries: 1001, ..ok }, false),
            (Config { flush_interval: secs(1), ..ok }, true),
            (Config { flush_interval: ms(999), ..ok }, false),
            (Config { flush_interval: secs(86_401), ..ok }, false),
            (Config { retry_base_delay: ms(10), ..ok }, true),
            (Config { retry_base_delay: ms(9), ..ok }, false),
            (Config { retry_base_delay: secs(301), ..ok }, false),
            (Config { max_retry_delay: secs(1), ..ok }, true),
            (Config { max_retry_delay: ms(999), ..ok }, false),
            (Config { request_timeout: ms(100), ..ok }, true),
            (Config { request_timeout: ms(99), ..ok }, false),
            (Config { request_timeout: secs(601), ..ok }, false),
        ] {
            assert_eq!(config.validate().is_ok(), legal, "{config:?}");
        }
    }
}
