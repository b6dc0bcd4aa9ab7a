//! The run of one row.

use whisperr_core::Config;

use crate::chance::Chance;
use crate::device::{Device, Happened, Want};
use crate::scenario::{EVENT_PERIOD_MS, Event, FLUSH_INTERVAL, PLAYED_MAX_S, Scenario};
use crate::server::{Answer, Replies, Server};
use crate::trace::Trace;
use crate::wheel::Wheel;

/// How a run is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the command line fills it")]
pub struct Options {
    /// How many devices.
    pub devices: u32,
    /// The same seed gives the same run.
    pub seed: u64,
    /// Whether a long outage is played to its end, and not only its first hours.
    pub whole_outage: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { devices: 100_000, seed: 1, whole_outage: false }
    }
}

/// Bytes that a device costs, its place in the wheel included.
pub const DEVICE_BYTES: usize = size_of::<Device>() + size_of::<u32>();

/// Normal times before an outage: the phases of the devices drift apart.
const WARM_UP_MS: u64 = 3 * FLUSH_INTERVAL.as_millis() as u64;

/// How long devices take to boot: all at once after a power cut, spread in normal times.
const BOOT_TOGETHER_MS: u64 = 5000;
const BOOT_SPREAD_MS: u64 = FLUSH_INTERVAL.as_millis() as u64;

/// How long a run is watched at least, once the server is back: long enough to tell waves from noise.
const WATCHED_MS: u64 = 3 * 3600 * 1000;

/// How long it is watched after the backlog is gone.
const AFTER_DRAINED_MS: u64 = 3600 * 1000;

struct Fleet<'a> {
    scenario: &'a Scenario,
    config: Config,
    devices: Vec<Device>,
    wheel: Wheel,
    server: Server,
    replies: Replies,
    /// What is measured, once the server is back.
    trace: Option<Trace>,
    now_ms: u64,
    steps: u64,
}

/// Plays a row and returns what was seen of it.
#[must_use]
pub fn run(scenario: &Scenario, options: &Options) -> Trace {
    let mut fleet = Fleet::new(scenario, options);
    let skipped_ms = match scenario.event {
        Event::Boot { .. } => 0,
        Event::Outage { length, outage } => {
            // A dip is only seen against a calm background; an outage leaves nothing of what was before.
            let warm_up_ms = if scenario.has_backlog() { WARM_UP_MS } else { 4 * WARM_UP_MS };
            let start_ms = BOOT_SPREAD_MS + warm_up_ms;
            fleet.server.set_unlimited(true);
            fleet.play_until(start_ms);
            fleet.server.set_unlimited(false);
            fleet.server.set_outage(Some(outage));
            let played = if options.whole_outage { length } else { length.min(PLAYED_MAX_S) };
            fleet.play_until(start_ms + played * 1000);
            fleet.server.set_outage(None);
            (length - played) * 1000
        }
    };
    fleet.come_back(skipped_ms)
}

impl<'a> Fleet<'a> {
    fn new(scenario: &'a Scenario, options: &Options) -> Self {
        let config = scenario.config();
        let mut chance = Chance::new(options.seed);
        let timeout_ms = config.request_timeout.as_millis() as u64;
        let capacity = scenario.capacity(options.devices);
        let server = Server::new(capacity, scenario.overload, timeout_ms, chance.next());
        let mut wheel = Wheel::new(options.devices, chance.next());
        let (spread, backlog) = match scenario.event {
            Event::Boot { backlog } => (BOOT_TOGETHER_MS, backlog),
            Event::Outage { .. } => (BOOT_SPREAD_MS, 0),
        };
        let devices = (0..options.devices).map(|number| {
            let boot_ms = chance.below(spread);
            let next_event = i64::try_from(boot_ms + 1 + chance.below(EVENT_PERIOD_MS)).unwrap_or(i64::MAX);
            let first_event = next_event - i64::from(backlog) * EVENT_PERIOD_MS as i64;
            wheel.schedule(number, boot_ms);
            Device::new(&config, chance.seed(), boot_ms, first_event)
        });
        let devices = devices.collect();
        let replies = Replies::new();
        Self { scenario, config, devices, wheel, server, replies, trace: None, now_ms: 0, steps: 0 }
    }

    fn play_until(&mut self, until_ms: u64) {
        while self.now_ms < until_ms {
            self.now_ms = self.wheel.turn();
            while let Some(number) = self.wheel.pop() {
                self.step(number);
            }
        }
    }

    fn step(&mut self, number: u32) {
        self.steps += 1;
        let Some(device) = self.devices.get_mut(number as usize) else { return };
        let reply = device.answer().and_then(|answer| self.replies.get(answer));
        let mut happened = Happened::default();
        let want = device.wake(self.now_ms, &self.config, reply, &mut happened);
        if let Some(trace) = &mut self.trace {
            trace.note(self.now_ms, &happened);
        }
        let until_ms = match want {
            Want::Sleep { until_ms } => until_ms,
            Want::Send => {
                let fate = self.server.handle(self.now_ms);
                device.set_answer(fate.answer);
                if let Some(trace) = &mut self.trace {
                    trace.note_request(self.now_ms, fate.answer == Answer::Accepted);
                }
                fate.at_ms
            }
        };
        self.wheel.schedule(number, until_ms);
    }

    /// The capacity is back: from here on it is measured.
    fn come_back(mut self, skipped_ms: u64) -> Trace {
        let mut trace = Trace::new(self.now_ms, self.scenario.capacity(self.devices.len() as u32));
        for device in &mut self.devices {
            device.skip(i64::try_from(skipped_ms).unwrap_or(0));
            if self.scenario.has_backlog() {
                let owed = device.start_draining(self.now_ms, &self.config);
                trace.add_backlog(owed.div_ceil(self.config.max_batch_size.into()));
            }
        }
        self.trace = Some(trace);
        let start_ms = self.now_ms;
        let mut end_ms = start_ms + WATCHED_MS;
        // Four times as long as it should take, and then it is what it is.
        let limit_ms = end_ms + 4 * self.trace.as_ref().map_or(0, Trace::least_drain_ms);
        while self.now_ms < end_ms {
            self.play_until(self.now_ms + 60_000);
            if self.trace.as_ref().is_some_and(|trace| !trace.is_drained()) {
                end_ms = end_ms.max(self.now_ms + AFTER_DRAINED_MS).min(limit_ms);
            }
        }
        let evicted = self.devices.iter().map(|device| u64::from(device.evicted())).sum();
        let trace = self.trace.unwrap_or_else(|| Trace::new(start_ms, 0.0));
        trace.end(self.now_ms, self.steps, evicted)
    }
}
