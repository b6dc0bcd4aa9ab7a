//! Certificate authorities of one's own for the tests of TLS, and what servers show in their name.
//!
//! P-256 with SHA-256 all along, as microcontrollers check it.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "only tests are told of it, and may fail")]

use std::sync::Arc;

pub use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyUsagePurpose, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, SanType, SignatureAlgorithm, date_time_ymd,
};
use rcgen::{Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::{CertifiedKey, SingleCertAndKey};

/// A certificate authority.
#[derive(Debug)]
pub struct Authority {
    /// Its certificate, in DER.
    pub der: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
}

/// What a server shows, and the key behind it.
#[derive(Debug)]
pub struct Identity {
    certificates: Vec<Vec<u8>>,
    key: Vec<u8>,
}

impl Authority {
    /// A root of this name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self::with_key(name, KeyPair::generate().unwrap())
    }

    /// A root with a key of another kind.
    #[must_use]
    pub fn other(name: &str, kind: &'static SignatureAlgorithm) -> Self {
        Self::with_key(name, KeyPair::generate_for(kind).unwrap())
    }

    fn with_key(name: &str, key: KeyPair) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Self { der, issuer: Issuer::new(params, key) }
    }

    /// What a certificate for these DNS names says, valid from 2020 to 2049. What looks like an address is a name, too.
    #[must_use]
    pub fn params(names: &[&str]) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.subject_alt_names =
            names.iter().map(|name| SanType::DnsName((*name).try_into().unwrap())).collect();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2049, 12, 31);
        params
    }

    /// A certificate that says this.
    #[must_use]
    pub fn sign(&self, params: &CertificateParams) -> Identity {
        self.sign_key(params, KeyPair::generate().unwrap())
    }

    /// A certificate that says this, for a key of another kind.
    #[must_use]
    pub fn sign_other(&self, params: &CertificateParams, kind: &'static SignatureAlgorithm) -> Identity {
        self.sign_key(params, KeyPair::generate_for(kind).unwrap())
    }

    fn sign_key(&self, params: &CertificateParams, key: KeyPair) -> Identity {
        let certificate = params.signed_by(&key, &self.issuer).unwrap().der().to_vec();
        Identity { certificates: vec![certificate], key: key.serialize_der() }
    }

    /// A certificate for these names.
    #[must_use]
    pub fn certify(&self, names: &[&str]) -> Identity {
        self.sign(&Self::params(names))
    }

    /// Another authority below this one, which is one or only says so.
    #[must_use]
    pub fn delegate(&self, name: &str, is_ca: IsCa) -> Self {
        let mut params = Self::params(&[name]);
        params.is_ca = is_ca;
        self.delegate_with(name, params)
    }

    /// Another authority below this one, whose certificate says this.
    #[must_use]
    pub fn delegate_with(&self, name: &str, mut params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let der = params.signed_by(&key, &self.issuer).unwrap().der().to_vec();
        Self { der, issuer: Issuer::new(params, key) }
    }
}

impl Identity {
    /// What it shows, its own certificate first.
    #[must_use]
    pub fn certificates(&self) -> &[Vec<u8>] {
        &self.certificates
    }

    /// Sends this one along, too.
    #[must_use]
    pub fn with(mut self, certificate: &[u8]) -> Self {
        self.certificates.push(certificate.to_vec());
        self
    }

    /// In the hands of somebody who has a key, but not its own.
    #[must_use]
    pub fn stolen(mut self) -> Self {
        self.key = KeyPair::generate().unwrap().serialize_der();
        self
    }

    /// A server that shows it, in TLS 1.3 and in records of at most this many bytes.
    #[must_use]
    pub fn config(self, record_bytes: Option<usize>) -> Arc<ServerConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = any_supported_type(&PrivateKeyDer::Pkcs8(self.key.into())).unwrap();
        // Not asked whether they belong together.
        let shown = CertifiedKey::new(self.certificates.into_iter().map(Into::into).collect(), key);
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(shown)));
        config.max_fragment_size = record_bytes;
        Arc::new(config)
    }
}
