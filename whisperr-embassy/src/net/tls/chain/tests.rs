extern crate std;
use super::*;
use std::vec::Vec;

use whisperr_certificates::{
    Authority, BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose,
    Identity, IsCa, KeyUsagePurpose, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, SanType, date_time_ymd,
};

const HOST: &str = "events.example.com";
/// 2026-06-01.
const UTC: UtcMillis = UtcMillis::new(1_780_272_000_000);

fn judge(identity: &Identity, roots: &[&[u8]]) -> Result<(), Distrust> {
    judge_at(identity, roots, HOST, Some(UTC))
}

fn judge_at(
    identity: &Identity,
    roots: &[&[u8]],
    host: &str,
    utc: Option<UtcMillis>,
) -> Result<(), Distrust> {
    let shown = identity.certificates().iter().map(|der| Some(&der[..]));
    Expected { roots, host, utc }.key(shown).map(drop)
}

fn ca(constraints: BasicConstraints) -> IsCa {
    IsCa::Ca(constraints)
}

const ANY: BasicConstraints = BasicConstraints::Unconstrained;

fn params(change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let mut params = Authority::params(&[HOST]);
    change(&mut params);
    params
}

#[test]
fn a_chain_ends_at_a_root_wherever_that_stands() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let middle = ours.delegate("middle", ca(ANY));
    let lower = middle.delegate("lower", ca(ANY));
    let whole = || lower.certify(&[HOST]).with(&lower.der).with(&middle.der);

    for (name, identity, roots, expected) in [
        ("by the root", ours.certify(&[HOST]), [&ours.der].as_slice(), Ok(())),
        ("the root sent along", ours.certify(&[HOST]).with(&ours.der), &[&ours.der], Ok(())),
        ("through two", whole(), &[&ours.der], Ok(())),
        ("the upper one pinned", whole(), &[&middle.der], Ok(())),
        ("the lower one pinned", whole(), &[&lower.der], Ok(())),
        ("somebody else's behind it", lower.certify(&[HOST]).with(&theirs.der), &[&lower.der], Ok(())),
        ("the second root", ours.certify(&[HOST]), &[&theirs.der, &ours.der], Ok(())),
        ("one left out", lower.certify(&[HOST]).with(&middle.der), &[&ours.der], Err(Distrust::Untrusted)),
        (
            "in another order",
            lower.certify(&[HOST]).with(&middle.der).with(&lower.der),
            &[&ours.der],
            Err(Distrust::Untrusted),
        ),
        ("another root", whole(), &[&theirs.der], Err(Distrust::Untrusted)),
        ("no root", ours.certify(&[HOST]), &[], Err(Distrust::Untrusted)),
    ] {
        let roots: Vec<&[u8]> = roots.iter().map(|root| &root[..]).collect();
        assert_eq!(judge(&identity, &roots), expected, "{name}");
    }
}

#[test]
fn a_root_is_known_by_its_key_and_not_only_by_its_name() {
    let (old, new) = (Authority::new("ours"), Authority::new("ours"));

    assert_eq!(judge(&new.certify(&[HOST]), &[&old.der]), Err(Distrust::Untrusted));
    // An authority that changes its key and keeps its name.
    assert_eq!(judge(&new.certify(&[HOST]), &[&old.der, &new.der]), Ok(()));
    assert_eq!(judge(&old.certify(&[HOST]), &[&old.der, &new.der]), Ok(()));
    // The right key under another name.
    let mut renamed = old.der.clone();
    let at = renamed.windows(4).position(|part| part == b"ours").unwrap();
    renamed.iter_mut().skip(at).take(4).for_each(|byte| *byte = b'x');
    let last = renamed.windows(4).rposition(|part| part == b"ours").unwrap();
    renamed.iter_mut().skip(last).take(4).for_each(|byte| *byte = b'x');
    assert_eq!(judge(&old.certify(&[HOST]), &[&renamed]), Err(Distrust::Untrusted));
}

#[test]
fn who_may_not_issue_has_not() {
    let ours = Authority::new("ours");
    let below = |is_ca: IsCa| {
        let upper = ours.delegate("upper", is_ca);
        let lower = upper.delegate("lower", ca(ANY));
        lower.certify(&[HOST]).with(&lower.der).with(&upper.der)
    };
    let direct = |params: CertificateParams| {
        let middle = ours.delegate_with("middle", params);
        middle.certify(&[HOST]).with(&middle.der)
    };
    for (name, identity, expected) in [
        ("any number", below(ca(ANY)), Ok(())),
        ("one more", below(ca(BasicConstraints::Constrained(1))), Ok(())),
        ("none more", below(ca(BasicConstraints::Constrained(0))), Err(Distrust::NoAuthority)),
        ("no authority", below(IsCa::ExplicitNoCa), Err(Distrust::NoAuthority)),
        ("silent", below(IsCa::NoCa), Err(Distrust::NoAuthority)),
        (
            "for certificates",
            direct(params(|params| {
                params.is_ca = ca(BasicConstraints::Constrained(0));
                params.key_usages = [KeyUsagePurpose::KeyCertSign].into();
            })),
            Ok(()),
        ),
        (
            "for something else",
            direct(params(|params| {
                params.is_ca = ca(ANY);
                params.key_usages = [KeyUsagePurpose::DigitalSignature].into();
            })),
            Err(Distrust::NoAuthority),
        ),
        (
            "for clients",
            direct(params(|params| {
                params.is_ca = ca(ANY);
                params.extended_key_usages = [ExtendedKeyUsagePurpose::ClientAuth].into();
            })),
            Err(Distrust::Purpose),
        ),
        (
            "that has ended",
            direct(params(|params| {
                params.is_ca = ca(ANY);
                params.not_after = date_time_ymd(2026, 5, 31);
            })),
            Err(Distrust::Date),
        ),
    ] {
        assert_eq!(judge(&identity, &[&ours.der]), expected, "{name}");
    }
}

#[test]
fn a_server_is_the_one_that_is_meant_and_a_server() {
    let ours = Authority::new("ours");
    let many = ["a.example.com", "b.example.com", "c.example.com", "d.example.com", HOST];
    let critical = |is_critical| {
        let mut extension = CustomExtension::from_oid_content(&[2, 5, 29, 99], Vec::from([5, 0]));
        extension.set_criticality(is_critical);
        params(|params| params.custom_extensions.push(extension))
    };
    for (name, params, expected) in [
        ("its name", Authority::params(&[HOST]), Ok(())),
        ("the last of many", Authority::params(&many), Ok(())),
        ("another", Authority::params(&["other.example.com"]), Err(Distrust::Name)),
        ("none", Authority::params(&[]), Err(Distrust::Name)),
        (
            "as its subject alone",
            {
                let mut params = Authority::params(&["other.example.com"]);
                params.distinguished_name.push(DnType::CommonName, HOST);
                params
            },
            Err(Distrust::Name),
        ),
        ("not yet", params(|params| params.not_before = date_time_ymd(2026, 6, 2)), Err(Distrust::Date)),
        ("not any more", params(|params| params.not_after = date_time_ymd(2026, 5, 31)), Err(Distrust::Date)),
        (
            "a server's",
            params(|params| params.extended_key_usages = [ExtendedKeyUsagePurpose::ServerAuth].into()),
            Ok(()),
        ),
        (
            "a client's",
            params(|params| params.extended_key_usages = [ExtendedKeyUsagePurpose::ClientAuth].into()),
            Err(Distrust::Purpose),
        ),
        (
            "for signatures",
            params(|params| params.key_usages = [KeyUsagePurpose::DigitalSignature].into()),
            Ok(()),
        ),
        (
            "for agreement alone",
            params(|params| params.key_usages = [KeyUsagePurpose::KeyAgreement].into()),
            Err(Distrust::Purpose),
        ),
        ("something unknown", critical(false), Ok(())),
        ("something unknown and critical", critical(true), Err(Distrust::Purpose)),
    ] {
        assert_eq!(judge(&ours.sign(&params), &[&ours.der]), expected, "{name}");
    }
    let address =
        params(|params| params.subject_alt_names = [SanType::IpAddress([10, 0, 2, 2].into())].into());
    let identity = ours.sign(&address);
    assert_eq!(judge_at(&identity, &[&ours.der], "10.0.2.2", Some(UTC)), Ok(()));
    assert_eq!(judge_at(&identity, &[&ours.der], "10.0.2.3", Some(UTC)), Err(Distrust::Name));
}

#[test]
fn without_the_date_only_the_date_is_not_looked_at() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let late = params(|params| params.not_after = date_time_ymd(2020, 2, 1));

    assert_eq!(judge_at(&ours.sign(&late), &[&ours.der], HOST, None), Ok(()));
    assert_eq!(judge_at(&theirs.sign(&late), &[&ours.der], HOST, None), Err(Distrust::Untrusted));
}

#[test]
fn keys_of_another_kind_are_trusted_by_nobody() {
    let ours = Authority::new("ours");
    let other = Authority::other("other", &PKCS_ED25519);

    assert_eq!(judge(&other.certify(&[HOST]), &[&other.der]), Err(Distrust::Untrusted));
    let server = ours.sign_other(&Authority::params(&[HOST]), &PKCS_ED25519);
    assert_eq!(judge(&server, &[&ours.der]), Err(Distrust::Untrusted));
}

/// As a public authority has them: a root and one below it on the larger curve, servers on the smaller.
#[test]
fn the_larger_curve_is_known_where_its_feature_is_on() {
    let expected = if cfg!(feature = "p384") { Ok(()) } else { Err(Distrust::Untrusted) };
    let (ours, large) = (Authority::new("ours"), Authority::other("large", &PKCS_ECDSA_P384_SHA384));
    let middle = large.delegate("middle", ca(ANY));

    for (name, identity, root) in [
        ("its root", large.certify(&[HOST]), &large),
        ("a middle of the other", middle.certify(&[HOST]).with(&middle.der), &large),
        ("its server", ours.sign_other(&Authority::params(&[HOST]), &PKCS_ECDSA_P384_SHA384), &ours),
    ] {
        assert_eq!(judge(&identity, &[&root.der]), expected, "{name}");
    }
    assert_eq!(judge(&middle.certify(&[HOST]), &[&middle.der]), Ok(()), "only what is looked at counts");
    let namesake = Authority::other("large", &PKCS_ECDSA_P384_SHA384);
    assert_eq!(judge(&namesake.certify(&[HOST]), &[&large.der]), Err(Distrust::Untrusted));
}

#[test]
fn what_is_spoilt_anywhere_is_not_believed() {
    let ours = Authority::new("ours");
    let identity = ours.certify(&[HOST]);
    let [der] = identity.certificates() else { panic!("one") };
    for at in 0..der.len() {
        let mut spoilt = der.clone();
        if let Some(byte) = spoilt.get_mut(at) {
            *byte ^= 0x01;
        }
        let expected = Expected { roots: &[&ours.der], host: HOST, utc: Some(UTC) };

        assert!(expected.key([Some(&spoilt[..])].into_iter()).is_err(), "{at}");
        assert_eq!(expected.key([der.get(..at)].into_iter()).err(), Some(Distrust::Unreadable), "{at}");
    }
}

#[test]
fn who_shows_nothing_is_nobody() {
    let ours = Authority::new("ours");
    let expected = Expected { roots: &[&ours.der], host: HOST, utc: Some(UTC) };

    assert_eq!(expected.key([].into_iter()).err(), Some(Distrust::Unreadable));
    assert_eq!(expected.key([None].into_iter()).err(), Some(Distrust::Unreadable));
    assert_eq!(expected.key([Some(&[][..])].into_iter()).err(), Some(Distrust::Unreadable));
}
