//! What a life is made of, drawn before it starts: every fault class on or off, and how often.

use core::time::Duration;

use whisperr_core::{Config, Overflow};

use crate::choices::Choices;
use crate::faulty::Rates;
use crate::world::{Options, UTC};

/// What the network and the server do at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weather {
    /// Everything arrives and is answered as the server's rules say.
    Fair,
    /// Now and then something goes wrong.
    Flaky,
    /// Nothing arrives, or no answer does.
    Down,
    /// 500, 502, 503.
    Failing,
    /// 429 beyond a rate.
    Limiting,
    /// 401, 403.
    Auth,
    /// 400, 413, 422, whatever is sent.
    Refusing,
    /// 404 and the like, whatever is sent.
    Dropping,
}

/// How often each kind of action is drawn, relative to the others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weights {
    pub(super) track: u64,
    pub(super) identify: u64,
    pub(super) reset: u64,
    pub(super) wait: u64,
    pub(super) flush: u64,
    pub(super) pause: u64,
    pub(super) kill: u64,
    pub(super) cut: u64,
    pub(super) clock: u64,
    pub(super) faults: u64,
    pub(super) sync: u64,
    pub(super) weather: u64,
    pub(super) look: u64,
    pub(super) settings: u64,
    pub(super) wipe: u64,
    pub(super) token: u64,
    pub(super) lifecycle: u64,
    pub(super) consent: u64,
}

/// Everything drawn for one life.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Setup {
    pub(super) options: Options,
    pub(super) steps: u64,
    pub(super) weights: Weights,
    /// The rates while storage faults are on.
    pub(super) rates: Rates,
    /// Whether the medium itself fails, beside the calls.
    pub(super) medium_faults: bool,
    /// Whether stored bytes rot.
    pub(super) rot: bool,
    /// Whether a call waits for the medium's sync before it is `Ok`, as under `Fsync::Always`.
    pub(super) sync_always: bool,
    pub(super) first_weather: Weather,
    /// Events among so many that the server refuses for what they are; 0 for none.
    pub(super) poison_percent: u64,
    /// Bytes of a body beyond which the server answers 413.
    pub(super) body_limit: Option<usize>,
    /// Whether the `Date` of replies may lie.
    pub(super) lying_dates: bool,
    pub(super) long_texts: bool,
}

pub(super) fn any_config(choices: &Choices) -> Config {
    let seconds = |options: &[u64]| Duration::from_secs(choices.one_of(options));
    Config {
        automatic_events: choices.one_of(&[true, true, true, false]),
        max_queue_size: choices.one_of(&[1000, 60, 20, 8, 3, 1]),
        max_batch_size: choices.one_of(&[500, 20, 7, 2, 1]),
        flush_at: choices.one_of(&[20, 5, 1, 1000]),
        max_retries: choices.one_of(&[6, 3, 1, 0]),
        max_queue_bytes: choices.one_of(&[64 << 20, 8 << 10, 2 << 10]),
        max_request_bytes: choices.one_of(&[512 << 10, 4 << 10, 1 << 10]),
        overflow: choices.one_of(&[Overflow::EvictOldest, Overflow::EvictOldest, Overflow::Refuse]),
        flush_interval: seconds(&[15, 1, 600]),
        retry_base_delay: seconds(&[1, 5]),
        max_retry_delay: seconds(&[300, 30, 3600]),
        request_timeout: seconds(&[30, 1]),
    }
}

impl Setup {
    /// Draws a life.
    #[must_use]
    pub fn draw(choices: &Choices) -> Self {
        let some = |weight: u64| choices.one_of(&[0, weight, weight.saturating_mul(3)]);
        let steps = choices.one_of(&[10, 40, 120]);
        let rate = |rates: &[u64]| choices.one_of(rates);
        let utc = choices.one_of(&[Some(UTC), None, Some(0), Some(UTC.saturating_add(86_400_000 * 400))]);
        Self {
            options: Options {
                config: any_config(choices),
                utc,
                storage_bytes: choices.one_of(&[1 << 17, 12_000, 3000]),
                poor_entropy: choices.percent(20),
            },
            steps,
            weights: Weights {
                track: 12,
                identify: some(2),
                reset: some(1),
                wait: choices.one_of(&[4, 8, 2]),
                flush: some(2),
                pause: some(1),
                kill: some(1),
                cut: some(1),
                clock: some(1),
                faults: some(2),
                sync: some(2),
                weather: some(2),
                look: 2,
                settings: some(1),
                wipe: choices.one_of(&[0, 0, 0, 1]),
                token: some(1),
                lifecycle: some(2),
                consent: some(1),
            },
            rates: Rates {
                write: rate(&[0, 5, 50]),
                full: rate(&[0, 0, 5]),
                remove: rate(&[0, 5, 50]),
                read: rate(&[0, 0, 5, 30]),
                slow: rate(&[0, 0, 20]),
            },
            medium_faults: choices.percent(50),
            rot: choices.percent(10),
            sync_always: choices.percent(50),
            first_weather: any_weather(choices),
            poison_percent: rate(&[0, 0, 3, 20]),
            body_limit: choices.one_of(&[None, None, Some(2000), Some(600)]),
            lying_dates: choices.percent(20),
            long_texts: choices.percent(30),
        }
    }
}

pub(super) fn any_weather(choices: &Choices) -> Weather {
    use Weather::{Auth, Down, Dropping, Failing, Fair, Flaky, Limiting, Refusing};
    choices.one_of(&[Fair, Fair, Flaky, Flaky, Flaky, Down, Failing, Limiting, Auth, Refusing, Dropping])
}

impl Setup {
    /// Bytes of a medium in memory.
    #[must_use]
    pub const fn storage_bytes(&self) -> usize {
        self.options.storage_bytes
    }
}
