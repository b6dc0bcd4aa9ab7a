//! TLS: who is spoken to, and that nobody else hears anything.
#![expect(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "a test may fail")]

use core::cell::RefCell;
use core::time::Duration;
use std::rc::Rc;
use std::sync::Arc;

use embassy_time::Timer;
use rustls::ServerConfig;
use whisperr_certificates::{
    Authority, BasicConstraints, Identity, IsCa, PKCS_ECDSA_P384_SHA384 as LARGE, date_time_ymd,
};
use whisperr_embassy::net::{Server, ServerError, Tls, TlsBuffers};
use whisperr_embassy::{
    Config, Device, EmbassyClock, Flush, Handle, NextRun, Options, RecordBuffers, Resources, UtcMillis, open,
    props,
};
use whisperr_embassy_tests::{Act, Answer, Chance, Faults, Flash, KEY, Lab, SERVER, UTC, head, leak};

use crate::http::endings;

const CONFIG: Config = Config { automatic_events: false, ..Config::DEFAULT };

const HOST: &str = "events.example.com";

struct Client {
    handle: Handle<'static, Flash>,
    notices: Rc<RefCell<usize>>,
}

impl Client {
    fn deliver(&self, lab: &Lab, number: u64, limit_s: u64) -> Flush {
        lab.run(async {
            self.handle.track("door_opened", props! { "number" => number }).await.unwrap();
            self.handle.flush(Duration::from_secs(limit_s)).await
        })
    }
}

/// A client that trusts these authorities, in a lab whose server shows this.
fn start(seed: u64, identity: Identity, roots: &[&[u8]]) -> (Lab, Client) {
    start_with::<16_640>(seed, &identity.config(None), roots, Some(UTC))
}

/// One that counts the first attempt without a reply as the last.
fn start_strict(seed: u64, identity: Identity, roots: &[&[u8]]) -> (Lab, Client) {
    let config = Config { max_retries: 0, ..CONFIG };
    start_configured::<16_640>(seed, &identity.config(None), roots, Some(UTC), config)
}

fn start_with<const RX: usize>(
    seed: u64,
    server: &Arc<ServerConfig>,
    roots: &[&[u8]],
    utc: Option<UtcMillis>,
) -> (Lab, Client) {
    start_configured::<RX>(seed, server, roots, utc, CONFIG)
}

fn start_configured<const RX: usize>(
    seed: u64,
    server: &Arc<ServerConfig>,
    roots: &[&[u8]],
    utc: Option<UtcMillis>,
    config: Config,
) -> (Lab, Client) {
    let lab = Lab::new(seed);
    lab.names().answer(|_| Some(SERVER));
    lab.start_tls(server);
    let clock = leak(EmbassyClock::new());
    if let Some(utc) = utc {
        clock.set_utc(utc);
    }
    let options = Options::new(Device::new("lab")).config(config);
    let mut entropy = lab.chance();
    let opening = open(
        leak(Resources::new()),
        leak(RecordBuffers::<1024>::new()),
        lab.flash(),
        &*clock,
        &options,
        &mut entropy,
    );
    let (handle, mut runner) = lab.run(opening.unwrap().finish()).unwrap();
    let roots: Vec<&'static [u8]> = roots.iter().map(|root| &*root.to_vec().leak()).collect();
    let server = Server::new(KEY).unwrap().base_url("https://events.example.com:4802").unwrap();
    let buffers = leak(TlsBuffers::<RX, 2048>::new());
    let mut tls: Tls<'static, Chance> =
        Tls::new(lab.device(), buffers, server, roots.leak(), lab.chance()).unwrap();
    let notices: Rc<RefCell<usize>> = Rc::default();
    let told = Rc::clone(&notices);
    lab.tasks().spawn(async move { tls.run(&mut runner, |_| *told.borrow_mut() += 1).await });
    (lab, Client { handle, notices })
}

#[test]
fn what_is_checked_is_spoken_to_and_nobody_else() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let middle = ours.delegate("middle", IsCa::Ca(BasicConstraints::Unconstrained));
    let large = Authority::other("large", &LARGE);
    let public = large.delegate("public", IsCa::Ca(BasicConstraints::Unconstrained));
    let pretender = ours.delegate("other.example.com", IsCa::NoCa);
    let mut early = Authority::params(&[HOST]);
    early.not_before = date_time_ymd(2026, 6, 1);
    let mut late = Authority::params(&[HOST]);
    late.not_after = date_time_ymd(2026, 5, 31);
    let cases: Vec<(&str, Identity, Vec<&[u8]>, bool)> = vec![
        ("its own name", ours.certify(&[HOST]), vec![&ours.der], true),
        ("among others", ours.certify(&["a.example.com", HOST]), vec![&ours.der], true),
        ("a wildcard", ours.certify(&["*.example.com"]), vec![&ours.der], true),
        ("one of two roots", ours.certify(&[HOST]), vec![&theirs.der, &ours.der], true),
        ("through a middle", middle.certify(&[HOST]).with(&middle.der), vec![&ours.der], true),
        ("the middle pinned", middle.certify(&[HOST]), vec![&middle.der], true),
        ("as a public authority", public.certify(&[HOST]).with(&public.der), vec![&large.der], true),
        ("on the larger curve", ours.sign_other(&Authority::params(&[HOST]), &LARGE), vec![&ours.der], true),
        ("its certificate without its key", ours.certify(&[HOST]).stolen(), vec![&ours.der], false),
        ("another name", ours.certify(&["other.example.com"]), vec![&ours.der], false),
        ("a wildcard too high", ours.certify(&["*.com"]), vec![&ours.der], false),
        ("another authority", theirs.certify(&[HOST]), vec![&ours.der], false),
        ("no authority", ours.certify(&[HOST]), vec![], false),
        ("an authority of the same name", Authority::new("ours").certify(&[HOST]), vec![&ours.der], false),
        ("a middle left out", middle.certify(&[HOST]), vec![&ours.der], false),
        ("a middle that is none", pretender.certify(&[HOST]).with(&pretender.der), vec![&ours.der], false),
        ("not yet valid", ours.sign(&early), vec![&ours.der], false),
        ("not valid any more", ours.sign(&late), vec![&ours.der], false),
    ];
    for (name, identity, roots, is_ours) in cases {
        let (lab, client) = start(1, identity, &roots);

        let flush = client.deliver(&lab, 0, 10);

        assert_eq!(flush == Flush::Delivered, is_ours, "{name}: {flush:?}");
        assert_eq!(lab.server().received().len(), usize::from(is_ours), "{name}");
        assert!(lab.server().connections() > 0, "{name}");
    }
}

#[test]
fn a_request_over_tls_is_the_same_request() {
    let authority = Authority::new("ours");
    let (lab, client) = start(2, authority.certify(&[HOST]), &[&authority.der]);

    assert_eq!(client.deliver(&lab, 7, 10), Flush::Delivered);

    let [request] = lab.server().received().try_into().unwrap();
    assert_eq!(request.header("host"), Some("events.example.com:4802"));
    assert_eq!(request.json()["events"][0]["properties"]["number"], 7);
    assert_eq!(*client.notices.borrow(), 0);
}

#[test]
fn a_body_larger_than_every_buffer_arrives_whole() {
    let authority = Authority::new("ours");
    let (lab, client) = start(3, authority.certify(&[HOST]), &[&authority.der]);

    let flush = lab.run(async {
        client.handle.pause().await;
        for number in 0..200 {
            client.handle.track("door_opened", props! { "number" => number }).await.unwrap();
        }
        client.handle.resume().await;
        client.handle.flush(Duration::from_secs(60)).await
    });

    assert_eq!(flush, Flush::Delivered);
    assert_eq!(lab.server().operations().len(), 200);
    assert!(lab.server().received()[0].body.len() > 15_000);
}

#[test]
fn a_connection_is_kept_and_made_anew_when_it_ended() {
    let authority = Authority::new("ours");
    let (lab, client) = start(4, authority.certify(&[HOST]), &[&authority.der]);
    lab.server().script(|request| {
        let number = &request.json()["events"][0]["properties"]["number"];
        match number.as_u64() {
            // Closed in order, reset, and a word nobody asked for.
            Some(2) => Answer::status(202).then(Act::Wait(1000)).then(Act::Close),
            Some(3) => Answer::status(202).then(Act::Wait(1000)).then(Act::Reset),
            Some(4) => Answer::status(202)
                .then(Act::Wait(1000))
                .then(Act::Send(head(408, "Content-Length: 0\r\n").into_bytes())),
            _ => Answer::status(202),
        }
    });
    let mut connections = Vec::new();

    for number in 0..8 {
        let before = whisperr_virtual_time::now_us();
        assert_eq!(client.deliver(&lab, number, 10), Flush::Delivered, "{number}");
        let took_ms = (whisperr_virtual_time::now_us() - before) / 1000;
        assert!(took_ms < 500, "{number}: {took_ms} ms, as after a backoff");
        connections.push(lab.server().connections());
        lab.pass(Duration::from_secs(if number == 6 { 61 } else { 5 }));
    }

    assert_eq!(connections, [1, 1, 1, 2, 3, 4, 4, 5]);
    assert_eq!(lab.run(client.handle.status()).counters.dropped, 0);
}

#[test]
fn only_a_kept_connection_that_says_nothing_is_no_attempt() {
    let authority = Authority::new("ours");
    for (name, kept, end, expected) in endings() {
        let (lab, client) = start_strict(10, authority.certify(&[HOST]), &[&authority.der]);
        if kept {
            assert_eq!(client.deliver(&lab, 0, 10), Flush::Delivered);
        }
        lab.server().answer_once(end);

        assert_eq!(client.deliver(&lab, 1, 10), expected, "{name}");
    }
}

#[test]
fn who_is_not_believed_is_not_waited_for() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let (lab, client) = start_strict(11, theirs.certify(&[HOST]), &[&ours.der]);
    let before = whisperr_virtual_time::now_us();

    assert_eq!(client.deliver(&lab, 0, 60), Flush::RetryExhausted);

    let took_ms = (whisperr_virtual_time::now_us() - before) / 1000;
    assert!(took_ms < 1000, "{took_ms} ms: as one that does not answer");
    lab.pass(Duration::from_secs(1));
    assert_eq!(lab.server().open_connections(), 0, "the socket is free again");
}

#[test]
fn an_attempt_ends_in_its_time_wherever_it_hangs() {
    let authority = Authority::new("ours");
    for (name, cut) in [("the reply", None), ("the connection", Some(9)), ("the handshake", Some(13))] {
        let (lab, client) = start(5, authority.certify(&[HOST]), &[&authority.der]);
        lab.server().script(|_| Answer::silence().then(Act::Hang));
        lab.run(client.handle.track("door_opened", ())).unwrap();
        if let Some(ms) = cut {
            let wire = lab.wire().clone();
            lab.tasks().spawn(async move {
                Timer::after_millis(ms).await;
                wire.set(Faults { cut: true, ..Faults::NONE });
            });
        }
        let flush = lab.run(client.handle.flush(Duration::from_secs(20)));
        assert_eq!(flush, Flush::TimedOut, "{name}");
        let NextRun::Sending { until: Some(until) } = client.handle.next_run() else { panic!("{name}") };
        let left_ms = (until - embassy_time::Instant::now()).as_millis();
        assert!((9_000..=10_000).contains(&left_ms), "{name}: {left_ms}");
        // What is left of the attempt's 30 s.
        lab.pass(Duration::from_millis(10_500));
        assert_ne!(client.handle.next_run(), NextRun::Sending { until: Some(until) }, "{name}");

        lab.wire().set(Faults::NONE);
        lab.server().script(|_| Answer::status(202));
        assert_eq!(lab.run(client.handle.flush(Duration::from_secs(20))), Flush::Delivered, "{name}");
        assert_eq!(lab.server().operations().len(), 1, "{name}");
    }
}

#[test]
fn an_attempt_that_is_given_up_ends_its_connection_at_once() {
    let authority = Authority::new("ours");
    let (lab, client) = start(5, authority.certify(&[HOST]), &[&authority.der]);
    lab.server().script(|_| Answer::silence().then(Act::Hang));
    assert_eq!(client.deliver(&lab, 0, 1), Flush::TimedOut);
    assert_eq!(lab.server().open_connections(), 1);

    lab.run(client.handle.pause());
    lab.pass(Duration::from_millis(50));

    assert_eq!(lab.server().open_connections(), 0);
}

#[test]
fn small_buffers_do_where_the_server_sends_small_records() {
    let authority = Authority::new("ours");
    let config = authority.certify(&[HOST]).config(Some(512));
    let (lab, client) = start_with::<2048>(6, &config, &[&authority.der], Some(UTC));

    assert_eq!(client.deliver(&lab, 0, 10), Flush::Delivered);
}

#[test]
fn without_the_date_everything_but_validity_is_checked() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let mut late = Authority::params(&[HOST]);
    late.not_after = date_time_ymd(2026, 2, 1);
    for (identity, is_spoken_to) in [(ours.sign(&late), true), (theirs.certify(&[HOST]), false)] {
        let (lab, client) = start_with::<16_640>(7, &identity.config(None), &[&ours.der], None);

        // An event waits for the date; a user does not.
        let flush = lab.run(async {
            client.handle.identify(whisperr_embassy::Identify::new("user_1")).await.unwrap();
            client.handle.flush(Duration::from_secs(10)).await
        });

        assert_eq!(flush == Flush::Delivered, is_spoken_to, "{flush:?}");
    }
}

#[test]
fn what_was_meant_in_the_clear_is_not_spoken_over_tls() {
    let lab = Lab::new(8);
    let server = Server::new(KEY).unwrap().base_url("http://events.example.com").unwrap();

    let refused = Tls::new(lab.device(), leak(TlsBuffers::<16_640, 2048>::new()), server, &[], lab.chance());

    assert_eq!(refused.map(|_| ()).unwrap_err(), ServerError::NotSecure);
}

#[test]
fn a_lossy_wire_is_only_slower() {
    let authority = Authority::new("ours");
    let (lab, client) = start(9, authority.certify(&[HOST]), &[&authority.der]);
    lab.wire().set(Faults { lost: 15, twice: 5, late: 10, ..Faults::NONE });

    for number in 0..50 {
        lab.run(client.handle.track("door_opened", props! { "number" => number })).unwrap();
        lab.pass(Duration::from_secs(60));
    }
    lab.wire().set(Faults::NONE);
    lab.pass(Duration::from_secs(600));

    let events = lab.server().operations();
    let numbers: Vec<_> = events.iter().filter_map(|event| event["properties"]["number"].as_u64()).collect();
    assert_eq!(numbers, (0..50).collect::<Vec<_>>());
}
