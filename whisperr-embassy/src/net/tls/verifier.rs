//! Whether the server is who it should be.

use embedded_tls::{
    Aes128GcmSha256, CertificateEntryRef, CertificateRef, CertificateVerifyRef, CryptoProvider, CryptoRng,
    CryptoRngCore, Sha256, TlsError, TlsVerifier,
};
use rand_core::RngCore;
use sha2::Digest;

use super::chain::{Distrust, Expected};
use super::public_key::PublicKey;
use crate::entropy::Entropy;

/// What a handshake needs from outside.
pub(super) struct Provider<'a, E> {
    entropy: E,
    verifier: Verifier<'a>,
}

impl<'a, E: Entropy> Provider<'a, E> {
    pub(super) const fn new(expected: Expected<'a>, entropy: E) -> Self {
        Self { entropy, verifier: Verifier { expected, shown: None, trust: Err(Distrust::NotProved) } }
    }

    /// Whether the server showed a certificate that holds, and proved that it has the key.
    ///
    /// `embedded-tls` 0.19 goes on when a server sends neither: the handshake then ends well with anybody.
    ///
    /// # Errors
    /// Why it is not to be trusted.
    pub(super) const fn trust(&self) -> Result<(), Distrust> {
        self.verifier.trust
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

/// What comes before the hash of the handshake where a server proves that it has a key (RFC 8446, section 4.4.3).
const PROOF: &[u8; PROOF_BYTES] =
    b"                                                                TLS 1.3, server CertificateVerify\0";
const PROOF_BYTES: usize = 64 + 34;
/// Bytes of a hash.
const HASH_BYTES: usize = 32;

/// Checks the certificates and the proof, and remembers that it did.
///
/// Not the one of `embedded-tls`: its way to read certificates takes over 30 KB of stack and a copy of them all, it
/// looks at three names, and does not ask whether an issuer may issue.
struct Verifier<'a> {
    expected: Expected<'a>,
    /// The key of the certificate that was checked, and the hash of the handshake with it.
    shown: Option<(PublicKey, [u8; HASH_BYTES])>,
    trust: Result<(), Distrust>,
}

impl TlsVerifier<Aes128GcmSha256> for Verifier<'_> {
    fn set_hostname_verification(&mut self, _host: &str) -> Result<(), TlsError> {
        // Known from the start.
        Ok(())
    }

    fn verify_certificate(&mut self, transcript: &Sha256, shown: CertificateRef<'_>) -> Result<(), TlsError> {
        (self.shown, self.trust) = (None, Err(Distrust::NotProved));
        let certificates = shown.entries.iter().map(|entry| match entry {
            CertificateEntryRef::X509(der) => Some(*der),
            CertificateEntryRef::RawPublicKey(_) => None,
        });
        match self.expected.key(certificates) {
            Ok(key) => self.shown = Some((key, transcript.clone().finalize().into())),
            Err(distrust) => {
                self.trust = Err(distrust);
                return Err(TlsError::InvalidCertificate);
            }
        }
        Ok(())
    }

    fn verify_signature(&mut self, proof: CertificateVerifyRef<'_>) -> Result<(), TlsError> {
        // Once for each certificate: what is proved is this one.
        let (key, hash) = self.shown.take().ok_or(TlsError::InvalidHandshake)?;
        let mut proved = [0; PROOF_BYTES + HASH_BYTES];
        proved.iter_mut().zip(PROOF.iter().chain(&hash)).for_each(|(to, from)| *to = *from);
        if proof.signature_scheme != key.scheme() || !key.has_signed(&proved, proof.signature) {
            return Err(TlsError::InvalidSignature);
        }
        self.trust = Ok(());
        Ok(())
    }
}
