use core::time::Duration;

use whisperr_core::{Action, Batch, Config, Delivery, Instant, Reply, Seq, UtcMillis, Waiting};

/// What a header says, as far as this reader goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    /// So many seconds.
    Seconds(u64),
    /// A date, in milliseconds since 1970.
    Date(i64),
    /// Neither a number nor a date.
    Nothing,
    /// Perhaps one of the obsolete forms of a date: only the core reads those.
    Unsure,
}

const MONTHS: [&[u8]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// Reads seconds and IMF-fixdate by their place in the text (RFC 9110, sections 5.6.7 and 10.2.3).
fn read(text: &[u8]) -> Says {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = text.iter().position(|byte| !is_blank(byte)).unwrap_or(text.len());
    let end = text.iter().rposition(|byte| !is_blank(byte)).map_or(start, |last| last.saturating_add(1));
    let text = text.get(start..end).unwrap_or_default();
    if text.iter().any(|byte| byte.is_ascii_control()) {
        // No header holds one.
        return Says::Unsure;
    }
    if !text.is_empty() && text.iter().all(u8::is_ascii_digit) {
        let digits = core::str::from_utf8(text).unwrap();
        return Says::Seconds(digits.parse().unwrap_or(u64::MAX));
    }
    if !text.is_ascii() || !text.iter().any(|byte| byte.is_ascii_alphabetic()) {
        return Says::Nothing;
    }
    fixdate(text).map_or(Says::Unsure, Says::Date)
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`, with a weekday and a day that exist.
fn fixdate(text: &[u8]) -> Option<i64> {
    let shape = b"Www, 00 Mmm 0000 00:00:00 GMT";
    let fits = |(byte, form): (&u8, &u8)| match form {
        b'0' => byte.is_ascii_digit(),
        b'W' | b'w' | b'm' => byte.is_ascii_alphabetic(),
        b'M' if *form != *byte => byte.is_ascii_alphabetic(),
        form => byte == form,
    };
    if text.len() != shape.len() || !text.iter().zip(shape).take(26).all(fits) || !text.ends_with(b"GMT") {
        return None;
    }
    let number = |from: usize, to: usize| {
        text.get(from..to)?.iter().try_fold(0_i64, |sum, digit| {
            sum.checked_mul(10)?.checked_add(i64::from(digit.checked_sub(b'0')?))
        })
    };
    let (day, year) = (number(5, 7)?, number(12, 16)?);
    let (hour, minute, second) = (number(17, 19)?, number(20, 22)?, number(23, 25)?);
    let name = text.get(8..11)?;
    let month = MONTHS.iter().position(|month| *month == name)?;
    if hour > 23 || minute > 59 || second > 60 || day < 1 || day > days_of(year, month) {
        return None;
    }
    // Day by day, month by month, year by year: slow, and sure.
    let mut days = day.checked_sub(1)?;
    for month in 0..month {
        days = days.checked_add(days_of(year, month))?;
    }
    for year in 0..year {
        days = days.checked_add(if is_leap(year) { 366 } else { 365 })?;
    }
    // From the year 0 to 1970.
    let days = days.checked_sub(719_528)?;
    let seconds = days.checked_mul(24)?.checked_add(hour)?.checked_mul(60)?.checked_add(minute)?;
    seconds.checked_mul(60)?.checked_add(second)?.checked_mul(1000)
}

const fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_of(year: i64, month: usize) -> i64 {
    match month {
        1 if is_leap(year) => 29,
        1 => 28,
        3 | 5 | 8 | 10 => 30,
        _ => 31,
    }
}

/// A reply with any `Retry-After` and `Date` to a device with any clock: the wait is what the contract
/// makes of them, as another reader understands them.
///
/// # Panics
/// When it is not.
pub fn retry_after(data: &[u8]) {
    let Some(([kind, clock @ ..], headers)) = data.split_first_chunk::<9>() else { return };
    let status = [429, 503, 500, 504].get(usize::from(kind % 4)).copied().unwrap_or(429);
    let device = (kind & 4 != 0).then(|| i64::from_le_bytes(*clock));
    let now = if kind & 8 != 0 { u64::from_le_bytes(*clock) / 2 } else { 1000 };
    let mut headers = headers.splitn(2, |byte| *byte == b'\n');
    let (header, date) = (headers.next().unwrap_or_default(), headers.next().unwrap_or_default());

    let now = Instant::from_millis(now);
    let config = Config::DEFAULT;
    let mut delivery = Delivery::new(&config, 9, now, 0);
    let _ = delivery.handle_enqueued(now, 1, true);
    assert!(matches!(delivery.poll(now, 1), Action::Send(_)));
    delivery.handle_sending(now, Batch::of_events(Seq::FIRST, 1, 100).unwrap());
    let reply = Reply::new(status).retry_after(header).date(date);
    delivery.handle_reply(now, device.map(UtcMillis::new), Some(reply));
    let Action::Wait { until: Some(until) } = delivery.poll(now, 1) else {
        panic!("nothing is due after a failure");
    };
    let wait = until.since(now);
    let firm = delivery.waiting(1) == Waiting::RetryAfter;
    assert!(wait > Duration::ZERO && wait <= Duration::from_secs(180), "{wait:?}");

    let server = match read(date) {
        Says::Date(ms) => Some(Some(ms)),
        Says::Unsure => None,
        Says::Seconds(_) | Says::Nothing => Some(None),
    };
    let asked = match (read(header), server) {
        _ if kind % 4 > 1 => None,
        (Says::Seconds(seconds), _) => Some(u128::from(seconds).saturating_mul(1000)),
        (Says::Date(_), None) | (Says::Unsure, _) => return,
        (Says::Date(at), Some(server)) => server
            .or(device)
            .map(|now| u128::try_from(i128::from(at).saturating_sub(now.into())).unwrap_or(0)),
        (Says::Nothing, _) => None,
    };
    assert_eq!(firm, asked.is_some(), "{wait:?} for {asked:?}");
    if let Some(asked) = asked {
        let asked = u64::try_from(asked.min(60_000)).unwrap_or(60_000);
        let most = Duration::from_millis(asked / 4).max(config.retry_base_delay);
        let asked = Duration::from_millis(asked);
        assert!(wait >= asked && wait <= asked.saturating_add(most), "{wait:?} for {asked:?}");
    } else {
        assert!(wait <= config.retry_base_delay, "{wait:?}");
    }
}
