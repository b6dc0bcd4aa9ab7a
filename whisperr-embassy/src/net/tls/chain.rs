//! From the server's certificate to an authority that is trusted.

use core::fmt;

use whisperr_core::UtcMillis;

use super::certificate::Certificate;
use super::names::is_named;
use super::public_key::PublicKey;

/// Why a server is not believed to be who it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Distrust {
    /// It showed no certificate, or one that cannot be read.
    Unreadable,
    /// A certificate is not valid yet, or not any more, by the device's clock.
    Date,
    /// Its certificate names other hosts.
    Name,
    /// A certificate is for something else, or says something critical that is not understood here.
    Purpose,
    /// A certificate was issued by somebody who may not issue it.
    NoAuthority,
    /// No authority that is trusted issued any of its certificates, or a signature is not its issuer's. Keys other than
    /// those of P-256 with SHA-256, and of P-384 with SHA-384 where the feature `p384` is on, are nobody's.
    Untrusted,
    /// It did not prove that it has the key of its certificate.
    NotProved,
}

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreadable => "the server showed no certificate that can be read",
            Self::Date => "a certificate is not valid yet, or not any more",
            Self::Name => "the server's certificate names other hosts",
            Self::Purpose => "a certificate is for something else",
            Self::NoAuthority => "a certificate was issued by somebody who may not issue it",
            Self::Untrusted => {
                "no trusted authority issued the server's certificate with a key of a known kind"
            }
            Self::NotProved => "the server did not prove that it has the key of its certificate",
        })
    }
}

impl core::error::Error for Distrust {}

/// What a server must be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected<'a> {
    /// Authorities that are trusted, in DER.
    pub(super) roots: &'a [&'a [u8]],
    pub(super) host: &'a str,
    /// `None` while the device does not know the date.
    pub(super) utc: Option<UtcMillis>,
}

impl Expected<'_> {
    /// The key of a server that showed these certificates, its own first and each issued by the next one: it must be one
    /// that the host may have, and one of them issued by a root. What comes behind that one does not matter.
    pub(super) fn key<'c>(
        &self,
        shown: impl Iterator<Item = Option<&'c [u8]>>,
    ) -> Result<PublicKey, Distrust> {
        let mut own = None;
        let mut lower: Option<Certificate<'c>> = None;
        for (at, der) in shown.enumerate() {
            let certificate = der.and_then(Certificate::read).ok_or(Distrust::Unreadable)?;
            if self.utc.is_some_and(|utc| !certificate.is_valid_at(utc)) {
                return Err(Distrust::Date);
            }
            if !certificate.is_for_servers() {
                return Err(Distrust::Purpose);
            }
            match lower {
                None if !is_named(certificate.names(), self.host) => return Err(Distrust::Name),
                None if !certificate.may_serve() => return Err(Distrust::Purpose),
                None => own = certificate.key,
                // Without that look, whoever holds any certificate of an authority could make one for any name.
                Some(_) if !certificate.may_issue(at.saturating_sub(1)) => return Err(Distrust::NoAuthority),
                Some(lower) if !is_issued(&lower, &certificate) => return Err(Distrust::Untrusted),
                Some(_) => {}
            }
            if self
                .roots
                .iter()
                .any(|root| Certificate::read(root).is_some_and(|root| is_issued(&certificate, &root)))
            {
                return own.and_then(PublicKey::read).ok_or(Distrust::Untrusted);
            }
            lower = Some(certificate);
        }
        Err(if lower.is_none() { Distrust::Unreadable } else { Distrust::Untrusted })
    }
}

/// Whether `issuer` issued a certificate.
fn is_issued(certificate: &Certificate<'_>, issuer: &Certificate<'_>) -> bool {
    let (Some((signed_on, signature)), Some((curve, point))) = (certificate.signature, issuer.key) else {
        return false;
    };
    certificate.issuer == issuer.subject
        && signed_on == curve
        && PublicKey::read((curve, point)).is_some_and(|key| key.has_signed(certificate.signed, signature))
}

#[cfg(test)]
mod tests;
