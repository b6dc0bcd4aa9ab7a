//! Dates as text: RFC 3339 out, HTTP dates in.

use crate::clock::UtcMillis;

/// Bytes of an `occurred_at`: `2026-05-31T12:00:00.123Z`.
pub(crate) const TIMESTAMP_BYTES: usize = 24;

/// 0000-01-01T00:00:00.000Z and 9999-12-31T23:59:59.999Z: four digits of year are all RFC 3339 has.
const YEAR_0: i64 = -62_167_219_200_000;
const YEAR_9999_END: i64 = 253_402_300_799_999;

const DAY_MS: u64 = 86_400_000;

/// Writes a date with exactly milliseconds and `Z` (contract, section 2). Dates outside the years 0
/// to 9999 become the nearest one inside.
pub(crate) fn rfc3339(at: UtcMillis) -> [u8; TIMESTAMP_BYTES] {
    let ms = at.get().clamp(YEAR_0, YEAR_9999_END);
    // Days of less than ten thousand years and milliseconds of a day fit 32 bits, which is all that small processors
    // divide well.
    let since_0 = ms.abs_diff(YEAR_0);
    let (year, month, day) = civil_from_days((since_0 / DAY_MS) as u32);
    let in_day = (since_0 % DAY_MS) as u32;
    let [y1, y2] = two_digits(year / 100);
    let [y3, y4] = two_digits(year % 100);
    let [m1, m2] = two_digits(month);
    let [d1, d2] = two_digits(day);
    let [h1, h2] = two_digits(in_day / 3_600_000);
    let [i1, i2] = two_digits(in_day / 60_000 % 60);
    let [s1, s2] = two_digits(in_day / 1000 % 60);
    let [f1, f2] = two_digits(in_day % 1000 / 10);
    let [_, f3] = two_digits(in_day % 10);
    [
        y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', i1, i2, b':', s1, s2, b'.', f1, f2,
        f3, b'Z',
    ]
}

const fn two_digits(value: u32) -> [u8; 2] {
    [b'0' | (value / 10 % 10) as u8, b'0' | (value % 10) as u8]
}

/// Howard Hinnant's `civil_from_days`: days since 0000-01-01 to year, month, day.
#[expect(clippy::arithmetic_side_effects, reason = "the caller's clamp bounds every term")]
const fn civil_from_days(days: u32) -> (u32, u32, u32) {
    // From 1 March of the 400 years before on, so that every leap day is the last day of its year.
    let shifted = days + 146_097 - 60;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + (month <= 2) as u32 - 400;
    (year, month, day)
}

/// The inverse of [`civil_from_days`], for a year from 0 to 9999, or `None` for a day that does not exist.
#[expect(clippy::arithmetic_side_effects, reason = "the range checks bound every term")]
fn days_from_civil(year: u32, month: u32, day: u32) -> Option<u32> {
    if !(0..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let march_year = year + 400 - u32::from(month <= 2);
    let (era, year_of_era) = (march_year / 400, march_year % 400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era + 60 - 146_097;
    (civil_from_days(days) == (year, month, day)).then_some(days)
}

/// Reads an HTTP date in any of its three forms (RFC 9110, section 5.6.7), in UTC.
pub(crate) fn parse_http_date(text: &[u8]) -> Option<UtcMillis> {
    // A date is ASCII: what is not is no date, wherever it stands.
    let text = Some(text).filter(|text| text.is_ascii())?.trim_ascii();
    let mut parts = text.split(|byte| b" ,-".contains(byte)).filter(|part| !part.is_empty());
    let _weekday = parts.next()?;
    let (first, second) = (parts.next()?, parts.next()?);
    let (year, month, day, time) = if first.first()?.is_ascii_digit() {
        // Sun, 06 Nov 1994 08:49:37 GMT, or the obsolete Sunday, 06-Nov-94 08:49:37 GMT
        let (year, time) = (parts.next()?, parts.next()?);
        if parts.next()? != b"GMT" {
            return None;
        }
        (year, second, first, time)
    } else {
        // The obsolete Sun Nov  6 08:49:37 1994
        let time = parts.next()?;
        (parts.next()?, first, second, time)
    };
    if parts.next().is_some() {
        return None;
    }
    let year = match (year.len(), number(year)?) {
        (4, year) => year,
        // Two digits: no HTTP date is older than the web.
        (2, year) if year >= 70 => year.checked_add(1900)?,
        (2, year) => year.checked_add(2000)?,
        _ => return None,
    };
    const MONTHS: &[[u8; 3]] = &[
        *b"Jan", *b"Feb", *b"Mar", *b"Apr", *b"May", *b"Jun", *b"Jul", *b"Aug", *b"Sep", *b"Oct", *b"Nov",
        *b"Dec",
    ];
    let month = MONTHS.iter().zip(1..).find(|(name, _)| *name == month)?.1;
    let days = days_from_civil(year, month, number(day)?)?;
    let mut clock = time.split(|byte| *byte == b':');
    let (hour, minute, second) = (number(clock.next()?)?, number(clock.next()?)?, number(clock.next()?)?);
    if hour > 23 || minute > 59 || second > 60 || clock.next().is_some() {
        return None;
    }
    let in_day = hour.checked_mul(3600)?.checked_add(minute.checked_mul(60)?)?.checked_add(second)?;
    let since_0 = u64::from(days).checked_mul(DAY_MS)?.checked_add(u64::from(in_day).checked_mul(1000)?)?;
    Some(UtcMillis::new(YEAR_0.checked_add_unsigned(since_0)?))
}

/// A number of one to four decimal digits.
fn number(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || digits.len() > 4 {
        return None;
    }
    digits.iter().try_fold(0_u32, |number, digit| {
        let digit = Some(digit).filter(|digit| digit.is_ascii_digit())?;
        number.checked_mul(10)?.checked_add(u32::from(digit & 15))
    })
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::String;

    const DAY: i64 = DAY_MS as i64;

    fn text(ms: i64) -> String {
        String::from_utf8(rfc3339(UtcMillis::new(ms)).to_vec()).unwrap()
    }

    #[test]
    fn dates_have_exactly_milliseconds() {
        for (ms, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (1_780_228_800_123, "2026-05-31T12:00:00.123Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
            (i64::MIN, "0000-01-01T00:00:00.000Z"),
            (i64::MAX, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(text(ms), expected, "{ms}");
        }
    }

    #[test]
    fn every_day_of_ten_thousand_years_goes_there_and_back() {
        for days in 0..=3_652_424 {
            let (year, month, day) = civil_from_days(days);

            assert_eq!(days_from_civil(year, month, day), Some(days), "{days}");
        }
    }

    #[test]
    fn http_dates_in_three_forms() {
        let sunday = Some(UtcMillis::new(784_111_777_000));
        for (date, expected) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", sunday),
            ("Sunday, 06-Nov-94 08:49:37 GMT", sunday),
            ("Sun Nov  6 08:49:37 1994", sunday),
            (" Sun, 06 Nov 1994 08:49:37 GMT ", sunday),
            ("Sun, 31 Feb 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 24:49:37 GMT", None),
            ("Sun, 06 Nov 1994 08:49:37 PST", None),
            ("Sun, 06 Nov 1994 08:49:37", None),
            ("Sun, 06 Nov 99999999999999999999 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 08:49:37 GMT GMT", None),
            ("", None),
            ("garbage", None),
            ("uh\u{56b}, 06 Nov 1994 08:49:37 GMT", None),
            ("\u{a0}Sun, 06 Nov 1994 08:49:37 GMT", None),
        ] {
            assert_eq!(parse_http_date(date.as_bytes()), expected, "{date:?}");
        }
        assert_eq!(parse_http_date(&[0xff; 29]), None);
    }

    #[test]
    fn a_day_or_a_time_that_no_clock_shows_is_no_date() {
        let date = |date: &str| parse_http_date(date.as_bytes()).map(UtcMillis::get);
        // The seconds of a day may count one more: a leap second.
        for (time, seconds) in [("00:00:00", Some(0)), ("23:59:59", Some(86_399)), ("23:59:60", Some(86_400))]
        {
            assert_eq!(
                date(&std::format!("Thu, 01 Jan 1970 {time} GMT")),
                seconds.map(|s| s * 1000),
                "{time}"
            );
        }
        for time in
            ["24:00:00", "00:60:00", "00:00:61", "00:00", "00:00:00:00", ":00:00", "00::00", "+1:00:00"]
        {
            assert_eq!(date(&std::format!("Thu, 01 Jan 1970 {time} GMT")), None, "{time}");
        }
        for day in [
            "00 Jan 1970",
            "32 Jan 1970",
            "00001 Jan 1970",
            "30 Feb 2000",
            "29 Feb 1900",
            "01 Foo 1970",
            "01 Jan 197",
            "1 J 1",
        ] {
            assert_eq!(date(&std::format!("Thu, {day} 00:00:00 GMT")), None, "{day}");
        }
        // Two digits of a year are of the web's time.
        for (year, days) in [("70", 0), ("99", 10_592), ("00", 10_957), ("69", 36_160)] {
            assert_eq!(
                date(&std::format!("Thursday, 01-Jan-{year} 00:00:00 GMT")),
                Some(days * DAY),
                "{year}"
            );
        }
        assert_eq!(date("Thu, 29 Feb 2000 00:00:00 GMT"), Some(11_016 * DAY));
    }

    #[test]
    fn only_days_of_the_calendar_with_four_digits_of_year_are_counted() {
        assert_eq!(days_from_civil(0, 1, 1), Some(0));
        assert_eq!(
            days_from_civil(9999, 12, 31).map(i64::from),
            Some((YEAR_9999_END + 1 - YEAR_0) / DAY - 1)
        );
        for (year, month, day) in [(10_000, 1, 1), (1970, 0, 1), (1970, 13, 1), (1970, 1, 0), (1970, 1, 32)] {
            assert_eq!(days_from_civil(year, month, day), None, "{year}-{month}-{day}");
        }
    }
}
