//! Time at its boundaries, one value after the other: backoff, `Retry-After`, clocks.
//!
//! What is expected stands in the tables here, from the contract (section 5), or is worked out in wider
//! numbers than the core uses. Checked within these values, every one with every other.
#![expect(clippy::unwrap_used, clippy::panic, clippy::arithmetic_side_effects, reason = "a test may fail")]

use core::time::Duration;

use whisperr_core::{
    Action, Batch, Config, Delivery, Instant, Notice, Now, Outcome, Reply, Seq, UtcMillis, Waiting,
};

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 86_400_000;

/// The edges of what a clock can show.
const INSTANTS: [u64; 16] = [
    0,
    1,
    999,
    1000,
    59_999,
    60_000,
    (1 << 31) - 1,
    (1 << 32) - 1,
    1 << 32,
    (1 << 53) + 1,
    (1 << 63) - 1,
    1 << 63,
    (1 << 63) + 1,
    u64::MAX - 60_000,
    u64::MAX - 1,
    u64::MAX,
];

/// The start of 2020, and of 2100: what lies outside is a clock that was not set.
const YEAR_2020: i64 = 1_577_836_800_000;
const YEAR_2100: i64 = 4_102_444_800_000;

/// Now, by a right clock: 2026-05-31T12:00:00Z.
const NOW_S: i64 = 1_780_228_800;

/// The edges of what a calendar can show.
const DATES: [i64; 21] = [
    i64::MIN,
    i64::MIN + 1,
    -62_167_219_200_001,
    -62_167_219_200_000,
    -1 << 32,
    -1,
    0,
    1,
    1 << 31,
    1 << 32,
    YEAR_2020 - 1,
    YEAR_2020,
    NOW_S * 1000,
    YEAR_2100 - 1,
    YEAR_2100,
    253_402_300_799_999,
    253_402_300_800_000,
    1 << 53,
    1 << 62,
    i64::MAX - 1,
    i64::MAX,
];

fn at(ms: u64) -> Instant {
    Instant::from_millis(ms)
}

/// A machine with one request out.
fn sending(config: &Config, seed: u128, now: Instant) -> Delivery {
    let mut delivery = Delivery::new(config, seed, now, 0);
    let _ = delivery.handle_enqueued(now, 1, true);
    send(&mut delivery, now);
    delivery
}

fn send(delivery: &mut Delivery, now: Instant) {
    let action = next(delivery, now, &mut Vec::new());
    assert!(matches!(action, Action::Send(_)), "{action:?} at {now:?}");
    delivery.handle_sending(now, Batch::of_events(Seq::FIRST, 1, 100).unwrap());
}

/// What the machine wants next, once it told everything.
fn next(delivery: &mut Delivery, now: Instant, told: &mut Vec<Notice>) -> Action {
    loop {
        match delivery.poll(now, 1) {
            Action::Notify(notice) => told.push(notice),
            action => return action,
        }
    }
}

/// How long it waits.
fn wait(delivery: &mut Delivery, now: Instant) -> u64 {
    match next(delivery, now, &mut Vec::new()) {
        Action::Wait { until: Some(until) } => until.as_millis() - now.as_millis(),
        Action::Send(_) => 0,
        action => panic!("{action:?} at {now:?}"),
    }
}

#[test]
fn moments_add_and_subtract_as_wider_numbers_do() {
    let durations = [
        Duration::ZERO,
        Duration::from_nanos(999_999),
        Duration::from_millis(1),
        Duration::from_nanos(1_999_999),
        Duration::from_millis((1 << 32) - 1),
        Duration::from_millis(1 << 63),
        Duration::from_millis(u64::MAX),
        Duration::from_secs(u64::MAX),
        Duration::MAX,
    ];
    for a in INSTANTS {
        for b in INSTANTS {
            let since = if a > b { u128::from(a) - u128::from(b) } else { 0 };
            assert_eq!(at(a).since(at(b)).as_millis(), since, "{a} since {b}");
        }
        for duration in durations {
            let after = (u128::from(a) + duration.as_millis()).min(u128::from(u64::MAX));
            assert_eq!(u128::from(at(a).after(duration).as_millis()), after, "{a} after {duration:?}");
        }
    }
    for date in DATES {
        for duration in durations {
            // A duration is whole milliseconds of 64 bits before it meets a date.
            let ms = i128::try_from(duration.as_millis().min(u128::from(u64::MAX))).unwrap();
            let clamp = |wide: i128| wide.clamp(i64::MIN.into(), i64::MAX.into());
            let (before, after) =
                (UtcMillis::new(date).before(duration), UtcMillis::new(date).after(duration));
            assert_eq!(i128::from(before.get()), clamp(i128::from(date) - ms), "{date} before {duration:?}");
            assert_eq!(i128::from(after.get()), clamp(i128::from(date) + ms), "{date} after {duration:?}");
        }
    }
}

#[test]
fn a_clock_that_was_not_set_is_none() {
    struct Fixed(i64);
    impl whisperr_core::Clock for Fixed {
        fn now(&self) -> Instant {
            Instant::START
        }
        fn utc(&self) -> Option<UtcMillis> {
            Some(UtcMillis::new(self.0))
        }
    }
    for date in DATES {
        let known = Now::read(&Fixed(date)).utc;
        let expected = (YEAR_2020..YEAR_2100).contains(&date).then_some(UtcMillis::new(date));
        assert_eq!(known, expected, "{date}");
    }
}

#[test]
fn a_backoff_doubles_from_its_base_to_its_cap_whatever_the_clock_shows() {
    let bases = [10, 11, 999, 1000, 60_000, HOUR_MS];
    let caps = |base: u64| [base, base + 1, 2 * base, 300_000, HOUR_MS, DAY_MS - 1, DAY_MS];
    let mut cases = 0;
    for base in bases {
        for cap in caps(base).into_iter().filter(|cap| *cap >= base) {
            let config = Config {
                flush_interval: Duration::from_secs(1),
                retry_base_delay: Duration::from_millis(base),
                max_retry_delay: Duration::from_millis(cap),
                max_retries: 1000,
                ..Config::DEFAULT
            };
            assert!(config.validate().is_ok());
            for start in INSTANTS {
                for seed in [0, 1, u128::MAX] {
                    backs_off(&config, seed, start, base, cap);
                    cases += 1;
                }
            }
        }
    }
    assert!(cases > 1000, "{cases}");
}

fn backs_off(config: &Config, seed: u128, start: u64, base: u64, cap: u64) {
    let mut now = at(start);
    let mut delivery = sending(config, seed, now);
    for failure in 1..=70_u32 {
        delivery.handle_reply(now, None, None);
        assert_eq!(delivery.waiting(1), Waiting::Backoff);
        let delay = wait(&mut delivery, now);
        let ceiling = (u128::from(base) << (failure - 1)).min(u128::from(cap));
        // A backlog is paced by at most the flush interval on top.
        let most = ceiling.max(config.flush_interval.as_millis());
        let what = || format!("base {base} cap {cap} failure {failure} at {now:?}: {delay}");
        assert!(u128::from(delay) <= most, "{}", what());
        let left = u64::MAX - now.as_millis();
        assert!(delay > 0 || left == 0, "{}: hammers", what());
        assert!(u128::from(delay) >= (ceiling / 16).min(left.into()), "{}: hammers", what());
        now = now.after(Duration::from_millis(delay));
        send(&mut delivery, now);
    }
}

#[test]
fn retries_are_told_exhausted_once_and_at_their_limit() {
    for max_retries in [0, 1, 2, 6, 63, 64, 255, 256, 1000] {
        let config = Config { max_retries, ..Config::DEFAULT };
        for status in [None, Some(429), Some(500), Some(503), Some(599)] {
            let mut now = at(0);
            let mut delivery = sending(&config, 7, now);
            let mut told = Vec::new();
            for attempt in 1..=max_retries + 3 {
                // A server's wish does not extend the limit.
                delivery.handle_reply(now, None, status.map(|status| Reply::new(status).retry_after(b"1")));
                let _ = next(&mut delivery, now, &mut told);
                let expected = Notice::RetryExhausted { attempts: max_retries + 1, status };
                let expected = if attempt > max_retries { &[expected][..] } else { &[] };
                assert_eq!(told, expected, "{max_retries} retries, attempt {attempt}, {status:?}");
                let delay = wait(&mut delivery, now);
                now = now.after(Duration::from_millis(delay));
                send(&mut delivery, now);
            }
        }
    }
}

#[test]
fn every_status_has_the_outcome_of_its_class() {
    for status in 0..=u16::MAX {
        let expected = match status {
            200..=299 => Outcome::Ok,
            401 | 403 => Outcome::Auth,
            // May be the fault of one event in a batch.
            400 | 413 | 422 => Outcome::Refused,
            429 => Outcome::Retry,
            400..=499 => Outcome::Drop,
            // A server that answers what is no answer did not take it.
            _ => Outcome::Retry,
        };
        assert_eq!(Outcome::of(status), expected, "{status}");
    }
}

/// What a `Retry-After` says.
#[derive(Debug, Clone, Copy)]
enum Says {
    Seconds(u64),
    /// A date, in seconds since 1970.
    Date(i64),
    Nothing,
}

fn http_date(seconds: i64) -> Vec<u8> {
    let seconds = u64::try_from(seconds).unwrap();
    httpdate::fmt_http_date(std::time::UNIX_EPOCH + Duration::from_secs(seconds)).into_bytes()
}

/// Every header that is tried, and what it says by RFC 9110.
fn headers() -> Vec<(Option<Vec<u8>>, Says)> {
    let seconds: [(&[u8], u64); 18] = [
        (b"0", 0),
        (b"00", 0),
        (b"1", 1),
        (b"01", 1),
        (b"000000000000000000000000000000059", 59),
        (b"59", 59),
        (b"60", 60),
        (b"61", 61),
        (b" 30", 30),
        (b"30 ", 30),
        (b"\t30\t", 30),
        (b"3600", 3600),
        (b"4294967295", 4_294_967_295),
        (b"4294967296", 4_294_967_296),
        (b"1000000000000", 1_000_000_000_000),
        (b"18446744073709551615", u64::MAX),
        (b"18446744073709551616", u64::MAX),
        (b"99999999999999999999999999999999999999999999", u64::MAX),
    ];
    let nothing: [&[u8]; 30] = [
        b"",
        b" ",
        b"-0",
        b"-1",
        b"+1",
        b"+60",
        b"- 1",
        b"1 2",
        b"1,2",
        b"1.0",
        b"1.5",
        b"1e3",
        b"0x10",
        b"1s",
        b"s",
        b"soon",
        b"\0",
        b"1\0",
        b"\xff",
        b"\xff\xfe\x00",
        "٣".as_bytes(),
        "１２".as_bytes(),
        "60\u{a0}".as_bytes(),
        b"Sun, 31 May 2026",
        b"Sun, 32 May 2026 12:00:00 GMT",
        b"Sun, 31 Jun 2026 12:00:00 GMT",
        b"Sun, 31 May 2026 24:00:00 GMT",
        b"Sun, 31 May 2026 12:00:00 CET",
        b"2026-05-31T12:00:00Z",
        b"1780228800 GMT",
    ];
    let apart =
        [-63_000_000, -86_400, -61, -60, -59, -1, 0, 1, 2, 59, 60, 61, 3600, 86_400, 63_000_000, 1 << 34];
    let mut all = vec![(None, Says::Nothing)];
    all.extend(seconds.map(|(text, seconds)| (Some(text.to_vec()), Says::Seconds(seconds))));
    all.extend(nothing.map(|text| (Some(text.to_vec()), Says::Nothing)));
    all.extend(apart.map(|seconds| (Some(http_date(NOW_S + seconds)), Says::Date(NOW_S + seconds))));
    // The edges of what an HTTP date can say, and the two obsolete forms.
    all.extend([0, 253_402_300_799].map(|seconds| (Some(http_date(seconds)), Says::Date(seconds))));
    all.push((Some(b"Sunday, 31-May-26 12:00:30 GMT".to_vec()), Says::Date(NOW_S + 30)));
    all.push((Some(b"Sun May 31 12:00:30 2026".to_vec()), Says::Date(NOW_S + 30)));
    all
}

/// How long the contract makes the client wait: `None` for its own backoff.
fn expected_ms(status: u16, says: Says, server: Option<i64>, device: Option<i64>) -> Option<u64> {
    if status != 429 && status != 503 {
        return None;
    }
    let ms = match says {
        Says::Nothing => return None,
        Says::Seconds(seconds) => u128::from(seconds) * 1000,
        // By the server's own clock, where it told it: the device's may be wrong by years.
        Says::Date(date) => {
            let now = server.map(|seconds| i128::from(seconds) * 1000).or(device.map(i128::from))?;
            u128::try_from(i128::from(date) * 1000 - now).unwrap_or(0)
        }
    };
    Some(u64::try_from(ms.min(60_000)).unwrap())
}

#[test]
fn a_retry_after_is_kept_to_exactly_as_far_as_the_contract_says() {
    let servers = [None, Some(0), Some(NOW_S), Some(NOW_S + 400), Some(253_402_300_799)];
    let devices = [None, Some(i64::MIN), Some(-1), Some(0), Some(NOW_S * 1000 + 999), Some(i64::MAX)];
    let mut cases = 0;
    for (header, says) in headers() {
        for status in [429, 500, 502, 503] {
            for server in servers {
                for device in devices {
                    let mut reply = Reply::new(status);
                    if let Some(header) = &header {
                        reply = reply.retry_after(header);
                    }
                    if let Some(server) = server {
                        reply = reply.date(&http_date(server));
                    }
                    for now in [0, 1 << 32, 1 << 63, u64::MAX - 400_000] {
                        let what = || {
                            let header = header.as_ref().map(|text| text.escape_ascii().to_string());
                            format!("{status} {header:?}, server {server:?}, device {device:?}, at {now}")
                        };
                        let asked = expected_ms(status, says, server, device);
                        keeps_to(reply, device, at(now), asked, &what);
                        cases += 1;
                    }
                }
            }
        }
    }
    assert!(cases > 30_000, "{cases}");
}

fn keeps_to(reply: Reply, device: Option<i64>, now: Instant, asked: Option<u64>, what: &dyn Fn() -> String) {
    let config = Config::DEFAULT;
    let mut delivery = sending(&config, 3, now);
    delivery.handle_reply(now, device.map(UtcMillis::new), Some(reply));
    let delay = wait(&mut delivery, now);
    let Some(asked) = asked else {
        assert_eq!(delivery.waiting(1), Waiting::Backoff, "{}", what());
        assert!((1..=1000).contains(&delay), "{}: {delay} ms is no first backoff", what());
        // A person who cannot wait may cut it short.
        delivery.handle_flush();
        assert_eq!(wait(&mut delivery, now), 0, "{}", what());
        return;
    };
    assert_eq!(delivery.waiting(1), Waiting::RetryAfter, "{}", what());
    assert!(delay >= asked, "{}: {delay} ms are less than {asked}", what());
    // With jitter on top, and no more: a quarter, or half of the base.
    assert!(delay <= asked + (asked / 4).max(1000), "{}: {delay} ms for {asked}", what());
    // The server's word is kept, also by a flush.
    delivery.handle_flush();
    assert!(wait(&mut delivery, now) >= asked, "{}", what());
    let then = now.after(Duration::from_millis(delay));
    assert_eq!(wait(&mut delivery, then), 0, "{}", what());
}

#[test]
fn a_success_is_a_success_whatever_its_headers_say() {
    for (header, _) in headers() {
        for status in [200, 202, 299] {
            for now in INSTANTS {
                let reply = Reply::new(status).retry_after(header.as_deref().unwrap_or_default());
                let mut delivery = sending(&Config::DEFAULT, 3, at(now));
                delivery.handle_reply(at(now), None, Some(reply));
                let action = next(&mut delivery, at(now), &mut Vec::new());
                assert!(matches!(action, Action::Remove(_)), "{status} {header:?}: {action:?}");
            }
        }
    }
}

#[test]
fn nothing_waits_into_the_past_at_any_edge_of_any_clock() {
    for now in INSTANTS {
        for server in [0, NOW_S, 253_402_300_799] {
            for device in DATES {
                let reply = Reply::new(503).retry_after(&http_date(server)).date(&http_date(server));
                let mut delivery = sending(&Config::DEFAULT, 3, at(now));
                for reply in [Some(reply), None, Some(Reply::new(429).retry_after(b"60"))] {
                    delivery.handle_reply(at(now), Some(UtcMillis::new(device)), reply);
                    // `wait` subtracts: it fails when the moment lies in the past.
                    let delay = wait(&mut delivery, at(now));
                    assert!(delay <= 375_000, "{now} {server} {device}: {delay}");
                    let then = at(now).after(Duration::from_millis(delay));
                    assert_eq!(wait(&mut delivery, then), 0);
                    send(&mut delivery, then);
                }
            }
        }
    }
}
