use whisperr_core::UtcMillis;
use x509_cert::Certificate as Oracle;
use x509_cert::der::asn1::{AnyRef, ObjectIdentifier};
use x509_cert::der::{Decode, Tag, Tagged};
use x509_cert::ext::pkix::BasicConstraints;
use x509_cert::time::Time;

// By its path: it is private where it belongs, and should stay so.
#[path = "../../whisperr-embassy/src/net/tls/der.rs"]
mod der;

use der::Certificate;

/// `basicConstraints`.
const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");

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
        let _whatever = read.is_authority();
    }
    let Ok(oracle) = Oracle::from_der(data) else { return };
    if data.len() > usize::from(u16::MAX) {
        // Longer than the walk promises to read.
        return;
    }
    let read = read.unwrap();
    let oracle = oracle.tbs_certificate();

    // As they stand there: `x509-cert` puts the parts of a name in order.
    let [issuer, subject] = names(data).unwrap();
    assert_eq!(read.issuer, issuer);
    assert_eq!(read.subject, subject);

    let (from, to) = (millis(oracle.validity().not_before), millis(oracle.validity().not_after));
    for edge in [from, to] {
        for utc in [edge.saturating_sub(1), edge, edge.saturating_add(999), edge.saturating_add(1000)] {
            let expected = (from..to.saturating_add(1000)).contains(&utc);
            assert_eq!(read.is_valid_at(UtcMillis::new(utc)), expected, "{utc} in {from} to {to}");
        }
    }

    // No certificate holds an extension twice (RFC 5280, section 4.2); `x509-cert` lets it, and here the first counts.
    let mut extensions = oracle.extensions().into_iter().flatten();
    let constraints = extensions.find(|extension| extension.extn_id == BASIC_CONSTRAINTS);
    let expected = constraints.map(|found| BasicConstraints::from_der(found.extn_value.as_bytes()));
    match expected {
        Some(Ok(constraints)) => assert_eq!(read.is_authority(), constraints.ca),
        // As with the rest: the walk does not look behind what decides.
        Some(Err(_)) => {}
        None => assert!(!read.is_authority()),
    }
}

/// The contents of both names.
fn names(data: &[u8]) -> x509_cert::der::Result<[&[u8]; 2]> {
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
