//! The rows: what happens to the fleet, and which of its lines cannot be met.

use core::time::Duration;

use whisperr_core::Config;

use crate::server::{Outage, Overload};

/// How often a device records an event: 0.02 a second.
pub const EVENT_PERIOD_MS: u64 = 50_000;

/// How long events wait for company here; the cap of a backoff is below and above it, by row.
pub const FLUSH_INTERVAL: Duration = Duration::from_secs(600);

/// Most events a device keeps: more than two weeks of them, so that nothing hides the backlog.
pub const QUEUE_MAX: u32 = 30_000;

/// How much of a longer outage is played event by event unless the whole is asked for: 12 times the
/// cap of 900 s, after which a fleet has no memory of how the outage began.
pub const PLAYED_MAX_S: u64 = 3 * 3600;

/// What a row is judged by (reliability study, section 3.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the study names these")]
pub enum Line {
    /// At most 0.10 requests rejected per request served.
    Rejected,
    /// Arrivals of at most twice the capacity, in any 10 s.
    Peak,
    /// Arrivals at or below the capacity after 5 minutes, and from then on.
    Settled,
    /// The backlog is gone in 1.5 times the least time there is.
    Drained,
    /// At least 0.85 of the capacity is used while there is a backlog.
    Used,
    /// Arrivals do not come in waves of the length of the cap.
    Waves,
    /// The last half hour is without a rejection.
    Recovered,
}

impl Line {
    /// Every line.
    pub const ALL: [Self; 7] =
        [Self::Rejected, Self::Peak, Self::Settled, Self::Drained, Self::Used, Self::Waves, Self::Recovered];

    /// What is asked for, in words.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Rejected => "rejected / served <= 0.10",
            Self::Peak => "peak <= 2x capacity",
            Self::Settled => "at or below capacity within 5 min",
            Self::Drained => "drained in <= 1.5x the least time",
            Self::Used => "capacity used >= 0.85",
            Self::Waves => "autocorrelation < 0.1",
            Self::Recovered => "recovers by itself",
        }
    }
}

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "rows choose among them")]
pub enum Event {
    /// The server goes away for so many seconds, and comes back.
    Outage {
        /// Seconds.
        length: u64,
        /// What is answered meanwhile.
        outage: Outage,
    },
    /// All devices start within 5 seconds, each with so many events from before.
    Boot {
        /// Events that each device still owes.
        backlog: u32,
    },
}

/// A row of the table.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "rows are literals")]
pub struct Scenario {
    /// The name, for `--row`.
    pub name: &'static str,
    /// The row in words.
    pub title: &'static str,
    /// What happens.
    pub event: Event,
    /// The load of normal times in percent of the capacity.
    pub utilisation: u64,
    /// `max_retry_delay` in seconds.
    pub cap: u64,
    /// What the server does with too much.
    pub overload: Overload,
    /// `max_queue_size`.
    pub queue: u32,
    /// Whether it is played on every change, and not only by hand.
    pub ci: bool,
    /// Lines that this row misses, and why.
    pub misses: &'static [(Line, &'static str)],
}

impl Scenario {
    /// The settings of every device.
    #[must_use]
    pub fn config(&self) -> Config {
        Config {
            flush_interval: FLUSH_INTERVAL,
            // Only the interval starts a flush: 0.02 events a second never reach a number.
            flush_at: 10_000_000,
            max_queue_size: self.queue,
            max_retry_delay: Duration::from_secs(self.cap),
            ..Config::DEFAULT
        }
    }

    /// Requests a second of `devices` devices in normal times: a flush at seven eighths of the
    /// interval on average, and then half a period until the next event.
    #[must_use]
    pub fn base_load(devices: u32) -> f64 {
        let interval_ms = FLUSH_INTERVAL.as_millis() as f64 * 7.0 / 8.0 + EVENT_PERIOD_MS as f64 / 2.0;
        f64::from(devices) * 1000.0 / interval_ms
    }

    /// Requests a second that the server can serve.
    #[must_use]
    pub fn capacity(&self, devices: u32) -> f64 {
        Self::base_load(devices) * 100.0 / self.utilisation as f64
    }

    /// Whether there is a backlog to drain: an outage of seconds leaves nothing that would not have
    /// waited anyway.
    #[must_use]
    pub const fn has_backlog(&self) -> bool {
        match self.event {
            Event::Outage { length, .. } => length > FLUSH_INTERVAL.as_secs(),
            Event::Boot { backlog } => backlog > 0,
        }
    }

    /// Whether a line says anything about this row.
    #[must_use]
    pub const fn is_judged_by(&self, line: Line) -> bool {
        match line {
            Line::Drained | Line::Used => self.has_backlog(),
            _ => true,
        }
    }

    /// Why this row misses a line, when that is known.
    #[must_use]
    pub fn expected_miss(&self, line: Line) -> Option<&'static str> {
        self.misses.iter().find(|(missed, _)| *missed == line).map(|(_, reason)| *reason)
    }
}

const HOUR: u64 = 3600;

const SHARING: &str = "a device learns that there is room only by asking for more until it is refused: \
    while all share what there is, single minutes reach 1.2x and 0.03 are refused. Without it a fleet at \
    util 0.5 drains at 0.6 of the capacity";
const TWO_BATCHES: &str = "the second batch follows the first after 300 to 600 s: a device cannot know \
    that util is 0.5, and at util 0.95 anything faster than the flush interval is an overload";
const FIRST_WAVE: &str = "the second batches of those who found the server in the first minutes meet the \
    first ones of those who wait up to 900 s: 1.2x in the minutes around 600 s, and nothing after";

const SIX_HOURS: Scenario = Scenario {
    name: "6h-cap300",
    title: "6 h outage, util 0.5, cap 300 s",
    event: Event::Outage { length: 6 * HOUR, outage: Outage::Silent },
    utilisation: 50,
    cap: 300,
    overload: Overload::RetryAfter,
    queue: QUEUE_MAX,
    ci: false,
    misses: &[],
};
const THREE_DAYS: Scenario = Scenario {
    name: "72h-cap900",
    title: "72 h outage, util 0.8, cap 900 s",
    event: Event::Outage { length: 72 * HOUR, outage: Outage::Silent },
    utilisation: 80,
    cap: 900,
    misses: &[(Line::Settled, FIRST_WAVE)],
    ..SIX_HOURS
};
const TWO_WEEKS: Scenario = Scenario {
    name: "336h-cap900",
    title: "336 h outage, util 0.5, cap 900 s",
    event: Event::Outage { length: 336 * HOUR, outage: Outage::Silent },
    cap: 900,
    misses: &[(Line::Settled, SHARING)],
    ..SIX_HOURS
};
const DIP: Scenario = Scenario {
    name: "dip",
    title: "10 s dip, util 0.95, cap 300 s",
    event: Event::Outage { length: 10, outage: Outage::Silent },
    utilisation: 95,
    ..SIX_HOURS
};

/// Every row, in the order of the table.
pub const SCENARIOS: &[Scenario] = &[
    Scenario { name: "6h-cap60", title: "6 h outage, util 0.5, cap 60 s", cap: 60, ..SIX_HOURS },
    Scenario { ci: true, ..SIX_HOURS },
    Scenario {
        name: "6h-cap300-503",
        title: "6 h of 503, util 0.5, cap 300 s",
        event: Event::Outage { length: 6 * HOUR, outage: Outage::Unavailable },
        ..SIX_HOURS
    },
    Scenario {
        name: "6h-cap300-bare",
        title: "6 h of 503, util 0.5, cap 300 s, no Retry-After",
        event: Event::Outage { length: 6 * HOUR, outage: Outage::Unavailable },
        overload: Overload::Refuse,
        ..SIX_HOURS
    },
    Scenario {
        name: "6h-cap300-queue",
        title: "6 h outage, util 0.5, cap 300 s, a server that refuses nothing",
        overload: Overload::Queue,
        ..SIX_HOURS
    },
    Scenario {
        name: "6h-cap3600",
        title: "6 h outage, util 0.5, cap 3600 s",
        cap: 3600,
        misses: &[(Line::Drained, HOUR_CAP), (Line::Used, HOUR_CAP)],
        ..SIX_HOURS
    },
    Scenario {
        name: "boot-backlog",
        title: "boot within 5 s, 432 events each, util 0.5, cap 300 s",
        event: Event::Boot { backlog: 432 },
        ci: true,
        misses: &[(Line::Drained, START), (Line::Used, START)],
        ..SIX_HOURS
    },
    Scenario {
        name: "boot",
        title: "boot within 5 s, no backlog, util 0.5, cap 300 s",
        event: Event::Boot { backlog: 0 },
        ci: true,
        ..SIX_HOURS
    },
    Scenario { ci: true, ..THREE_DAYS },
    Scenario {
        name: "72h-cap900-bare",
        title: "72 h of 503, util 0.8, cap 900 s, no Retry-After",
        event: Event::Outage { length: 72 * HOUR, outage: Outage::Unavailable },
        overload: Overload::Refuse,
        misses: &[(Line::Settled, FIRST_WAVE), (Line::Waves, FIRST_WAVE)],
        ..THREE_DAYS
    },
    Scenario { ci: true, ..TWO_WEEKS },
    Scenario { name: "336h-cap300", title: "336 h outage, util 0.5, cap 300 s", cap: 300, ..TWO_WEEKS },
    Scenario {
        name: "336h-queue1000",
        title: "336 h outage, util 0.5, cap 300 s, queue of 1000",
        cap: 300,
        queue: 1000,
        misses: &[(Line::Drained, TWO_BATCHES), (Line::Used, TWO_BATCHES)],
        ..TWO_WEEKS
    },
    Scenario { ci: true, ..DIP },
    Scenario {
        name: "dip-bare",
        title: "10 s of 503, util 0.95, cap 300 s, no Retry-After",
        event: Event::Outage { length: 10, outage: Outage::Unavailable },
        overload: Overload::Refuse,
        misses: &[(Line::Peak, QUICK_RETRIES)],
        ..DIP
    },
    Scenario {
        name: "dip-queue",
        title: "10 s dip, util 0.95, cap 300 s, a server that refuses nothing",
        overload: Overload::Queue,
        ci: true,
        ..DIP
    },
];

const HOUR_CAP: &str = "a device that may wait an hour looks every half hour: the fleet is back after an \
    hour, 13 times the least time, at half the capacity and without a refusal. That is what such a cap buys";
const START: &str = "a start with a backlog is spread over the flush interval, 2.2 times the least time: a \
    device cannot know that util is 0.5, and at util 0.95 anything faster is an overload";
const QUICK_RETRIES: &str = "the contract's first retries follow within 1, 2 and 4 s, and this server does not \
    say when: who was refused during the dip is back within seconds. It is over within a minute";
