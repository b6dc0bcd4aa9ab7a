//! Whether the server is who it should be.

use embedded_tls::pki::CertVerifier;
use embedded_tls::{
    Aes128GcmSha256, Certificate as Root, CertificateEntryRef, CertificateRef, CertificateVerifyRef,
    CryptoProvider, CryptoRng, CryptoRngCore, NoClock, Sha256, TlsError, TlsVerifier,
};
use rand_core::RngCore;
use whisperr_core::UtcMillis;

use super::der::Certificate;
use crate::entropy::Entropy;

/// Most bytes of the server's certificates.
const CERTIFICATE_BYTES: usize = 4096;

/// What a handshake needs from outside.
pub(super) struct Provider<'a, E> {
    entropy: E,
    verifier: Verifier<'a>,
}

impl<'a, E: Entropy> Provider<'a, E> {
    pub(super) fn new(host: &'a str, roots: &'a [&'a [u8]], utc: Option<UtcMillis>, entropy: E) -> Self {
        Self { entropy, verifier: Verifier { roots, host, utc, chain: None, is_proved: false } }
    }

    /// Whether the server showed a certificate that holds, and proved that it has the key.
    ///
    /// `embedded-tls` 0.19 goes on when a server sends neither: the handshake then ends well with anybody.
    pub(super) const fn has_proof(&self) -> bool {
        self.verifier.is_proved
    }
}

impl<E: Entropy> CryptoProvider for Provider<'_, E> {
    type CipherSuite = Aes128GcmSha256;
    type Signature = [u8; 0];

    fn rng(&mut self) -> impl CryptoRngCore {
        Random(&mut self.entropy)
    }

    fn verifier(&mut self) -> Result<&mut impl TlsVerifier<Aes128GcmSha256>, TlsError> {
        Ok(&mut self.verifier)
    }
}

/// The integrator's entropy, as the handshake asks for it.
struct Random<'a, E>(&'a mut E);

impl<E: Entropy> RngCore for Random<'_, E> {
    fn next_u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn fill_bytes(&mut self, buffer: &mut [u8]) {
        self.0.fill(buffer);
    }

    fn try_fill_bytes(&mut self, buffer: &mut [u8]) -> Result<(), rand_core::Error> {
        self.0.fill(buffer);
        Ok(())
    }
}

// What the trait promises is what `Entropy` asks for.
impl<E: Entropy> CryptoRng for Random<'_, E> {}

type Chain<'a> = CertVerifier<'a, Aes128GcmSha256, NoClock, CERTIFICATE_BYTES>;

/// Checks the certificates and the proof, and remembers that it did.
struct Verifier<'a> {
    roots: &'a [&'a [u8]],
    host: &'a str,
    /// `None` while the device does not know the date.
    utc: Option<UtcMillis>,
    chain: Option<Chain<'a>>,
    is_proved: bool,
}

impl TlsVerifier<Aes128GcmSha256> for Verifier<'_> {
    fn set_hostname_verification(&mut self, _host: &str) -> Result<(), TlsError> {
        // Known from the start.
        Ok(())
    }

    fn verify_certificate(&mut self, transcript: &Sha256, shown: CertificateRef<'_>) -> Result<(), TlsError> {
        (self.chain, self.is_proved) = (None, false);
        let root = self.root_of(&shown).ok_or(TlsError::InvalidCertificate)?;
        let mut chain = Chain::new(Root::X509(root));
        TlsVerifier::<Aes128GcmSha256>::set_hostname_verification(&mut chain, self.host)?;
        chain.verify_certificate(transcript, shown)?;
        self.chain = Some(chain);
        Ok(())
    }

    fn verify_signature(&mut self, proof: CertificateVerifyRef<'_>) -> Result<(), TlsError> {
        // Once for each certificate: what is proved is this one.
        let mut chain = self.chain.take().ok_or(TlsError::InvalidHandshake)?;
        chain.verify_signature(proof)?;
        self.is_proved = true;
        Ok(())
    }
}

impl<'a> Verifier<'a> {
    /// The root that issued the last certificate, when all are valid at the moment, and all but the first are allowed
    /// to issue others. Without that look, whoever holds any certificate of the authority could make one for any name.
    fn root_of(&self, shown: &CertificateRef<'_>) -> Option<&'a [u8]> {
        let mut last = None;
        for (at, entry) in shown.entries.iter().enumerate() {
            let CertificateEntryRef::X509(der) = entry else { return None };
            let certificate = Certificate::read(der)?;
            if at > 0 && !certificate.is_authority() {
                return None;
            }
            // `embedded-tls` would ask a static for the date; a device may have several clocks.
            if self.utc.is_some_and(|utc| !certificate.is_valid_at(utc)) {
                return None;
            }
            last = Some(certificate);
        }
        let issuer = last?.issuer;
        let is_issuer = |root: &&[u8]| Certificate::read(root).is_some_and(|root| root.subject == issuer);
        self.roots.iter().copied().find(is_issuer)
    }
}
