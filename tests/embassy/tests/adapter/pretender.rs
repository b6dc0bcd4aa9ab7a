//! A server that ends the handshake without saying who it is.
//!
//! It speaks just enough of TLS 1.3 (RFC 8446) to reach the end: anybody in the middle can.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may fail"
)]

use core::cell::RefCell;
use core::time::Duration;
use std::rc::Rc;

use embassy_net::tcp::TcpSocket;
use rcgen::{CertificateParams, KeyPair};
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral};
use ring::digest::{SHA256, digest};
use ring::hmac::{HMAC_SHA256, Key, sign};
use ring::rand::SystemRandom;
use whisperr_embassy::net::{Server, Tls, TlsBuffers};
use whisperr_embassy::{
    Config, Device, EmbassyClock, Flush, Handle, Identify, Options, RecordBuffers, Resources, open,
};
use whisperr_embassy_tests::{Chance, Flash, KEY, Lab, SERVER, TLS_PORT, UTC, leak};

/// What the pretender leaves out, or does wrong.
#[derive(Clone)]
enum Way {
    /// Neither certificate nor proof.
    Nothing,
    /// The true server's certificate, which everybody can have, without the proof of its key.
    Certificate(Vec<u8>),
    /// A proof of nothing.
    ProofAlone,
    /// An encrypted record with nothing in it.
    EmptyRecord,
    /// The true server's certificate, and here and there another byte than there should be.
    Nonsense(Vec<u8>, Chance),
}

/// Changes a few bytes, or cuts the end off.
fn spoil(bytes: &mut Vec<u8>, chance: &Chance) {
    for _ in 0..chance.below(4) {
        let at = chance.below(bytes.len() as u64) as usize;
        match chance.below(4) {
            0 => bytes[at] = chance.draw() as u8,
            1 => bytes[at] ^= 1 << chance.below(8),
            2 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][chance.below(5) as usize],
            _ => bytes.truncate(at.max(1)),
        }
    }
}

fn hmac(key: &[u8], data: &[u8]) -> Vec<u8> {
    sign(&Key::new(HMAC_SHA256, key), data).as_ref().to_vec()
}

fn expand(secret: &[u8], label: &str, context: &[u8], len: u8) -> Vec<u8> {
    let label = [b"tls13 ", label.as_bytes()].concat();
    let mut info = vec![0, len, label.len() as u8];
    info.extend(&label);
    info.push(context.len() as u8);
    info.extend(context);
    info.push(1);
    hmac(secret, &info)[..usize::from(len)].to_vec()
}

fn hash(bytes: &[u8]) -> Vec<u8> {
    digest(&SHA256, bytes).as_ref().to_vec()
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let len = (body.len() as u32).to_be_bytes();
    [&[kind, len[1], len[2], len[3]], body].concat()
}

fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    let len = (body.len() as u16).to_be_bytes();
    [&[kind, 3, 3, len[0], len[1]], body].concat()
}

/// The client's key share in its first message.
fn key_share(hello: &[u8]) -> &[u8] {
    // The extension, its group P-256 and the length of an uncompressed point.
    let at = hello.windows(4).position(|window| window == [0, 0x17, 0, 65]).unwrap();
    &hello[at + 4..at + 69]
}

/// Everything the server sends after the client's first message.
fn flight(hello: &[u8], way: &Way) -> Vec<u8> {
    let random = SystemRandom::new();
    let own = EphemeralPrivateKey::generate(&ECDH_P256, &random).unwrap();
    let public = own.compute_public_key().unwrap();
    let session = &hello[38..][..1 + usize::from(hello[38])];
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend(session);
    body.extend([0x13, 0x01, 0, 0, 6 + 4 + 4 + 65, 0, 0x2b, 0, 2, 3, 4, 0, 0x33, 0, 69, 0, 0x17, 0, 65]);
    body.extend(public.as_ref());
    let mut server_hello = message(2, &body);
    if let Way::Nonsense(_, chance) = way
        && chance.percent(50)
    {
        spoil(&mut server_hello, chance);
    }
    let mut transcript = [hello, &server_hello].concat();

    let theirs = UnparsedPublicKey::new(&ECDH_P256, key_share(hello));
    let shared = agree_ephemeral(own, &theirs, <[u8]>::to_vec).unwrap();
    let early = hmac(&[0; 32], &[0; 32]);
    let handshake = hmac(&expand(&early, "derived", &hash(b""), 32), &shared);
    let secret = expand(&handshake, "s hs traffic", &hash(&transcript), 32);
    let (key, iv) = (expand(&secret, "key", b"", 16), expand(&secret, "iv", b"", 12));
    let seal = |number: u8, content: &[u8], kind: Option<u8>| {
        let mut inner = content.to_vec();
        inner.extend(kind);
        let mut nonce: [u8; 12] = iv.clone().try_into().unwrap();
        nonce[11] ^= number;
        let len = ((inner.len() + 16) as u16).to_be_bytes();
        let head = [23, 3, 3, len[0], len[1]];
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key).unwrap());
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(head), &mut inner)
            .unwrap();
        record(23, &inner)
    };

    let mut out = record(22, &server_hello);
    let mut messages = message(8, &[0, 0]);
    match way {
        Way::Nothing => {}
        Way::Certificate(der) | Way::Nonsense(der, _) => {
            let len = |bytes: usize| (bytes as u32).to_be_bytes()[1..].to_vec();
            let entry = [len(der.len()), der.clone(), vec![0, 0]].concat();
            messages.extend(message(11, &[vec![0], len(entry.len()), entry].concat()));
        }
        Way::ProofAlone => messages.extend(message(15, &[4, 3, 0, 8, 0x30, 6, 2, 1, 1, 2, 1, 1])),
        Way::EmptyRecord => out.extend(seal(0, b"", None)),
    }
    if let Way::Nonsense(_, chance) = way {
        messages.extend(message(15, &[4, 3, 0, 8, 0x30, 6, 2, 1, 1, 2, 1, 1]));
        spoil(&mut messages, chance);
    }
    transcript.extend(&messages);
    messages.extend(message(20, &hmac(&expand(&secret, "finished", b"", 32), &hash(&transcript))));
    if let Way::Nonsense(_, chance) = way {
        spoil(&mut messages, chance);
        let kind = if chance.percent(10) { chance.draw() as u8 } else { 22 };
        out.extend(seal(0, &messages, Some(kind)));
        if chance.percent(30) {
            spoil(&mut out, chance);
        }
        return out;
    }
    out.extend(seal(0, &messages, Some(22)));
    out
}

/// Runs a client against a pretender; what the pretender heard after the first message of each connection.
fn heard(way: Way, root: &[u8]) -> Vec<usize> {
    let lab = Lab::new(1);
    lab.names().answer(|_| Some(SERVER));
    let heard: Rc<RefCell<Vec<usize>>> = Rc::default();
    let (stack, log) = (lab.peer(), Rc::clone(&heard));
    lab.tasks().spawn(async move {
        let (mut rx, mut tx) = (vec![0; 4096], vec![0; 4096]);
        loop {
            let mut socket = TcpSocket::new(stack, &mut rx, &mut tx);
            socket.accept(TLS_PORT).await.unwrap();
            let mut hello = Vec::new();
            let mut piece = [0; 1024];
            while hello.len() < 5 || hello.len() < 5 + usize::from(u16::from_be_bytes([hello[3], hello[4]])) {
                let count = socket.read(&mut piece).await.unwrap();
                hello.extend(&piece[..count]);
            }
            let mut bytes = flight(&hello[5..], &way).leak() as &[u8];
            while !bytes.is_empty() {
                let Ok(count) = socket.write(bytes).await else { break };
                bytes = &bytes[count..];
            }
            log.borrow_mut().push(0);
            while let Ok(count @ 1..) = socket.read(&mut piece).await {
                *log.borrow_mut().last_mut().unwrap() += count;
            }
            socket.abort();
            let _reset_sent = socket.flush().await;
        }
    });

    let clock = leak(EmbassyClock::new());
    clock.set_utc(UTC);
    let options =
        Options::new(Device::new("lab")).config(Config { automatic_events: false, ..Config::DEFAULT });
    let mut entropy = lab.chance();
    let opening = open(
        leak(Resources::new()),
        leak(RecordBuffers::<1024>::new()),
        lab.flash(),
        &*clock,
        &options,
        &mut entropy,
    );
    let (handle, mut runner): (Handle<'static, Flash>, _) = lab.run(opening.unwrap().finish()).unwrap();
    let server = Server::new(KEY).unwrap().base_url("https://events.example.com:4802").unwrap();
    let roots: &'static [&'static [u8]] = leak([&*root.to_vec().leak()]);
    let buffers = leak(TlsBuffers::<16_640, 2048>::new());
    let mut tls = Tls::new(lab.device(), buffers, server, roots, lab.chance()).unwrap();
    lab.tasks().spawn(async move { tls.run(&mut runner, |_| {}).await });

    let flush = lab.run(async {
        handle.identify(Identify::new("user_1").email("ada@example.com")).await.unwrap();
        handle.flush(Duration::from_secs(5)).await
    });
    assert_ne!(flush, Flush::Delivered);
    assert_eq!(lab.run(handle.status()).owed, 1);
    heard.take()
}

#[test]
fn who_does_not_prove_who_it_is_hears_nothing() {
    let key = KeyPair::generate().unwrap();
    let true_one = CertificateParams::new(["events.example.com".to_owned()]).unwrap();
    let certificate = true_one.self_signed(&key).unwrap().der().to_vec();
    for (name, way) in [
        ("nothing", Way::Nothing),
        ("the certificate without its key", Way::Certificate(certificate.clone())),
        ("a proof without a certificate", Way::ProofAlone),
        ("a record with nothing in it", Way::EmptyRecord),
    ] {
        let heard = heard(way, &certificate);

        // The end of the handshake at most: two records, the longer of 58 bytes. A request has hundreds.
        assert!(!heard.is_empty() && heard.iter().all(|bytes| *bytes <= 64), "{name}: {heard:?}");
    }
}

#[test]
fn nonsense_ends_the_handshake_and_nothing_else() {
    let key = KeyPair::generate().unwrap();
    let true_one = CertificateParams::new(["events.example.com".to_owned()]).unwrap();
    let certificate = true_one.self_signed(&key).unwrap().der().to_vec();
    // More are tried by hand: a handshake takes its time.
    let count = std::env::var("WHISPERR_NONSENSE").map_or(20, |count| count.parse().unwrap());
    for seed in 0..count {
        let heard = heard(Way::Nonsense(certificate.clone(), Chance::new(seed)), &certificate);

        assert!(heard.iter().all(|bytes| *bytes <= 64), "{seed}: {heard:?}");
    }
}
