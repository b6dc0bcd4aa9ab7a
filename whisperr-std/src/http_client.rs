//! The reqwest client behind a handle.

use core::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Proxy};

use crate::error::BuildError;

/// What an application may choose about HTTP.
#[derive(Debug, Default)]
pub(crate) struct HttpSettings {
    pub(crate) client: Option<Client>,
    pub(crate) proxy: Option<String>,
    pub(crate) root_certificate: Option<Vec<u8>>,
}

impl HttpSettings {
    pub(crate) const fn new() -> Self {
        Self { client: None, proxy: None, root_certificate: None }
    }
}

/// A connection that takes longer than this to be made is tried again by the backoff.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Makes the client, or takes the application's own.
pub(crate) fn http_client(settings: HttpSettings, secure: bool) -> Result<Client, BuildError> {
    if let Some(client) = settings.client {
        return Ok(client);
    }
    if secure && !cfg!(any(feature = "rustls", feature = "native-tls")) {
        return Err(BuildError::NoTls);
    }
    // A redirect is a captive portal or a mistake: a POST that follows one arrives without its body.
    let mut builder = Client::builder()
        .redirect(Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        // One request at a time: more idle connections would never be used.
        .pool_max_idle_per_host(1)
        .tcp_keepalive(Duration::from_secs(60));
    if let Some(proxy) = &settings.proxy {
        builder = builder.proxy(Proxy::all(proxy).map_err(failed)?);
    }
    if !secure && settings.proxy.is_none() && settings.root_certificate.is_none() {
        return without_tls(builder).build().map_err(failed);
    }
    tls(builder, settings.root_certificate.as_deref())?.build().map_err(failed)
}

/// For an `http` URL no certificate is looked at: a machine may have none.
#[cfg(feature = "rustls")]
fn without_tls(builder: ClientBuilder) -> ClientBuilder {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    match config {
        Ok(config) => {
            let nothing_trusted = config.with_root_certificates(rustls::RootCertStore::empty());
            builder.tls_backend_preconfigured(nothing_trusted.with_no_client_auth())
        }
        Err(_) => builder,
    }
}

#[cfg(not(feature = "rustls"))]
fn without_tls(builder: ClientBuilder) -> ClientBuilder {
    builder
}

fn failed(error: impl core::fmt::Display) -> BuildError {
    BuildError::Http(error.to_string())
}

/// rustls with ring, without touching the process-wide default of the application.
#[cfg(feature = "rustls")]
fn tls(builder: ClientBuilder, root_certificate: Option<&[u8]>) -> Result<ClientBuilder, BuildError> {
    use std::sync::Arc;

    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    use rustls_platform_verifier::Verifier;

    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let extra: Vec<CertificateDer<'static>> = match root_certificate {
        Some(pem) => CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(failed)?,
        None => Vec::new(),
    };
    if root_certificate.is_some() && extra.is_empty() {
        return Err(BuildError::Http("root_certificate holds no PEM certificate".into()));
    }
    let verifier = if extra.is_empty() {
        Verifier::new(Arc::clone(&provider))
    } else {
        Verifier::new_with_extra_roots(extra, Arc::clone(&provider))
    };
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(failed)?
        .dangerous()
        // The verifier of the operating system: "dangerous" is the name of every way to give one.
        .with_custom_certificate_verifier(Arc::new(verifier.map_err(failed)?))
        .with_no_client_auth();
    Ok(builder.tls_backend_preconfigured(config))
}

#[cfg(all(feature = "native-tls", not(feature = "rustls")))]
fn tls(builder: ClientBuilder, root_certificate: Option<&[u8]>) -> Result<ClientBuilder, BuildError> {
    let Some(pem) = root_certificate else { return Ok(builder) };
    let certificates = reqwest::Certificate::from_pem_bundle(pem).map_err(failed)?;
    Ok(certificates.into_iter().fold(builder, ClientBuilder::add_root_certificate))
}

#[cfg(not(any(feature = "rustls", feature = "native-tls")))]
fn tls(builder: ClientBuilder, root_certificate: Option<&[u8]>) -> Result<ClientBuilder, BuildError> {
    if root_certificate.is_some() { Err(BuildError::NoTls) } else { Ok(builder) }
}
