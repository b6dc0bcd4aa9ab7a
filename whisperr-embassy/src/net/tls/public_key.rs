//! Keys of those who sign: certificates, and the proof of a handshake.

use embedded_tls::SignatureScheme;

use super::certificate::Curve;

/// A key that was read and is a point of its curve.
#[derive(Debug, Clone, Copy)]
pub(super) enum PublicKey {
    P256(p256::ecdsa::VerifyingKey),
    #[cfg(feature = "p384")]
    P384(p384::ecdsa::VerifyingKey),
}

impl PublicKey {
    /// The key that this point is; none on a curve that is not known here.
    pub(super) fn read((curve, point): (Curve, &[u8])) -> Option<Self> {
        match curve {
            Curve::P256 => p256::ecdsa::VerifyingKey::from_sec1_bytes(point).ok().map(Self::P256),
            #[cfg(feature = "p384")]
            Curve::P384 => p384::ecdsa::VerifyingKey::from_sec1_bytes(point).ok().map(Self::P384),
            #[cfg(not(feature = "p384"))]
            Curve::P384 => None,
        }
    }

    /// How a server proves that it has it.
    pub(super) const fn scheme(&self) -> SignatureScheme {
        match self {
            Self::P256(_) => SignatureScheme::EcdsaSecp256r1Sha256,
            #[cfg(feature = "p384")]
            Self::P384(_) => SignatureScheme::EcdsaSecp384r1Sha384,
        }
    }

    /// Whether a signature of these bytes was made with the other half of the key.
    pub(super) fn has_signed(&self, bytes: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::P256(key) => has_signed_p256(key, bytes, signature),
            #[cfg(feature = "p384")]
            Self::P384(key) => has_signed_p384(key, bytes, signature),
        }
    }
}

// In frames of their own: they are deep, and never more than one at once.
#[inline(never)]
fn has_signed_p256(key: &p256::ecdsa::VerifyingKey, bytes: &[u8], signature: &[u8]) -> bool {
    use p256::ecdsa::signature::Verifier;
    p256::ecdsa::Signature::from_der(signature).is_ok_and(|signature| key.verify(bytes, &signature).is_ok())
}

#[cfg(feature = "p384")]
#[inline(never)]
fn has_signed_p384(key: &p384::ecdsa::VerifyingKey, bytes: &[u8], signature: &[u8]) -> bool {
    use p384::ecdsa::signature::Verifier;
    p384::ecdsa::Signature::from_der(signature).is_ok_and(|signature| key.verify(bytes, &signature).is_ok())
}
