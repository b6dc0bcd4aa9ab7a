//! The date a fixture sets the wall clock to.

use whisperr_collector::UtcMs;

/// Reads an RFC 3339 date of any precision and offset.
///
/// The clocks of every adapter tell whole milliseconds; what is finer is cut off here, as the
/// system's clock cuts it off, and never rounded.
pub(crate) fn parse(text: &str) -> Option<UtcMs> {
    let (seconds, rest) = text.split_at_checked("2026-05-31T12:00:00".len())?;
    let (fraction, zone) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at_checked(rest.find(|c: char| !c.is_ascii_digit())?)?,
        None => ("0", rest),
    };
    if fraction.is_empty() {
        return None;
    }
    let ms = fraction.get(..3).unwrap_or(fraction);
    let local = UtcMs::parse(&format!("{seconds}.{ms:0<3}Z"))?;
    Some(UtcMs(local.0.checked_sub(offset_ms(zone)?)?))
}

fn offset_ms(zone: &str) -> Option<i64> {
    let (ms_a_minute, rest) = match zone.split_at_checked(1)? {
        ("Z", "") => return Some(0),
        ("+", rest) => (60_000, rest),
        ("-", rest) => (-60_000, rest),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    let number = |text: &str, max: i64| {
        let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<i64>().ok().filter(|number| digits && *number <= max)
    };
    let minutes = number(hours, 23)?.checked_mul(60)?.checked_add(number(minutes, 59)?)?;
    minutes.checked_mul(ms_a_minute)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finer_than_milliseconds_is_cut_off() {
        for (text, expected) in [
            ("2026-05-31T12:00:00Z", Some("2026-05-31T12:00:00.000Z")),
            ("2026-05-31T12:00:00.1Z", Some("2026-05-31T12:00:00.100Z")),
            ("2026-05-31T12:00:00.123456Z", Some("2026-05-31T12:00:00.123Z")),
            ("2026-05-31T12:00:00.999999999Z", Some("2026-05-31T12:00:00.999Z")),
            ("2026-05-31T14:00:00.5+02:00", Some("2026-05-31T12:00:00.500Z")),
            ("2026-05-31T23:30:00-01:30", Some("2026-06-01T01:00:00.000Z")),
            ("2026-05-31T12:00:00", None),
            ("2026-05-31T12:00:00.Z", None),
            ("2026-05-31T12:00:00+2:00", None),
            ("2026-02-30T12:00:00Z", None),
            ("2026-05-31", None),
            ("", None),
        ] {
            assert_eq!(parse(text).map(|at| at.to_string()).as_deref(), expected, "{text}");
        }
    }
}
