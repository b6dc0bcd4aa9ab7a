//! What a certificate says (RFC 5280), in as far as it decides who is spoken to.

use whisperr_core::UtcMillis;

use super::der::{BIT_STRING, BOOLEAN, Elements, INTEGER, OCTET_STRING, OID, SEQUENCE};

/// The version of a certificate, `[0]`.
const VERSION: u8 = 0xa0;
/// The extensions of a certificate, `[3]`.
const EXTENSIONS: u8 = 0xa3;

/// `ecdsa-with-SHA256`, 1.2.840.10045.4.3.2, which has no parameters.
const ECDSA_SHA256: &[u8] = &[OID, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
/// `ecdsa-with-SHA384`, 1.2.840.10045.4.3.3.
const ECDSA_SHA384: &[u8] = &[OID, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3];
/// `id-ecPublicKey`, 1.2.840.10045.2.1, on `prime256v1`, 1.2.840.10045.3.1.7.
const P256: &[u8] =
    &[OID, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, OID, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
/// The same on `secp384r1`, 1.3.132.0.34.
const P384: &[u8] = &[OID, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, OID, 5, 0x2b, 0x81, 4, 0, 0x22];

/// `keyUsage`, 2.5.29.15.
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
/// `subjectAltName`, 2.5.29.17.
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
/// `basicConstraints`, 2.5.29.19.
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
/// `extKeyUsage`, 2.5.29.37.
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];

/// `serverAuth`, 1.3.6.1.5.5.7.3.1.
const SERVER_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
/// `anyExtendedKeyUsage`, 2.5.29.37.0.
const ANY_PURPOSE: &[u8] = &[0x55, 0x1d, 0x25, 0];

/// In the first byte of `keyUsage`: the key signs what is not a certificate, as the proof of a handshake is.
const DIGITAL_SIGNATURE: u8 = 0x80;
/// In the first byte of `keyUsage`: the key signs certificates.
const KEY_CERT_SIGN: u8 = 0x04;

/// A date whose year has two digits, from 1950 to 2049 (RFC 5280, section 4.1.2.5.1).
const UTC_TIME: u8 = 0x17;
/// A date whose year has four.
const GENERALIZED_TIME: u8 = 0x18;

/// A curve, and the hash that is as strong: another one with it is nobody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Curve {
    P256,
    P384,
}

impl Curve {
    /// Of a signature of this kind.
    fn of_signature(algorithm: &[u8]) -> Option<Self> {
        match algorithm {
            ECDSA_SHA256 => Some(Self::P256),
            ECDSA_SHA384 => Some(Self::P384),
            _ => None,
        }
    }

    /// Of a key of this kind.
    fn of_key(kind: &[u8]) -> Option<Self> {
        match kind {
            P256 => Some(Self::P256),
            P384 => Some(Self::P384),
            _ => None,
        }
    }
}

/// A certificate that was read: nothing in it is believed before its signature was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Certificate<'a> {
    /// What the issuer signed.
    pub(super) signed: &'a [u8],
    /// The signature, where it is ECDSA of a kind that is known.
    pub(super) signature: Option<(Curve, &'a [u8])>,
    /// Who issued it, and whom it is about, as their names stand in it.
    pub(super) issuer: &'a [u8],
    pub(super) subject: &'a [u8],
    /// Seconds since 1970, both included.
    valid: (i64, i64),
    /// The point that is the key, where its curve is known.
    pub(super) key: Option<(Curve, &'a [u8])>,
    extensions: Extensions<'a>,
}

/// What the extensions say. Where one is left out, the default is the standard's; where one cannot be read, nothing
/// is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Extensions<'a> {
    /// How many authorities may stand below it, down to the server; `None` when it is none.
    below: Option<usize>,
    /// What the key may be used for.
    usage: u8,
    is_for_servers: bool,
    /// The other names of the subject.
    names: Elements<'a>,
    /// Whether nothing in it is critical and not known here, and nothing is said twice.
    is_understood: bool,
}

impl<'a> Certificate<'a> {
    /// Reads a certificate.
    pub(super) fn read(der: &'a [u8]) -> Option<Self> {
        let mut file = Elements(der);
        let mut outer = file.take(SEQUENCE)?;
        let (signed, mut inner) = outer.take_whole(SEQUENCE)?;
        let algorithm = outer.take(SEQUENCE)?;
        let signature = outer.take(BIT_STRING)?.bits();
        if !file.0.is_empty() || !outer.0.is_empty() {
            return None;
        }
        let _version = inner.take(VERSION);
        let _serial = inner.next()?;
        // Once more where it is signed (section 4.1.1.2).
        let is_same = inner.take(SEQUENCE)? == algorithm;
        let signed_on = Curve::of_signature(algorithm.0).filter(|_| is_same);
        let issuer = inner.take(SEQUENCE)?.0;
        let mut validity = inner.take(SEQUENCE)?;
        let valid = (seconds(validity.next()?)?, seconds(validity.next()?)?);
        let subject = inner.take(SEQUENCE)?.0;
        let mut key = inner.take(SEQUENCE)?;
        let curve = Curve::of_key(key.take(SEQUENCE)?.0);
        let point = key.take(BIT_STRING).and_then(Elements::bits);
        let extensions = inner.find(EXTENSIONS).and_then(|mut found| found.take(SEQUENCE));
        Some(Self {
            signed,
            signature: signed_on.zip(signature),
            issuer,
            subject,
            valid,
            key: curve.zip(point),
            extensions: Extensions::read(extensions.unwrap_or(Elements(&[]))),
        })
    }

    /// Whether it is valid at a moment.
    pub(super) fn is_valid_at(&self, utc: UtcMillis) -> bool {
        let seconds = utc.get().div_euclid(1000);
        self.valid.0 <= seconds && seconds <= self.valid.1
    }

    /// Whether its holder may issue certificates with so many authorities between it and the server's.
    pub(super) fn may_issue(&self, below: usize) -> bool {
        let Extensions { below: most, usage, .. } = self.extensions;
        most.is_some_and(|most| below <= most) && usage & KEY_CERT_SIGN != 0
    }

    /// Whether its holder may prove with its key that it is a server.
    pub(super) const fn may_serve(&self) -> bool {
        self.extensions.usage & DIGITAL_SIGNATURE != 0
    }

    /// Whether it is for servers, or those above them, and says nothing that must be understood and is not.
    pub(super) const fn is_for_servers(&self) -> bool {
        self.extensions.is_for_servers && self.extensions.is_understood
    }

    /// The other names of its subject: the only ones that count (RFC 9525).
    pub(super) const fn names(&self) -> Elements<'a> {
        self.extensions.names
    }
}

impl<'a> Extensions<'a> {
    fn read(mut list: Elements<'a>) -> Self {
        let mut read = Self {
            below: None,
            usage: u8::MAX,
            is_for_servers: true,
            names: Elements(&[]),
            is_understood: true,
        };
        let mut seen = [false; 4];
        while !list.0.is_empty() {
            let extension = list.take(SEQUENCE).and_then(|mut extension| {
                let oid = extension.take(OID)?.0;
                let is_critical = extension.take(BOOLEAN).is_some_and(|value| value.0 != [0]);
                Some((oid, is_critical, extension.take(OCTET_STRING)?))
            });
            let Some((oid, is_critical, mut value)) = extension else {
                read.is_understood = false;
                break;
            };
            let at = match oid {
                BASIC_CONSTRAINTS => 0,
                KEY_USAGE => 1,
                EXTENDED_KEY_USAGE => 2,
                SUBJECT_ALT_NAME => 3,
                _ => {
                    read.is_understood &= !is_critical;
                    continue;
                }
            };
            // None may stand there twice (section 4.2).
            if seen.get_mut(at).is_none_or(|seen| core::mem::replace(seen, true)) {
                read.is_understood = false;
                break;
            }
            match at {
                0 => read.below = value.take(SEQUENCE).and_then(authorities_below),
                1 => {
                    // How many bits of the last byte do not count comes first.
                    read.usage = match value.take(BIT_STRING).map(|bits| bits.0) {
                        Some([unused, only]) => only & u8::MAX.checked_shl((*unused).into()).unwrap_or(0),
                        Some([_, first, ..]) => *first,
                        _ => 0,
                    };
                }
                2 => read.is_for_servers = value.take(SEQUENCE).is_some_and(names_servers),
                _ => read.names = value.take(SEQUENCE).unwrap_or(Elements(&[])),
            }
        }
        read
    }
}

/// How many authorities `basicConstraints` allows below its subject; `None` when it is no authority itself.
fn authorities_below(mut constraints: Elements<'_>) -> Option<usize> {
    constraints.take(BOOLEAN).filter(|is| is.0 == [0xff])?;
    match constraints.take(INTEGER).map(|most| most.0) {
        Some([most @ ..0x80]) => Some(usize::from(*most)),
        // Less than none.
        Some([] | [0x80..=0xff, ..]) => None,
        Some(_) | None => Some(usize::MAX),
    }
}

/// Whether servers are among the purposes.
fn names_servers(mut purposes: Elements<'_>) -> bool {
    while let Some(purpose) = purposes.take(OID) {
        if purpose.0 == SERVER_AUTH || purpose.0 == ANY_PURPOSE {
            return true;
        }
    }
    false
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

    const SIGNATURE: &[u8] = b"signature";
    const KEY: &[u8] = &[4; 65];

    /// A certificate in as far as it is looked at.
    fn certificate(extensions: &[u8]) -> Vec<u8> {
        signed_with(ECDSA_SHA256, ECDSA_SHA256, P256, extensions)
    }

    /// One that says twice how it was signed, and once of what kind its key is.
    fn signed_with(outside: &[u8], inside: &[u8], kind: &[u8], extensions: &[u8]) -> Vec<u8> {
        let mut inner = element(VERSION, &[2, 1, 2]);
        inner.extend(element(2, &[7]));
        inner.extend(element(SEQUENCE, inside));
        inner.extend(element(SEQUENCE, b"issuer"));
        let validity = [element(UTC_TIME, b"260101000000Z"), element(GENERALIZED_TIME, b"20500101000000Z")];
        inner.extend(element(SEQUENCE, &validity.concat()));
        inner.extend(element(SEQUENCE, b"subject"));
        let key = [element(SEQUENCE, kind), element(BIT_STRING, &[&[0], KEY].concat())];
        inner.extend(element(SEQUENCE, &key.concat()));
        inner.extend(element(EXTENSIONS, &element(SEQUENCE, extensions)));
        let signature = element(BIT_STRING, &[&[0], SIGNATURE].concat());
        let outer = [element(SEQUENCE, &inner), element(SEQUENCE, outside), signature];
        element(SEQUENCE, &outer.concat())
    }

    fn read(extensions: &[u8]) -> (bool, bool, bool) {
        let der = certificate(extensions);
        let read = Certificate::read(&der).unwrap();
        (read.may_issue(0), read.may_serve(), read.is_for_servers())
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
        let other = extension(&[0x55, 0x1d, 0x0f], true, &[3, 2, 2, 0x84]);
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
        ] {
            let der = certificate(&extensions);
            let read = Certificate::read(&der).unwrap();

            assert_eq!((read.issuer, read.subject), (&b"issuer"[..], &b"subject"[..]), "{name}");
            assert_eq!(read.may_issue(0), is_authority, "{name}");
            assert!(read.is_for_servers(), "{name}");
        }
    }

    #[test]
    fn an_authority_says_how_many_may_stand_below_it() {
        for (most, allowed) in [
            (&[][..], Some(usize::MAX)),
            (&[INTEGER, 1, 0], Some(0)),
            (&[INTEGER, 1, 2], Some(2)),
            (&[INTEGER, 1, 0x7f], Some(127)),
            (&[INTEGER, 2, 0, 0x80], Some(usize::MAX)),
            (&[INTEGER, 1, 0xff], None),
            (&[INTEGER, 0], None),
        ] {
            let value = element(SEQUENCE, &[&[BOOLEAN, 1, 0xff], most].concat());
            let der = certificate(&extension(BASIC_CONSTRAINTS, true, &value));
            let read = Certificate::read(&der).unwrap();

            for below in [0, 1, 2, 3, 127, 128, 1000] {
                let expected = allowed.is_some_and(|allowed| below <= allowed);
                assert_eq!(read.may_issue(below), expected, "{most:?}: {below}");
            }
        }
    }

    #[test]
    fn a_key_is_used_for_what_it_is_for() {
        let authority = extension(BASIC_CONSTRAINTS, true, &element(SEQUENCE, &[BOOLEAN, 1, 0xff]));
        for (usage, may_issue, may_serve) in [
            (&[BIT_STRING, 2, 1, 0x06][..], true, false),
            (&[BIT_STRING, 2, 7, 0x80], false, true),
            (&[BIT_STRING, 2, 2, 0x84], true, true),
            (&[BIT_STRING, 2, 3, 0x78], false, false),
            (&[BIT_STRING, 2, 3, 0xff], false, true),
            (&[BIT_STRING, 2, 8, 0xff], false, false),
            (&[BIT_STRING, 3, 7, 0x04, 0x80], true, false),
            (&[BIT_STRING, 1, 0], false, false),
            (&[BIT_STRING, 0], false, false),
            (&[INTEGER, 1, 0xff], false, false),
        ] {
            let usage_and_more = [extension(KEY_USAGE, true, usage), authority.clone()].concat();
            assert_eq!(read(&usage_and_more), (may_issue, may_serve, true), "{usage:?}");
        }
        assert_eq!(read(&authority), (true, true, true), "where it says nothing");
    }

    #[test]
    fn only_what_is_for_servers_and_understood_is() {
        let client = element(OID, &[0x2b, 6, 1, 5, 5, 7, 3, 2]);
        let purposes =
            |list: &[Vec<u8>]| extension(EXTENDED_KEY_USAGE, false, &element(SEQUENCE, &list.concat()));
        let other = &[0x55, 0x1d, 0x1e];
        let twice =
            |oid| [extension(oid, false, &[SEQUENCE, 0]), extension(oid, false, &[SEQUENCE, 0])].concat();
        for (name, extensions, is_for_servers) in [
            ("nothing", Vec::new(), true),
            ("servers", purposes(&[client.clone(), element(OID, SERVER_AUTH)]), true),
            ("anything", purposes(&[element(OID, ANY_PURPOSE)]), true),
            ("clients", purposes(&[client]), false),
            ("no purpose", purposes(&[]), false),
            ("what is no list", extension(EXTENDED_KEY_USAGE, false, &[INTEGER, 1, 1]), false),
            ("another", extension(other, false, &[SEQUENCE, 0]), true),
            ("another that is critical", extension(other, true, &[SEQUENCE, 0]), false),
            (
                "critical in another way",
                [SEQUENCE, 10, OID, 3, 0x55, 0x1d, 0x1e, BOOLEAN, 1, 1, 4, 0].to_vec(),
                false,
            ),
            ("another twice", twice(other), true),
            ("constraints twice", twice(BASIC_CONSTRAINTS), false),
            ("names twice", twice(SUBJECT_ALT_NAME), false),
            ("what is no extension", [INTEGER, 1, 1].to_vec(), false),
            ("half an extension", [SEQUENCE, 5, OID, 3, 0x55, 0x1d, 0x1e].to_vec(), false),
        ] {
            assert_eq!(read(&extensions).2, is_for_servers, "{name}");
        }
    }

    #[test]
    fn keys_and_signatures_of_another_kind_are_none() {
        let sha1 = &[OID, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1];
        let p521 = &[OID, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, OID, 5, 0x2b, 0x81, 4, 0, 0x23];
        let (on256, on384) = (Some((Curve::P256, SIGNATURE)), Some((Curve::P384, SIGNATURE)));
        let (key256, key384) = (Some((Curve::P256, KEY)), Some((Curve::P384, KEY)));
        for (outside, inside, kind, expected) in [
            (ECDSA_SHA256, ECDSA_SHA256, P256, (on256, key256)),
            (ECDSA_SHA384, ECDSA_SHA384, P256, (on384, key256)),
            (ECDSA_SHA256, ECDSA_SHA256, P384, (on256, key384)),
            (ECDSA_SHA384, ECDSA_SHA256, P256, (None, key256)),
            (ECDSA_SHA256, ECDSA_SHA384, P256, (None, key256)),
            (sha1, sha1, P384, (None, key384)),
            (ECDSA_SHA256, ECDSA_SHA256, p521, (on256, None)),
        ] {
            let der = signed_with(outside, inside, kind, &[]);
            let read = Certificate::read(&der).unwrap();
            assert_eq!((read.signature, read.key), expected, "{outside:?} {inside:?} {kind:?}");
            assert!(der.windows(read.signed.len()).any(|part| part == read.signed));
        }
        let mut longer = certificate(&[]);
        longer.push(0);
        assert_eq!(Certificate::read(&longer), None, "nothing stands behind it");
    }

    #[test]
    fn a_certificate_that_is_cut_or_spoilt_is_none_or_another() {
        let der = certificate(&extension(BASIC_CONSTRAINTS, true, &element(SEQUENCE, &[1, 1, 0xff])));
        for at in 0..der.len() {
            assert_eq!(Certificate::read(&der[..at]), None, "{at}");
            for byte in 0..=255 {
                let mut spoilt = der.clone();
                spoilt[at] = byte;
                let _whatever = Certificate::read(&spoilt).map(|read| read.may_issue(0));
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
