//! The parts of a certificate that `embedded-tls` does not look at.
//!
//! A walk over DER in a fixed number of steps: every length is checked against what is there, and what is not as it
//! should be is nothing.

use whisperr_core::UtcMillis;

/// A constructed element.
const SEQUENCE: u8 = 0x30;
/// The version of a certificate, `[0]`.
const VERSION: u8 = 0xa0;
/// The extensions of a certificate, `[3]`.
const EXTENSIONS: u8 = 0xa3;
const OID: u8 = 0x06;
const BOOLEAN: u8 = 0x01;
const OCTET_STRING: u8 = 0x04;

/// `basicConstraints`, 2.5.29.19.
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];

/// A date whose year has two digits, from 1950 to 2049 (RFC 5280, section 4.1.2.5.1).
const UTC_TIME: u8 = 0x17;
/// A date whose year has four.
const GENERALIZED_TIME: u8 = 0x18;

/// Who issued a certificate, and whom it is about, as their names stand in it; when it is valid; and its extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Certificate<'a> {
    pub(super) issuer: &'a [u8],
    pub(super) subject: &'a [u8],
    /// Seconds since 1970, both included.
    valid: (i64, i64),
    extensions: &'a [u8],
}

impl<'a> Certificate<'a> {
    /// Reads a certificate.
    pub(super) fn read(der: &'a [u8]) -> Option<Self> {
        let mut outer = Elements(der).take(SEQUENCE)?;
        let mut inner = outer.take(SEQUENCE)?;
        let _version = inner.take(VERSION);
        let (_serial, _algorithm) = (inner.next()?, inner.take(SEQUENCE)?);
        let issuer = inner.take(SEQUENCE)?.0;
        let mut validity = inner.take(SEQUENCE)?;
        let valid = (seconds(validity.next()?)?, seconds(validity.next()?)?);
        let subject = inner.take(SEQUENCE)?.0;
        let _key = inner.take(SEQUENCE)?;
        let extensions = inner.find(EXTENSIONS).and_then(|mut found| found.take(SEQUENCE));
        Some(Self { issuer, subject, valid, extensions: extensions.map_or(&[], |found| found.0) })
    }

    /// Whether it is valid at a moment.
    pub(super) fn is_valid_at(&self, utc: UtcMillis) -> bool {
        let seconds = utc.get().div_euclid(1000);
        self.valid.0 <= seconds && seconds <= self.valid.1
    }

    /// Whether it says that its holder may issue certificates (RFC 5280, section 4.2.1.9).
    pub(super) fn is_authority(&self) -> bool {
        let mut extensions = Elements(self.extensions);
        while let Some(mut extension) = extensions.take(SEQUENCE) {
            if extension.take(OID).is_some_and(|oid| oid.0 == BASIC_CONSTRAINTS) {
                let _is_critical = extension.take(BOOLEAN);
                let value = extension.take(OCTET_STRING).and_then(|mut value| value.take(SEQUENCE));
                return value.and_then(|mut value| value.take(BOOLEAN)).is_some_and(|is| is.0 == [0xff]);
            }
        }
        false
    }
}

/// A date in seconds since 1970. In certificates it always ends in seconds and `Z`.
fn seconds((tag, content): (u8, Elements<'_>)) -> Option<i64> {
    let digits = content.0.strip_suffix(b"Z")?;
    let (year, rest) = match tag {
        UTC_TIME => {
            let (year, rest) = digits.split_at_checked(2)?;
            let year = number(year)?;
            (if year < 50 { year.saturating_add(2000) } else { year.saturating_add(1900) }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = digits.split_at_checked(4)?;
            (number(year)?, rest)
        }
        _ => return None,
    };
    let [month, day, hour, minute, second] = {
        let (pairs, []) = rest.as_chunks::<2>() else { return None };
        let [month, day, hour, minute, second] = pairs else { return None };
        [number(month)?, number(day)?, number(hour)?, number(minute)?, number(second)?]
    };
    if !(1..=12).contains(&month) {
        return None;
    }
    // Years from March, so that the day that some years have more is their last.
    let (year, month) =
        if month > 2 { (year, month.wrapping_sub(3)) } else { (year.wrapping_sub(1), month.wrapping_add(9)) };
    let leaps = year.div_euclid(4).wrapping_sub(year.div_euclid(100)).wrapping_add(year.div_euclid(400));
    let days_before_month = month.wrapping_mul(153).wrapping_add(2).div_euclid(5);
    let days = year.wrapping_mul(365).wrapping_add(leaps).wrapping_add(days_before_month).wrapping_add(day);
    // 719,469 days after the day before 0000-03-01 is 1970-01-01.
    let hours = days.wrapping_sub(719_469).wrapping_mul(24).wrapping_add(hour);
    Some(hours.wrapping_mul(60).wrapping_add(minute).wrapping_mul(60).wrapping_add(second))
}

/// A number of at most four decimal digits.
fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0_i64, |sum, digit| {
        let digit = char::from(*digit).to_digit(10)?;
        Some(sum.wrapping_mul(10).wrapping_add(digit.into()))
    })
}

/// Elements one after another.
#[derive(Clone, Copy)]
struct Elements<'a>(&'a [u8]);

impl<'a> Elements<'a> {
    /// The next element: its tag and its content.
    fn next(&mut self) -> Option<(u8, Self)> {
        let [tag, first, rest @ ..] = self.0 else { return None };
        let (len, rest) = match *first {
            len @ ..=0x7f => (usize::from(len), rest),
            // So many bytes of length follow; a certificate is shorter than 64 KiB.
            0x81 => (usize::from(*rest.first()?), rest.get(1..)?),
            0x82 => {
                let (len, rest) = rest.split_first_chunk::<2>()?;
                (usize::from(u16::from_be_bytes(*len)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(len)?;
        self.0 = rest;
        Some((*tag, Self(content)))
    }

    /// The next element, if it has this tag; else it stays the next.
    fn take(&mut self, tag: u8) -> Option<Self> {
        let before = *self;
        match self.next() {
            Some((found, content)) if found == tag => Some(content),
            _ => {
                *self = before;
                None
            }
        }
    }

    /// The first element of this tag.
    fn find(&mut self, tag: u8) -> Option<Self> {
        while let Some((found, content)) = self.next() {
            if found == tag {
                return Some(content);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    fn element(tag: u8, content: &[u8]) -> Vec<u8> {
        let mut element = Vec::from([tag]);
        match content.len() {
            len @ ..0x80 => element.push(len as u8),
            len => element.extend([0x82, (len >> 8) as u8, len as u8]),
        }
        element.extend(content);
        element
    }

    /// A certificate in as far as it is looked at.
    fn certificate(extensions: &[u8]) -> Vec<u8> {
        let mut inner = element(VERSION, &[2, 1, 2]);
        inner.extend(element(2, &[7]));
        inner.extend(element(SEQUENCE, &[]));
        inner.extend(element(SEQUENCE, b"issuer"));
        let validity = [element(UTC_TIME, b"260101000000Z"), element(GENERALIZED_TIME, b"20500101000000Z")];
        inner.extend(element(SEQUENCE, &validity.concat()));
        inner.extend(element(SEQUENCE, b"subject"));
        inner.extend(element(SEQUENCE, &[0; 200]));
        inner.extend(element(EXTENSIONS, &element(SEQUENCE, extensions)));
        element(SEQUENCE, &element(SEQUENCE, &inner))
    }

    fn extension(oid: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
        let mut inner = element(OID, oid);
        if critical {
            inner.extend(element(BOOLEAN, &[0xff]));
        }
        inner.extend(element(OCTET_STRING, value));
        element(SEQUENCE, &inner)
    }

    #[test]
    fn only_who_says_so_is_an_authority() {
        let (yes, no) = (element(SEQUENCE, &[1, 1, 0xff]), element(SEQUENCE, &[]));
        let other = extension(&[0x55, 0x1d, 0x0f], true, &[3, 2, 5, 0xa0]);
        for (name, extensions, is_authority) in [
            ("critical", extension(BASIC_CONSTRAINTS, true, &yes), true),
            ("not critical", extension(BASIC_CONSTRAINTS, false, &yes), true),
            ("behind another", [other.clone(), extension(BASIC_CONSTRAINTS, true, &yes)].concat(), true),
            (
                "with a length",
                extension(BASIC_CONSTRAINTS, true, &element(SEQUENCE, &[1, 1, 0xff, 2, 1, 0])),
                true,
            ),
            ("no", extension(BASIC_CONSTRAINTS, true, &no), false),
            ("false", extension(BASIC_CONSTRAINTS, true, &element(SEQUENCE, &[1, 1, 0])), false),
            ("a length alone", extension(BASIC_CONSTRAINTS, true, &element(SEQUENCE, &[2, 1, 0xff])), false),
            ("nothing", Vec::new(), false),
            ("another", other.clone(), false),
            (
                "inside another",
                extension(&[0x55, 0x1d, 0x0f], true, &extension(BASIC_CONSTRAINTS, true, &yes)),
                false,
            ),
            (
                "the first counts",
                [extension(BASIC_CONSTRAINTS, true, &no), extension(BASIC_CONSTRAINTS, true, &yes)].concat(),
                false,
            ),
        ] {
            let der = certificate(&extensions);
            let read = Certificate::read(&der).unwrap();

            assert_eq!((read.issuer, read.subject), (&b"issuer"[..], &b"subject"[..]), "{name}");
            assert_eq!(read.is_authority(), is_authority, "{name}");
        }
    }

    #[test]
    fn a_certificate_that_is_cut_or_spoilt_is_none_or_another() {
        let der = certificate(&extension(BASIC_CONSTRAINTS, true, &element(SEQUENCE, &[1, 1, 0xff])));
        for at in 0..der.len() {
            assert_eq!(Certificate::read(&der[..at]), None, "{at}");
            for byte in 0..=255 {
                let mut spoilt = der.clone();
                spoilt[at] = byte;
                let _whatever = Certificate::read(&spoilt).map(|read| read.is_authority());
            }
        }
    }

    #[test]
    fn a_certificate_is_valid_from_its_first_second_to_its_last() {
        let der = certificate(&[]);
        let read = Certificate::read(&der).unwrap();
        for (utc, is_valid) in [
            (1_767_225_599_999, false),
            (1_767_225_600_000, true),
            (2_524_608_000_999, true),
            (2_524_608_001_000, false),
            (i64::MIN, false),
            (i64::MAX, false),
        ] {
            assert_eq!(read.is_valid_at(UtcMillis::new(utc)), is_valid, "{utc}");
        }
    }

    #[test]
    fn dates_are_read_in_both_forms() {
        for (tag, text, expected) in [
            (UTC_TIME, "700101000000Z", Some(0)),
            (UTC_TIME, "491231235959Z", Some(2_524_607_999)),
            (UTC_TIME, "500101000000Z", Some(-631_152_000)),
            (UTC_TIME, "240229120000Z", Some(1_709_208_000)),
            (UTC_TIME, "240301000000Z", Some(1_709_251_200)),
            (GENERALIZED_TIME, "20000229000000Z", Some(951_782_400)),
            (GENERALIZED_TIME, "99991231235959Z", Some(253_402_300_799)),
            (GENERALIZED_TIME, "00000101000000Z", Some(-62_167_219_200)),
            (UTC_TIME, "7001010000Z", None),
            (UTC_TIME, "700101000000", None),
            (UTC_TIME, "701301000000Z", None),
            (UTC_TIME, "700001000000Z", None),
            (UTC_TIME, "70010100000xZ", None),
            (GENERALIZED_TIME, "700101000000Z", None),
            (GENERALIZED_TIME, "Z", None),
            (OID, "700101000000Z", None),
        ] {
            assert_eq!(seconds((tag, Elements(text.as_bytes()))), expected, "{text}");
        }
    }
}
