use whisperr_core::UtcMillis;
use x509_cert::Certificate as Oracle;
use x509_cert::der::asn1::{AnyRef, ObjectIdentifier};
use x509_cert::der::{Decode, Tag, Tagged};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName};
use x509_cert::time::Time;

// By its path: it is private where it belongs, and should stay so.
#[path = "../../whisperr-embassy/src/net/tls/der.rs"]
mod der;
#[path = "../../whisperr-embassy/src/net/tls/names.rs"]
mod names;
#[path = "../../whisperr-embassy/src/net/tls/certificate.rs"]
mod read;

use names::is_named;
use read::{Certificate, Curve};

const ECDSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const ECDSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
const EC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
const ANY_PURPOSE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");

/// A certificate that a server shows: what the walk finds in it is what `x509-cert` reads there.
///
/// The walk may be more patient: it looks only at what decides, and whoever signed the certificate answers for the
/// rest. What `x509-cert` refuses is only walked through.
///
/// # Panics
/// When it is not.
pub fn certificate(data: &[u8]) {
    let read = Certificate::read(data);
    if let Some(read) = &read {
        let valid = [i64::MIN, i64::MAX].map(|utc| read.is_valid_at(UtcMillis::new(utc)));
        assert_eq!(valid, [false; 2], "no date reaches that far");
        let _whatever = (read.may_issue(0), read.may_serve(), read.is_for_servers());
        let _whatever = is_named(read.names(), "events.example.com") | is_named(read.names(), "10.0.2.2");
    }
    let Ok(oracle) = Oracle::from_der(data) else { return };
    if data.len() > usize::from(u16::MAX) {
        // Longer than the walk promises to read.
        return;
    }
    let read = read.unwrap();
    let (whole, oracle) = (&oracle, oracle.tbs_certificate());

    // As they stand there: `x509-cert` puts the parts of a name in order.
    let [issuer, subject] = parties(data).unwrap();
    assert_eq!(read.issuer, issuer);
    assert_eq!(read.subject, subject);

    let (from, to) = (millis(oracle.validity().not_before), millis(oracle.validity().not_after));
    for edge in [from, to] {
        for utc in [edge.saturating_sub(1), edge, edge.saturating_add(999), edge.saturating_add(1000)] {
            let expected = (from..to.saturating_add(1000)).contains(&utc);
            assert_eq!(read.is_valid_at(UtcMillis::new(utc)), expected, "{utc} in {from} to {to}");
        }
    }

    let signature = (*whole.signature_algorithm() == *oracle.signature()
        && whole.signature_algorithm().parameters.is_none())
    .then_some(match whole.signature_algorithm().oid {
        ECDSA_SHA256 => Some(Curve::P256),
        ECDSA_SHA384 => Some(Curve::P384),
        _ => None,
    })
    .flatten()
    .zip(whole.signature().as_bytes());
    assert_eq!(read.signature, signature);
    let key = oracle.subject_public_key_info();
    let curve =
        key.algorithm.parameters.as_ref().and_then(|curve| curve.decode_as::<ObjectIdentifier>().ok());
    let curve = curve.filter(|_| key.algorithm.oid == EC_KEY).and_then(|curve| match curve {
        P256 => Some(Curve::P256),
        P384 => Some(Curve::P384),
        _ => None,
    });
    assert_eq!(read.key, curve.zip(key.subject_public_key.as_bytes()));
    compare_extensions(&read, oracle.extensions().map_or(&[], |list| &list[..]));
}

/// What the extensions allow.
fn compare_extensions(read: &Certificate<'_>, extensions: &[Extension]) {
    let known = [KEY_USAGE, SUBJECT_ALT_NAME, BASIC_CONSTRAINTS, EXTENDED_KEY_USAGE];
    let found = |oid| extensions.iter().filter(|extension| extension.extn_id == oid).collect::<Vec<_>>();
    // What stands there twice is not understood, and what stands behind it is not looked at.
    let is_understood = known.iter().all(|oid| found(*oid).len() < 2)
        && extensions.iter().all(|extension| !extension.critical || known.contains(&extension.extn_id));
    if !is_understood {
        assert!(!read.is_for_servers());
        return;
    }
    let value = |oid| found(oid).first().map(|extension| extension.extn_value.as_bytes());
    // The walk does not look behind what decides: where `x509-cert` cannot read a value, either answer will do.
    let Ok(usage) = value(KEY_USAGE).map(KeyUsage::from_der).transpose() else { return };
    let may = |usage_is: KeyUsages| usage.is_none_or(|usage| usage.0.contains(usage_is));
    assert_eq!(read.may_serve(), may(KeyUsages::DigitalSignature));
    let Ok(constraints) = value(BASIC_CONSTRAINTS).map(BasicConstraints::from_der).transpose() else {
        return;
    };
    for below in [0_usize, 1, 2, 255] {
        let expected = constraints.as_ref().is_some_and(|constraints| {
            let most = constraints.path_len_constraint.map_or(usize::MAX, usize::from);
            // A length that takes more than a byte is as good as none.
            constraints.ca && (below <= most || most > 127)
        });
        assert_eq!(read.may_issue(below), expected && may(KeyUsages::KeyCertSign), "{below}");
    }
    let Ok(purposes) = value(EXTENDED_KEY_USAGE).map(ExtendedKeyUsage::from_der).transpose() else { return };
    let is_for_servers = purposes
        .is_none_or(|purposes| purposes.0.contains(&SERVER_AUTH) || purposes.0.contains(&ANY_PURPOSE));
    assert_eq!(read.is_for_servers(), is_for_servers);
    let Ok(names) = value(SUBJECT_ALT_NAME).map(SubjectAltName::from_der).transpose() else { return };
    for name in names.iter().flat_map(|names| &names.0) {
        match name {
            GeneralName::DnsName(name) if is_plain(name.as_str()) => {
                assert!(is_named(read.names(), name.as_str()), "{name}");
            }
            _ => {}
        }
    }
}

/// Whether it is a name of letters, digits, hyphens and dots that means a host.
fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && !name.ends_with('.')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}

/// The contents of both names.
fn parties(data: &[u8]) -> x509_cert::der::Result<[&[u8]; 2]> {
    let outer = Vec::<AnyRef<'_>>::from_der(data)?;
    let inner: Vec<AnyRef<'_>> = outer[0].decode_as()?;
    let is_version = |part: &AnyRef<'_>| matches!(part.tag(), Tag::ContextSpecific { .. });
    let serial = inner.iter().position(|part| !is_version(part)).unwrap_or_default();
    // The number, the algorithm, the issuer, the dates, the subject.
    Ok([2_usize, 4].map(|at| inner[serial.saturating_add(at)].value()))
}

fn millis(time: Time) -> i64 {
    i64::try_from(time.to_unix_duration().as_millis()).unwrap()
}
