use core::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970-01-01 UTC.
///
/// `Display` writes it as the wire wants it, `2026-05-31T12:00:00.123Z`, for the years 0000 to
/// 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UtcMs(pub i64);

impl UtcMs {
    /// The wall clock of this computer.
    #[must_use]
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// Reads an `occurred_at`: RFC 3339 in UTC, exactly three fractional digits, `Z`, a real date.
    #[must_use]
    #[expect(clippy::arithmetic_side_effects, reason = "every number has at most four digits")]
    pub fn parse(text: &str) -> Option<Self> {
        let &[
            y1,
            y2,
            y3,
            y4,
            b'-',
            mo1,
            mo2,
            b'-',
            d1,
            d2,
            b'T',
            h1,
            h2,
            b':',
            mi1,
            mi2,
            b':',
            s1,
            s2,
            b'.',
            f1,
            f2,
            f3,
            b'Z',
        ] = text.as_bytes()
        else {
            return None;
        };
        let year = number(&[y1, y2, y3, y4])?;
        let month = number(&[mo1, mo2])?;
        let day = number(&[d1, d2])?;
        let (hour, minute) = (number(&[h1, h2])?, number(&[mi1, mi2])?);
        let (second, ms) = (number(&[s1, s2])?, number(&[f1, f2, f3])?);
        if !(1..=days_in_month(year, month)?).contains(&day) || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let days = days_from_civil(year, month, day);
        Some(Self((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + ms))
    }

    /// The value of a `Date` header.
    pub(crate) fn http_date(self) -> String {
        const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
        const MONTHS: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let Civil { year, month, day, hour, minute, second, .. } = self.civil();
        let weekday = name(&WEEKDAYS, self.0.div_euclid(DAY_MS).rem_euclid(7));
        let month = name(&MONTHS, month.saturating_sub(1));
        format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
    }

    // Howard Hinnant's civil_from_days, https://howardhinnant.github.io/date_algorithms.html
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "milliseconds divided by a day leave room for every step"
    )]
    fn civil(self) -> Civil {
        let of_day = self.0.rem_euclid(DAY_MS);
        let days = self.0.div_euclid(DAY_MS) + 719_468;
        let era = days.div_euclid(146_097);
        let of_era = days.rem_euclid(146_097);
        let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let from_march = (5 * of_year + 2) / 153;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        Civil {
            year: year + era * 400 + i64::from(month <= 2),
            month,
            day: of_year - (153 * from_march + 2) / 5 + 1,
            hour: of_day / 3_600_000,
            minute: of_day / 60_000 % 60,
            second: of_day / 1000 % 60,
            ms: of_day % 1000,
        }
    }
}

impl fmt::Display for UtcMs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Civil { year, month, day, hour, minute, second, ms } = self.civil();
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
    }
}

struct Civil {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    ms: i64,
}

const DAY_MS: i64 = 86_400_000;

fn name(names: &[&'static str], index: i64) -> &'static str {
    usize::try_from(index).ok().and_then(|index| names.get(index).copied()).unwrap_or("")
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0_i64, |sum, digit| {
        let digit = char::from(*digit).to_digit(10)?;
        sum.checked_mul(10)?.checked_add(i64::from(digit))
    })
}

fn days_in_month(year: i64, month: i64) -> Option<i64> {
    let leap = year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0);
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => Some(31),
        4 | 6 | 9 | 11 => Some(30),
        2 if leap => Some(29),
        2 => Some(28),
        _ => None,
    }
}

// Howard Hinnant's days_from_civil, https://howardhinnant.github.io/date_algorithms.html
#[expect(clippy::arithmetic_side_effects, reason = "the year has four digits, month and day were checked")]
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let from_march = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * from_march + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wire_timestamps_are_read_to_the_millisecond() {
        for (text, ms) in [
            ("1970-01-01T00:00:00.000Z", 0),
            ("1969-12-31T23:59:59.999Z", -1),
            ("2000-02-29T12:34:56.789Z", 951_827_696_789),
            ("2026-05-31T12:00:00.123Z", 1_780_228_800_123),
            ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
        ] {
            assert_eq!(UtcMs::parse(text), Some(UtcMs(ms)), "{text}");
            assert_eq!(UtcMs(ms).to_string(), text);
        }
    }

    #[test]
    fn anything_but_the_wire_form_of_a_real_date_is_refused() {
        for text in [
            "",
            "2026-05-31T12:00:00Z",
            "2026-05-31T12:00:00.12Z",
            "2026-05-31T12:00:00.1234Z",
            "2026-05-31T12:00:00.123z",
            "2026-05-31t12:00:00.123Z",
            "2026-05-31 12:00:00.123Z",
            "2026-05-31T12:00:00,123Z",
            "2026-05-31T12:00:00.123+00:00",
            "2026-05-31T12:00:00.123",
            "2026-5-31T12:00:00.1230Z",
            "2026-05-32T12:00:00.123Z",
            "2026-05-00T12:00:00.123Z",
            "2026-04-31T12:00:00.123Z",
            "2026-00-10T12:00:00.123Z",
            "2026-13-10T12:00:00.123Z",
            "2026-02-29T12:00:00.123Z",
            "1900-02-29T12:00:00.123Z",
            "2026-05-31T24:00:00.000Z",
            "2026-05-31T23:60:00.000Z",
            "2026-05-31T23:59:60.000Z",
            "+026-05-31T12:00:00.123Z",
            "2026-05-31T12:00:00.-23Z",
        ] {
            assert_eq!(UtcMs::parse(text), None, "{text}");
        }
    }

    #[test]
    fn every_day_of_eight_centuries_survives_the_round_trip() {
        let start = UtcMs::parse("1600-01-01T00:00:00.000Z").unwrap().0;
        for day in 0..292_194 {
            let at = UtcMs(start.saturating_add(DAY_MS.saturating_mul(day)));

            assert_eq!(UtcMs::parse(&at.to_string()), Some(at), "{at}");
        }
    }

    #[test]
    fn the_date_header_is_in_the_fixed_form() {
        let at = UtcMs::parse("1994-11-06T08:49:37.999Z").unwrap();

        assert_eq!(at.http_date(), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(UtcMs(0).http_date(), "Thu, 01 Jan 1970 00:00:00 GMT");
    }
}
