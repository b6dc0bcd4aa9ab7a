//! A device: the core's delivery machine, and a queue that is only counted.

use whisperr_core::{Action, Batch, Config, Delivery, Instant, Reply, Seq};

use crate::scenario::EVENT_PERIOD_MS;
use crate::server::Answer;

/// Bytes of an event in a body; no row is limited by them.
const EVENT_BYTES: usize = 300;

/// Events are not recorded one by one: how many there are follows from the time. The machine is told
/// of one only when its queue was empty, which is the only time it listens.
#[derive(Debug)]
pub(crate) struct Device {
    delivery: Delivery,
    /// When its first event happened; before the start of time for a device with a backlog.
    first_event_ms: i64,
    /// Events that left the queue, delivered or evicted.
    gone: u32,
    evicted: u32,
    /// How many must be gone for the backlog to be drained; 0 when it is.
    goal: u32,
    /// What the server said, until the device hears it.
    answer: Option<Answer>,
}

/// What a device wants of the world.
#[derive(Debug)]
pub(crate) enum Want {
    /// Its request to be answered.
    Send,
    /// To be woken.
    Sleep { until_ms: u64 },
}

/// What happened while a device was awake.
#[derive(Debug, Default)]
pub(crate) struct Happened {
    /// A batch was acknowledged, and its oldest event had this age.
    pub(crate) age_ms: Option<u64>,
    /// The last event of the backlog left.
    pub(crate) drained: bool,
}

impl Device {
    pub(crate) fn new(config: &Config, seed: u128, boot_ms: u64, first_event_ms: i64) -> Self {
        let boot = Instant::from_millis(boot_ms);
        let owed = produced(first_event_ms, boot_ms);
        let delivery = Delivery::new(config, seed, boot, owed);
        Self { delivery, first_event_ms, gone: 0, evicted: 0, goal: 0, answer: None }
    }

    /// Keeps the answer until the device is woken for it.
    pub(crate) const fn set_answer(&mut self, answer: Answer) {
        self.answer = Some(answer);
    }

    pub(crate) const fn answer(&self) -> Option<Answer> {
        self.answer
    }

    /// As if so much time had passed in which nothing but events happened.
    pub(crate) const fn skip(&mut self, ms: i64) {
        self.first_event_ms -= ms;
    }

    /// What is owed now is the backlog; returns how many events that is.
    pub(crate) fn start_draining(&mut self, now_ms: u64, config: &Config) -> u32 {
        let owed = self.owed(now_ms, config);
        self.goal = if owed > 0 { self.gone + owed } else { 0 };
        owed
    }

    pub(crate) const fn evicted(&self) -> u32 {
        self.evicted
    }

    /// Wakes the device; `reply` ends the attempt under way, if there is one.
    pub(crate) fn wake(
        &mut self,
        now_ms: u64,
        config: &Config,
        reply: Option<Reply>,
        happened: &mut Happened,
    ) -> Want {
        let now = Instant::from_millis(now_ms);
        if self.answer.take().is_some() {
            self.delivery.handle_reply(now, None, reply);
        } else if self.produced(now_ms) == self.gone + 1 {
            // A machine that heard of this event before is only told again.
            let _wake = self.delivery.handle_enqueued(now, 1, false);
        }
        loop {
            let owed = self.owed(now_ms, config);
            match self.delivery.poll(now, owed) {
                Action::Send(limit) => {
                    #[expect(clippy::cast_possible_truncation, reason = "at most the limit, which fits")]
                    let count = owed.min(limit.events.into()) as u16;
                    let first = Seq::new(u64::from(self.gone) + 1);
                    let Some(batch) = Batch::of_events(first, count, usize::from(count) * EVENT_BYTES) else {
                        continue;
                    };
                    self.delivery.handle_sending(now, batch);
                    return Want::Send;
                }
                Action::Remove(batch) => {
                    happened.age_ms = self.age_of_oldest(now_ms);
                    self.gone += u32::from(batch.count());
                    let _exit = self.delivery.handle_removed(now, true);
                    happened.drained |= self.check_goal();
                }
                Action::Notify(_) => {}
                Action::Wait { until: Some(until) } => return Want::Sleep { until_ms: until.as_millis() },
                Action::Wait { until: None } => return Want::Sleep { until_ms: self.next_event(now_ms) },
                Action::Stop => return Want::Sleep { until_ms: u64::MAX },
            }
        }
    }

    fn check_goal(&mut self) -> bool {
        let reached = self.goal > 0 && self.gone >= self.goal;
        if reached {
            self.goal = 0;
        }
        reached
    }

    /// How many events are owed, once the bound of the queue was applied. Between attempts only:
    /// what is in flight is pinned.
    fn owed(&mut self, now_ms: u64, config: &Config) -> u32 {
        let owed = self.produced(now_ms).saturating_sub(self.gone);
        let over = owed.saturating_sub(config.max_queue_size);
        if over > 0 && self.delivery.in_flight().is_none() {
            self.gone += over;
            self.evicted += over;
        }
        owed - over
    }

    fn produced(&self, now_ms: u64) -> u32 {
        produced(self.first_event_ms, now_ms)
    }

    fn next_event(&self, now_ms: u64) -> u64 {
        let number = i64::from(self.produced(now_ms));
        u64::try_from(self.first_event_ms + number * EVENT_PERIOD_MS as i64).unwrap_or(0)
    }

    fn age_of_oldest(&self, now_ms: u64) -> Option<u64> {
        let happened = self.first_event_ms + i64::from(self.gone) * EVENT_PERIOD_MS as i64;
        u64::try_from(i64::try_from(now_ms).ok()? - happened).ok()
    }
}

/// How many events happened until now.
fn produced(first_event_ms: i64, now_ms: u64) -> u32 {
    let since = i64::try_from(now_ms).unwrap_or(i64::MAX) - first_event_ms;
    u64::try_from(since).map_or(0, |since| u32::try_from(since / EVENT_PERIOD_MS + 1).unwrap_or(u32::MAX))
}
