//! TLS against a private certificate authority: what is verified, and that nothing is sent before.
#![cfg(feature = "rustls")]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may fail"
)]

use core::time::Duration;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion};
use serde_json::{Value, json};
use whisperr_collector::Collector;
use whisperr_std::{Builder, Flush, NoticeKind, Whisperr};

const SOON: Duration = Duration::from_secs(20);

/// A certificate authority of one's own.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A certificate for a host, in force until the end of a year.
    fn certify(&self, host: &str, until: i32) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([host.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(until, 12, 31);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity { certificate: certificate.der().to_vec(), key: key.serialize_der() }
    }
}

/// What a server shows, and the key behind it.
struct Identity {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// A TLS server that answers 202 to every request.
struct Server {
    port: u16,
    seen: Arc<Mutex<Seen>>,
}

/// What came to a server.
#[derive(Debug, Clone, Default)]
struct Seen {
    connections: usize,
    /// Every byte as it came over the network.
    raw: Vec<u8>,
    /// Every byte that was decrypted.
    http: Vec<u8>,
    /// The body of every request.
    bodies: Vec<Value>,
}

/// A connection that remembers what came over it.
struct Wire {
    stream: TcpStream,
    seen: Arc<Mutex<Seen>>,
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(buffer)?;
        self.seen.lock().unwrap().raw.extend_from_slice(&buffer[..read]);
        Ok(read)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl Server {
    fn start(identity: Identity) -> Self {
        Self::start_with(identity, rustls::ALL_VERSIONS)
    }

    fn start_with(identity: Identity, versions: &[&'static SupportedProtocolVersion]) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![identity.certificate.into()], PrivateKeyDer::Pkcs8(identity.key.into()));
        let config = Arc::new(config.unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let server = Self { port, seen: Arc::clone(&seen) };
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (config, seen) = (Arc::clone(&config), Arc::clone(&seen));
                seen.lock().unwrap().connections += 1;
                let wire = Wire { stream: stream.unwrap(), seen };
                // A client that refuses the certificate ends the connection: an error here.
                thread::spawn(move || serve(config, wire));
            }
        });
        server
    }

    fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }

    /// The `n` of the events that arrived, in order.
    fn numbers(&self) -> Vec<u64> {
        let bodies = self.seen().bodies;
        let events = bodies.iter().flat_map(|body| body["events"].as_array().unwrap());
        events.map(|event| event["properties"]["n"].as_u64().unwrap()).collect()
    }
}

/// Answers the requests of one connection until the client ends it.
fn serve(config: Arc<ServerConfig>, wire: Wire) -> io::Result<()> {
    let seen = Arc::clone(&wire.seen);
    let connection = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(connection, wire);
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        request.extend_from_slice(&buffer[..read]);
        seen.lock().unwrap().http.extend_from_slice(&buffer[..read]);
        if let Some(body) = whole_body(&request) {
            let body = serde_json::from_slice(body).map_err(io::Error::other)?;
            seen.lock().unwrap().bodies.push(body);
            request.clear();
            stream.write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\n{}")?;
            stream.flush()?;
        }
    }
}

/// The body of a request that has come to its end.
fn whole_body(request: &[u8]) -> Option<&[u8]> {
    let end = request.windows(4).position(|window| window == b"\r\n\r\n")?;
    let (head, body) = (&request[..end], &request[end..][4..]);
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")).unwrap();
    (body.len() >= length.trim().parse().unwrap()).then_some(body)
}

fn builder(url: &str) -> Builder {
    Whisperr::builder("wrk_secret")
        .base_url(url)
        .max_retries(0)
        .retry_base_delay(Duration::from_millis(10))
        .shutdown_timeout(Duration::from_millis(10))
}

/// A client of this queue owes three events and does not get rid of them.
fn check_refused(queue: &Path, refused: Builder) {
    let notices = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&notices);
    let whisperr = refused
        .queue_dir(queue)
        .on_error(move |notice| told.lock().unwrap().push((notice.kind(), notice.status())))
        .build()
        .unwrap();
    for n in 1..=3 {
        whisperr.track("door_opened", json!({ "n": n })).unwrap();
    }

    assert_eq!(whisperr.flush(SOON), Flush::RetryExhausted);
    assert_eq!(whisperr.status().owed, 3);
    drop(whisperr);

    assert_eq!(notices.lock().unwrap()[0], (NoticeKind::RetryExhausted, None));
}

/// A client that trusts the right authority delivers what the one before owed.
fn check_delivered(queue: &Path, authority: &Authority) {
    let server = Server::start(authority.certify("localhost", 4000));
    let trusting = builder(&server.url()).root_certificate(authority.pem.as_str());
    let whisperr = trusting.queue_dir(queue).build().unwrap();

    assert_eq!(whisperr.flush(SOON), Flush::Delivered);

    assert_eq!(server.numbers(), [1, 2, 3]);
}

/// The server was tried, and got no byte of HTTP, in the clear or otherwise.
fn check_untold(server: &Server) {
    let seen = server.seen();
    assert!(seen.connections > 0);
    assert_eq!(seen.http, b"");
    assert_eq!(seen.bodies, [Value::Null; 0]);
    for secret in ["wrk_secret", "door_opened", "POST", "/v1/"] {
        let holds = seen.raw.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!holds, "{secret} was sent in the clear");
    }
}

#[test]
fn a_private_authority_that_is_trusted_is_delivered_to() {
    let authority = Authority::new("ours");
    for versions in [&[&rustls::version::TLS12], &[&rustls::version::TLS13]] {
        let server = Server::start_with(authority.certify("localhost", 4000), versions);
        let trusting = builder(&server.url()).root_certificate(authority.pem.as_str());
        let whisperr = trusting.enable_persistence(false).build().unwrap();

        for n in 1..=2 {
            whisperr.track("door_opened", json!({ "n": n })).unwrap();
            assert_eq!(whisperr.flush(SOON), Flush::Delivered);
        }

        assert_eq!(server.numbers(), [1, 2]);
        let seen = server.seen();
        assert_eq!(seen.connections, 1, "the connection is kept");
        let http = String::from_utf8(seen.http).unwrap();
        assert!(http.starts_with("POST /v1/events/batch HTTP/1.1\r\n"), "{http}");
        assert!(http.contains("Bearer wrk_secret\r\n"), "{http}");
    }
}

#[test]
fn one_of_several_trusted_authorities_is_enough() {
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let server = Server::start(ours.certify("localhost", 4000));
    let trusting = builder(&server.url()).root_certificate(format!("{}\n{}", other.pem, ours.pem));
    let whisperr = trusting.enable_persistence(false).build().unwrap();
    whisperr.track("door_opened", json!({ "n": 1 })).unwrap();

    assert_eq!(whisperr.flush(SOON), Flush::Delivered);

    assert_eq!(server.numbers(), [1]);
}

#[test]
fn without_the_authority_everything_is_kept_and_nothing_sent() {
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let server = Server::start(ours.certify("localhost", 4000));
    let mut refused = vec![builder(&server.url()).root_certificate(other.pem.as_str())];
    match builder(&server.url()).enable_persistence(false).build() {
        Ok(_) => refused.push(builder(&server.url())),
        Err(error) => eprintln!("SKIPPED: a client without an authority of its own: {error}"),
    }
    for refused in refused {
        let queue = tempfile::tempdir().unwrap();

        check_refused(queue.path(), refused);

        check_untold(&server);
        check_delivered(queue.path(), &ours);
    }
}

#[test]
fn a_certificate_that_does_not_hold_is_refused_although_its_authority_is_trusted() {
    let ours = Authority::new("ours");
    for (host, until) in [("elsewhere.example", 4000), ("localhost.example", 4000), ("localhost", 2021)] {
        let queue = tempfile::tempdir().unwrap();
        let server = Server::start(ours.certify(host, until));

        let trusting = builder(&server.url()).root_certificate(ours.pem.as_str());
        check_refused(queue.path(), trusting);

        check_untold(&server);
        check_delivered(queue.path(), &ours);
    }
}

#[test]
fn a_server_without_tls_is_not_spoken_to_in_the_clear() {
    let ours = Authority::new("ours");
    let queue = tempfile::tempdir().unwrap();
    let collector = Collector::start().unwrap();
    let url = format!("https://localhost:{}", collector.addr().port());

    check_refused(queue.path(), builder(&url).root_certificate(ours.pem.as_str()));

    assert_eq!(collector.events().len(), 0);
    check_delivered(queue.path(), &ours);
}
