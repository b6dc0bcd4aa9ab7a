//! The delivery machine by itself: whom it wakes, how its waits spread, how a refused batch is halved.
#![expect(clippy::unwrap_used, clippy::panic, clippy::arithmetic_side_effects, reason = "a test may fail")]

use core::time::Duration;

use whisperr_core::{
    Action, Batch, BatchLimit, Config, Delivery, Exit, Instant, Notice, Reply, Seq, Waiting,
};

/// Of the default settings, in milliseconds.
const INTERVAL: u64 = 15_000;
const MAX_RETRY_DELAY: u64 = 300_000;

fn at(ms: u64) -> Instant {
    Instant::from_millis(ms)
}

/// A machine that owes nothing.
fn idle(seed: u128) -> Delivery {
    Delivery::new(&Config::DEFAULT, seed, at(0), 0)
}

/// What the machine wants next, once it told everything.
fn next(delivery: &mut Delivery, now: u64, owed: u32) -> Action {
    loop {
        match delivery.poll(at(now), owed) {
            Action::Notify(_) => {}
            action => return action,
        }
    }
}

/// When it goes on by itself.
fn until(delivery: &mut Delivery, now: u64, owed: u32) -> u64 {
    match next(delivery, now, owed) {
        Action::Wait { until: Some(until) } => until.as_millis(),
        action => panic!("{action:?}"),
    }
}

/// What the next request may carry.
fn limit(delivery: &mut Delivery, now: u64, owed: u32) -> BatchLimit {
    match next(delivery, now, owed) {
        Action::Send(limit) => limit,
        action => panic!("{action:?}"),
    }
}

fn events(first: u64, count: u16, bytes: usize) -> Batch {
    Batch::of_events(Seq::new(first), count, bytes).unwrap()
}

/// Has `batch` answered with `status`.
fn answered(delivery: &mut Delivery, now: u64, batch: Batch, status: u16) {
    delivery.handle_sending(at(now), batch);
    delivery.handle_reply(at(now), None, Some(Reply::new(status)));
}

/// Has `batch` acknowledged and removed.
fn delivered(delivery: &mut Delivery, now: u64, batch: Batch) {
    answered(delivery, now, batch, 202);
    assert_eq!(next(delivery, now, batch.count().into()), Action::Remove(batch));
    assert_eq!(delivery.handle_removed(at(now), true), Some(Exit::Acknowledged { rejected: 0 }));
}

#[test]
fn the_first_event_wakes_the_driver_and_what_joins_it_does_not_until_there_are_enough() {
    let mut delivery = idle(1);
    assert!(delivery.handle_enqueued(at(0), 1, false));
    let due = until(&mut delivery, 0, 1);

    for owed in 2..20 {
        assert!(!delivery.handle_enqueued(at(10), owed, false), "{owed}");
        assert_eq!(until(&mut delivery, 10, owed), due);
    }
    assert!(delivery.handle_enqueued(at(10), 20, false));
    assert!(matches!(next(&mut delivery, 10, 20), Action::Send(_)));
}

#[test]
fn an_event_that_takes_the_place_of_an_evicted_one_keeps_to_its_interval() {
    let mut delivery = idle(1);
    assert!(delivery.handle_enqueued(at(0), 1, false));
    let due = until(&mut delivery, 0, 1);

    // One event is all that the queue takes: one is owed again.
    assert!(!delivery.handle_enqueued(at(5000), 1, false));

    assert_eq!(until(&mut delivery, 5000, 1), due);
}

#[test]
fn the_interval_counts_from_the_event_however_late_the_driver_looks() {
    let mut early = idle(1);
    assert!(early.handle_enqueued(at(0), 1, false));
    let mut late = early.clone();

    assert_eq!(until(&mut early, 0, 1), until(&mut late, 5000, 1));
}

#[test]
fn an_identify_wakes_a_driver_that_waits_for_company() {
    let mut delivery = idle(1);
    assert!(delivery.handle_enqueued(at(0), 1, false));
    let _ = until(&mut delivery, 0, 1);

    assert!(delivery.handle_enqueued(at(1), 2, true));

    assert!(matches!(next(&mut delivery, 1, 2), Action::Send(_)));
}

#[test]
fn nobody_is_woken_while_delivery_is_paused() {
    let mut delivery = idle(1);
    delivery.handle_paused();

    assert!(!delivery.handle_enqueued(at(0), 1, false));
    assert!(!delivery.handle_enqueued(at(0), 2, true));
    assert!(!delivery.handle_enqueued(at(0), 20, false));
    assert_eq!(next(&mut delivery, 0, 20), Action::Wait { until: None });

    delivery.handle_resumed();
    // The driver is up already: what comes now is one more of those that go out.
    assert!(!delivery.handle_enqueued(at(0), 5, false));
    assert!(matches!(next(&mut delivery, 0, 5), Action::Send(_)));
}

#[test]
fn a_driver_that_sleeps_without_a_limit_is_woken_by_the_first_event_only() {
    for status in [503, 401] {
        let mut delivery = idle(1);
        let _ = delivery.handle_enqueued(at(0), 1, true);
        answered(&mut delivery, 0, events(1, 1, 100), status);
        // What waited was deleted by the application.
        assert_eq!(next(&mut delivery, 10, 0), Action::Wait { until: None });

        assert!(delivery.handle_enqueued(at(20), 1, false), "{status}");
        assert!(until(&mut delivery, 20, 1) > 20);
        assert!(!delivery.handle_enqueued(at(20), 2, false), "{status}");

        delivery.handle_paused();
        assert!(!delivery.handle_enqueued(at(20), 1, false), "{status}");
    }
}

#[test]
fn what_is_out_or_being_removed_is_in_flight_and_nothing_else_is() {
    let mut delivery = idle(1);
    let batch = events(1, 3, 100);
    assert_eq!((delivery.in_flight(), delivery.sending_until()), (None, None));

    delivery.handle_sending(at(7), batch);
    assert_eq!((delivery.in_flight(), delivery.sending_until()), (Some(batch), Some(at(30_007))));
    delivery.handle_reply(at(8), None, Some(Reply::new(202)));
    assert_eq!((delivery.in_flight(), delivery.sending_until()), (Some(batch), None));
    assert_eq!(delivery.waiting(3), Waiting::Storage);
    let _ = delivery.handle_removed(at(9), true);
    assert_eq!(delivery.in_flight(), None);
    answered(&mut delivery, 10, batch, 503);
    assert_eq!(delivery.in_flight(), None);
}

#[test]
fn what_comes_while_a_full_batch_is_out_or_being_removed_waits_for_company() {
    let batch = events(1, 20, 1000);
    for settling in [false, true] {
        let mut delivery = idle(1);
        let _ = delivery.handle_enqueued(at(0), 20, false);
        let _ = limit(&mut delivery, 0, 20);
        delivery.handle_sending(at(0), batch);
        if !settling {
            assert!(!delivery.handle_enqueued(at(1), 21, false));
        }
        delivery.handle_reply(at(2), None, Some(Reply::new(202)));
        if settling {
            assert!(!delivery.handle_enqueued(at(3), 21, false));
        }
        assert_eq!(next(&mut delivery, 4, 21), Action::Remove(batch));
        let _ = delivery.handle_removed(at(4), true);

        assert!(until(&mut delivery, 4, 1) >= 4 + INTERVAL / 2, "settling: {settling}");
    }
}

#[test]
fn a_reply_and_a_removal_that_nobody_waits_for_change_nothing() {
    let mut delivery = idle(1);
    let before = delivery.clone();

    delivery.handle_reply(at(1), None, Some(Reply::new(401)));
    assert_eq!(delivery.handle_removed(at(1), true), None);

    assert_eq!(delivery, before);
}

/// The waits of many devices, from the shortest to the longest.
fn spread(wait: impl Fn(u128) -> u64) -> Vec<u64> {
    let mut waits: Vec<u64> = (0..200).map(wait).collect();
    waits.sort_unstable();
    waits
}

fn first_interval(mut delivery: Delivery, now: u64) -> u64 {
    let _ = delivery.handle_enqueued(at(now), 1, false);
    until(&mut delivery, now, 1) - now
}

#[test]
fn the_first_interval_of_a_start_spreads_over_its_second_half() {
    let waits = spread(|seed| first_interval(idle(seed), 0));

    assert!(waits[0] >= INTERVAL / 2 && waits[199] <= INTERVAL, "{waits:?}");
    assert!(waits[10] < INTERVAL * 6 / 10 && waits[189] > INTERVAL * 9 / 10, "{waits:?}");
}

#[test]
fn later_intervals_spread_over_their_last_quarter() {
    let waits = spread(|seed| {
        let mut delivery = idle(seed);
        let first = first_interval(delivery.clone(), 0);
        let _ = delivery.handle_enqueued(at(0), 1, false);
        assert!(matches!(next(&mut delivery, first, 1), Action::Send(_)));
        delivered(&mut delivery, first, events(1, 1, 100));
        assert_eq!(next(&mut delivery, first, 0), Action::Wait { until: None });
        first_interval(delivery, 100_000)
    });

    assert!(waits[0] >= INTERVAL * 3 / 4 && waits[199] <= INTERVAL, "{waits:?}");
    assert!(waits[10] < INTERVAL * 8 / 10 && waits[189] > INTERVAL * 95 / 100, "{waits:?}");
}

#[test]
fn an_identify_right_after_a_start_leaves_the_first_interval_its_spread() {
    let waits = spread(|seed| {
        let mut delivery = idle(seed);
        assert!(delivery.handle_enqueued(at(0), 1, true));
        let _ = limit(&mut delivery, 0, 1);
        delivered(&mut delivery, 0, events(1, 1, 100));
        assert_eq!(next(&mut delivery, 0, 0), Action::Wait { until: None });
        first_interval(delivery, 0)
    });

    assert!(waits[0] >= INTERVAL / 2 && waits[10] < INTERVAL * 6 / 10, "{waits:?}");
}

#[test]
fn probes_of_a_refused_key_spread_over_a_quarter_more_than_the_longest_delay() {
    let waits = spread(|seed| {
        let mut delivery = idle(seed);
        answered(&mut delivery, 0, events(1, 1, 100), 401);
        until(&mut delivery, 0, 1)
    });

    assert!(waits[0] >= MAX_RETRY_DELAY && waits[199] <= MAX_RETRY_DELAY * 5 / 4, "{waits:?}");
    let (low, high) = (MAX_RETRY_DELAY * 105 / 100, MAX_RETRY_DELAY * 12 / 10);
    assert!(waits[10] < low && waits[189] > high, "{waits:?}");
}

/// The wait after a refusal that asks for one.
fn asked(config: &Config, seed: u128, seconds: &str) -> u64 {
    let mut delivery = Delivery::new(config, seed, at(0), 0);
    delivery.handle_sending(at(0), events(1, 1, 100));
    let reply = Reply::new(503).retry_after(seconds.as_bytes());
    delivery.handle_reply(at(0), None, Some(reply));
    until(&mut delivery, 0, 1)
}

#[test]
fn whom_the_server_told_the_same_moment_comes_back_spread_behind_it() {
    // Over a quarter of what it asked for, and over half of the base where that is more.
    let slow_base = Config {
        retry_base_delay: Duration::from_secs(8),
        max_retry_delay: Duration::from_secs(1),
        ..Config::DEFAULT
    };
    for (config, seconds, least, most) in
        [(Config::DEFAULT, "60", 60_000, 75_000), (slow_base, "1", 1_000, 5_000)]
    {
        let waits = spread(|seed| asked(&config, seed, seconds));

        assert!(waits[0] >= least && waits[199] <= most, "{seconds}: {waits:?}");
        let tenth = (most - least) / 10;
        assert!(waits[10] < least + tenth && waits[189] > most - tenth, "{seconds}: {waits:?}");
    }
}

#[test]
fn without_retries_left_attempts_are_half_an_interval_apart_and_the_first_comes_any_time_before() {
    let config = Config { max_retries: 0, ..Config::DEFAULT };
    let half = INTERVAL / 2;
    let waits = |failures: u64| {
        spread(|seed| {
            let mut delivery = Delivery::new(&config, seed, at(0), 0);
            let mut now = 0;
            for failure in 0..failures {
                answered(&mut delivery, now, events(1, 1, 100), 503);
                let goes_on = until(&mut delivery, now, 1);
                if failure + 1 == failures {
                    return goes_on - now;
                }
                now = goes_on;
            }
            0
        })
    };

    let first = waits(1);
    assert!(first[199] <= half && first[20] < half / 6 && first[180] > half * 5 / 6, "{first:?}");
    let second = waits(2);
    assert!(second[0] >= half * 7 / 8 && second[199] <= half, "{second:?}");
    assert!(second[20] < half * 9 / 10 && second[180] > half * 97 / 100, "{second:?}");
}

#[test]
fn a_refused_batch_is_halved_by_its_events_and_by_its_bytes_when_size_was_the_reason() {
    let full = limit(&mut resumed(), 0, 9);
    assert_eq!((full.events, full.bytes), (500, 512 << 10));
    for (status, count, bytes, expected) in [
        (400, 9, 1000, (4, 512 << 10)),
        (422, 3, 1000, (1, 512 << 10)),
        (413, 9, 1000, (500, 500)),
        (413, 2, 100_001, (500, 50_000)),
        // Never nothing at all.
        (413, 2, 1, (500, 1)),
    ] {
        let mut delivery = resumed();
        answered(&mut delivery, 0, events(1, count, bytes), status);
        delivery.handle_flush();

        let half = limit(&mut delivery, 0, count.into());

        assert_eq!((half.events, half.bytes), expected, "{status} for {count} of {bytes}");
    }
}

#[test]
fn after_a_success_a_request_grows_back_to_its_full_size() {
    let mut delivery = resumed();
    answered(&mut delivery, 0, events(1, 9, 1000), 400);
    answered(&mut delivery, 0, events(1, 4, 600), 413);
    let mut grown = Vec::new();
    for n in 0..80 {
        delivered(&mut delivery, n * MAX_RETRY_DELAY, events(1, 1, 100));
        delivery.handle_flush();
        let now = limit(&mut delivery, n * MAX_RETRY_DELAY, 9);
        grown.push((now.events, now.bytes));
    }

    assert_eq!(grown[..3], [(8, 364), (16, 428), (32, 492)]);
    assert_eq!(grown[79], (500, 512 << 10));
}

/// A machine that owes something, and is to send it now.
fn resumed() -> Delivery {
    let mut delivery = idle(1);
    delivery.handle_resumed();
    delivery
}

#[test]
fn one_refused_event_is_dropped_and_said() {
    for status in [400, 413, 422, 404] {
        let mut delivery = resumed();
        let batch = events(1, 1, 100);
        answered(&mut delivery, 0, batch, status);

        assert_eq!(delivery.poll(at(0), 1), Action::Notify(Notice::Dropped { count: 1, status }));
        assert_eq!(delivery.poll(at(0), 1), Action::Remove(batch));
        assert_eq!(delivery.handle_removed(at(0), true), Some(Exit::Dropped { status }));
    }
}

#[test]
fn a_fault_of_the_storage_makes_no_wait_shorter_and_is_told_once() {
    // After a `Retry-After`, a refused key, and an answer whose events could not be removed.
    let waits = |reply: Reply| {
        let mut delivery = resumed();
        delivery.handle_sending(at(0), events(1, 1, 100));
        delivery.handle_reply(at(0), None, Some(reply));
        let _ = delivery.handle_removed(at(0), false);
        delivery
    };
    for reply in [Reply::new(503).retry_after(b"60"), Reply::new(401), Reply::new(202)] {
        let mut before = waits(reply);
        let mut after = before.clone();
        let (due, waiting) = (until(&mut before, 0, 1), before.waiting(1));

        after.handle_storage_fault(at(0));

        let mut told = Vec::new();
        while let Action::Notify(notice) = after.poll(at(0), 1) {
            told.push(notice);
        }
        assert_eq!(told.iter().filter(|notice| **notice == Notice::Storage).count(), 1, "{reply:?}");
        assert!(until(&mut after, 0, 1) >= due, "{reply:?}");
        assert_eq!(after.waiting(1), waiting, "{reply:?}");
        // A person who asks for a flush does not shorten what the server asked for, either.
        after.handle_flush();
        if reply.status() == 503 {
            assert!(until(&mut after, 0, 1) >= due);
        }
    }
}

#[test]
fn what_cannot_be_sent_yet_is_looked_at_again_after_the_interval_and_not_for_a_flush_before() {
    let mut delivery = resumed();
    let _ = limit(&mut delivery, 0, 1);
    delivery.handle_unsendable(at(0));

    assert_eq!(until(&mut delivery, 0, 1), INTERVAL);
    assert!(matches!(next(&mut delivery, INTERVAL, 1), Action::Send(_)));
}

#[test]
fn a_stopped_machine_still_removes_what_was_acknowledged() {
    let mut delivery = resumed();
    let batch = events(1, 1, 100);
    answered(&mut delivery, 0, batch, 202);
    delivery.handle_stopped();

    assert!(delivery.is_stopped());
    assert_eq!(next(&mut delivery, 0, 1), Action::Remove(batch));
    // A storage that fails does not hold the end up.
    assert_eq!(delivery.handle_removed(at(0), false), None);
    assert_eq!(next(&mut delivery, 0, 1), Action::Stop);
}

#[test]
fn a_flush_interval_of_a_whole_day_is_kept_to() {
    let config = Config { flush_interval: Duration::from_secs(86_400), ..Config::DEFAULT };
    let mut delivery = Delivery::new(&config, 1, at(0), 3);
    // A backlog from before the start goes out at a moment of that day that only this device has.
    let due = until(&mut delivery, 0, 3);
    assert!((1..=86_400_000).contains(&due), "{due}");
    assert!(matches!(next(&mut delivery, due, 3), Action::Send(_)));
}

#[test]
fn the_rest_of_a_drain_follows_at_once_unless_something_was_refused() {
    for (status, waiting) in [(202, Waiting::Interval), (404, Waiting::Backoff)] {
        let mut delivery = idle(3);
        assert!(delivery.handle_enqueued(at(0), 3, true));
        limit(&mut delivery, 0, 3);
        let batch = events(1, 1, 100);
        answered(&mut delivery, 0, batch, status);
        assert_eq!(next(&mut delivery, 0, 3), Action::Remove(batch));
        assert!(delivery.handle_removed(at(0), true).is_some());

        assert_eq!(delivery.waiting(2), waiting, "{status}");
        assert_eq!(matches!(next(&mut delivery, 0, 2), Action::Send(_)), status == 202, "{status}");
    }
}

#[test]
fn a_paused_machine_says_so_while_something_is_owed() {
    let mut delivery = idle(3);
    delivery.handle_paused();
    assert_eq!((delivery.waiting(1), delivery.waiting(0)), (Waiting::Paused, Waiting::Idle));
    delivery.handle_resumed();
    assert_eq!(delivery.waiting(1), Waiting::Interval);
}
