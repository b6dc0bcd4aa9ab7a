//! The rules that the fleet is owed, each on one delivery machine.
#![expect(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "a test may fail")]

use core::time::Duration;

use whisperr_core::{Action, Batch, Config, Delivery, Instant, Reply, Seq};

/// A device whose queue is a number.
struct Device {
    delivery: Delivery,
    now_ms: u64,
    owed: u32,
}

const CONFIG: Config = Config {
    flush_interval: Duration::from_secs(600),
    flush_at: 1_000_000,
    max_batch_size: 10,
    max_retry_delay: Duration::from_secs(60),
    ..Config::DEFAULT
};

impl Device {
    fn new(config: &Config, seed: u128) -> Self {
        Self { delivery: Delivery::new(config, seed, Instant::START, 0), now_ms: 0, owed: 0 }
    }

    fn now(&self) -> Instant {
        Instant::from_millis(self.now_ms)
    }

    fn track(&mut self, events: u32) {
        for _ in 0..events {
            self.owed += 1;
            let _wake = self.delivery.handle_enqueued(self.now(), self.owed, false);
        }
    }

    /// Runs until a request goes out; returns how long that took in milliseconds.
    fn send(&mut self) -> u64 {
        let start = self.now_ms;
        loop {
            match self.delivery.poll(self.now(), self.owed) {
                Action::Send(limit) => {
                    let count = u16::try_from(self.owed).unwrap().min(limit.events);
                    let batch = Batch::of_events(Seq::FIRST, count, 100).unwrap();
                    self.delivery.handle_sending(self.now(), batch);
                    return self.now_ms - start;
                }
                Action::Wait { until } => self.now_ms = until.unwrap().as_millis(),
                _ => {}
            }
        }
    }

    /// Ends the attempt under way.
    fn reply(&mut self, reply: Option<Reply>) {
        self.delivery.handle_reply(self.now(), None, reply);
        if let Action::Remove(batch) = self.delivery.poll(self.now(), self.owed) {
            self.owed -= u32::from(batch.count());
            assert!(self.delivery.handle_removed(self.now(), true).is_some());
        }
    }

    /// So many requests in a row with the same reply; returns the time before each.
    fn gaps(&mut self, requests: usize, reply: Option<Reply>) -> Vec<u64> {
        let gap = |_| {
            let gap = self.send();
            self.reply(reply);
            gap
        };
        (0..requests).map(gap).collect()
    }
}

const BUSY: Option<Reply> = Some(Reply::new(503));
const OK: Option<Reply> = Some(Reply::new(202));

#[test]
fn once_the_retries_are_spent_a_device_sends_at_most_twice_as_often_as_in_normal_times() {
    let mut first_pauses = Vec::new();
    for seed in 0..30 {
        let mut device = Device::new(&CONFIG, seed);
        device.track(1);
        // The interval, and six retries.
        let retries = device.gaps(7, BUSY);
        assert!(retries.iter().skip(1).all(|gap| *gap <= 60_000), "{retries:?}");
        let pauses = device.gaps(20, BUSY);
        first_pauses.push(pauses[0]);
        assert!(pauses.iter().skip(1).all(|gap| (262_500..=300_000).contains(gap)), "{pauses:?}");
    }

    // Those who failed together do not go on together.
    let (min, max) = (first_pauses.iter().min().unwrap(), first_pauses.iter().max().unwrap());
    assert!(*min < 60_000 && *max > 240_000 && *max <= 300_000, "{first_pauses:?}");
}

#[test]
fn with_the_default_interval_the_backoff_alone_counts() {
    let config = Config { flush_at: 1_000_000, ..Config::DEFAULT };
    let mut device = Device::new(&config, 1);
    device.track(1);
    device.gaps(20, BUSY);

    let gaps = device.gaps(50, BUSY);
    assert!(gaps.iter().all(|gap| (18_750..=300_000).contains(gap)), "{gaps:?}");
    assert!(gaps.iter().any(|gap| *gap < 100_000) && gaps.iter().any(|gap| *gap > 200_000), "{gaps:?}");
}

#[test]
fn jitter_on_top_of_retry_after_grows_with_the_backoff() {
    let asked = Some(Reply::new(429).retry_after(b"60"));
    let mut device = Device::new(&Config { max_retry_delay: Duration::from_secs(900), ..CONFIG }, 1);
    device.track(1);
    device.gaps(1, asked);
    let first = device.send();
    assert!((60_000..=75_000).contains(&first), "{first}");
    device.reply(asked);
    device.gaps(12, asked);

    let late = device.gaps(40, asked);
    assert!(late.iter().all(|gap| (60_000..=180_000).contains(gap)), "{late:?}");
    assert!(late.iter().any(|gap| *gap > 150_000), "{late:?}");
}

#[test]
fn a_backlog_goes_out_one_batch_per_interval_faster_with_successes_slower_with_refusals() {
    let mut device = Device::new(&CONFIG, 1);
    device.track(1000);
    device.gaps(20, BUSY);
    device.gaps(1, OK);

    let start = device.gaps(4, OK);
    assert!(start.iter().all(|gap| (150_000..=600_000).contains(gap)), "{start:?}");
    device.gaps(40, OK);
    let fast: u64 = device.gaps(8, OK).iter().sum();
    device.gaps(1, BUSY);
    device.gaps(1, BUSY);
    let retry = device.gaps(1, OK)[0];
    assert!((60_000..=61_000).contains(&retry), "not above max_retry_delay: {retry}");
    let slow: u64 = device.gaps(8, OK).iter().sum();

    assert!(fast < 8 * 150_000, "{fast}");
    assert!(slow > 2 * fast, "{fast} {slow}");
}

#[test]
fn a_hiccup_leaves_a_backlog_unpaced() {
    let mut device = Device::new(&CONFIG, 1);
    device.track(100);
    device.gaps(3, BUSY);
    device.gaps(1, OK);

    assert_eq!(device.gaps(9, OK), [0; 9]);
}

#[test]
fn a_device_that_records_faster_than_it_sends_is_not_held_back_for_long() {
    let mut device = Device::new(&Config { flush_at: 5, ..CONFIG }, 1);
    device.track(20);
    device.gaps(20, BUSY);
    // Ten events a batch leave, ten come.
    for _ in 0..30 {
        device.gaps(1, OK);
        device.track(10);
    }

    assert!(device.gaps(1, OK)[0] < 1000);
}

#[test]
fn what_arrives_during_a_slow_request_waits_for_company() {
    let mut device = Device::new(&CONFIG, 1);
    device.track(5);
    device.send();
    device.track(3);
    device.now_ms += 20_000;
    device.reply(OK);

    let gap = device.send();
    assert!((450_000..=600_000).contains(&gap), "{gap}");
    assert_eq!(device.owed, 3);
}

#[test]
fn what_is_due_by_itself_does_not_wait_for_company() {
    let mut device = Device::new(&Config { flush_at: 4, ..CONFIG }, 1);
    device.track(4);
    device.send();
    // Three and the four in flight are no four.
    device.track(3);
    device.reply(OK);
    assert!(device.send() > 0);
    device.reply(OK);

    device.track(4);
    device.send();
    device.track(4);
    device.reply(OK);
    assert_eq!(device.send(), 0);
}

#[test]
fn the_first_interval_after_a_start_is_spread_over_half_of_it() {
    let firsts: Vec<u64> = (0..200)
        .map(|seed| {
            let mut device = Device::new(&CONFIG, seed);
            device.track(1);
            device.send()
        })
        .collect();

    assert!(firsts.iter().all(|gap| (300_000..=600_000).contains(gap)), "{firsts:?}");
    assert!(firsts.iter().any(|gap| *gap < 330_000) && firsts.iter().any(|gap| *gap > 570_000), "{firsts:?}");
}
