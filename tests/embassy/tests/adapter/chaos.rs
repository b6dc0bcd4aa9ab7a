//! Everything goes wrong at once; then it stops, and everything must arrive, once and in order.
#![expect(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "a test may fail")]

use core::time::Duration;

use embassy_time::Timer;
use whisperr_embassy::{Config, Flush, Identify, props};
use whisperr_embassy_tests::{Act, Answer, Chance, Faults, FlashFaults, Lab};

const CONFIG: Config = Config {
    automatic_events: false,
    flush_interval: Duration::from_secs(5),
    max_retry_delay: Duration::from_secs(60),
    request_timeout: Duration::from_secs(10),
    ..Config::DEFAULT
};

/// What a bad server does.
fn bad(chance: &Chance) -> Answer {
    let refusal = |status: u16, headers: &str| {
        Answer::raw(whisperr_embassy_tests::head(status, headers).as_bytes(), status)
    };
    match chance.below(10) {
        0 => refusal(503, "Content-Length: 0\r\nRetry-After: 7\r\n"),
        1 => refusal(429, "Transfer-Encoding: chunked\r\n").then(Act::Send(b"0\r\n\r\n".to_vec())),
        2 => refusal(500, "").then(Act::Close),
        3 => Answer::silence().then(Act::Hang),
        4 => Answer::silence().then(Act::Reset),
        // The reply is lost: taken, and unknown to the client.
        5 => Answer::silence().processed().then(Act::Close),
        6 => Answer::status(202).after(Act::Wait(chance.below(20_000))),
        7 => Answer::raw(b"HTTP/1.1 202 A\r\nContent-Len", 202).then(Act::Close),
        8 => Answer::status(202).then(Act::Wait(chance.below(6_000))).then(Act::Close),
        _ => Answer::status(202),
    }
}

/// What happened in a run: for the comparison of two.
#[derive(Debug, PartialEq)]
struct Trace {
    accepted: Vec<u64>,
    requests: Vec<(u64, usize, Option<u16>)>,
    frames: u64,
    duplicates: usize,
    connections: usize,
}

fn run(seed: u64) -> Trace {
    let lab = Lab::new(seed);
    let chance = Chance::new(!seed);
    let flash = lab.flash();
    let mut client = lab.client_over(flash.clone(), CONFIG, lab.transport(Lab::base_url()));
    let wire = Faults {
        lost: chance.below(30),
        twice: chance.below(10),
        late: chance.below(20),
        delay_us: 1_000 + chance.below(100_000),
        cut: false,
    };
    lab.wire().set(wire);
    let script = chance.clone();
    lab.server().script(move |_| bad(&script));
    flash.set(FlashFaults { write_us: chance.below(30_000), failing: chance.below(10) });
    let mut accepted = Vec::new();

    let mut number = 0;
    for _ in 0..60 {
        for _ in 0..chance.below(8) {
            number += 1;
            let event = client.handle.track("door_opened", props! { "number" => number });
            if lab.run(event).is_ok() {
                accepted.push(number);
            }
        }
        match chance.below(30) {
            0 => {
                // A reset of the device. The medium is healthy for as long as it takes to start.
                client.kill();
                lab.pass(Duration::from_millis(1));
                flash.set(FlashFaults::default());
                client = lab.client_over(flash.clone(), CONFIG, lab.transport(Lab::base_url()));
                flash.set(FlashFaults { write_us: chance.below(30_000), failing: chance.below(10) });
            }
            1 => lab.wire().set(Faults { cut: true, ..wire }),
            2 => {
                let user = chance.below(3).to_string();
                let _may_fail = lab.run(client.handle.identify(Identify::new(&user)));
            }
            3 => lab.run(async {
                client.handle.pause().await;
                Timer::after_secs(chance.below(20)).await;
                client.handle.resume().await;
            }),
            _ => lab.wire().set(wire),
        }
        lab.pass(Duration::from_millis(chance.below(15_000)));
    }

    flash.set(FlashFaults::default());
    lab.wire().set(Faults::NONE);
    lab.server().script(|_| Answer::status(202));
    lab.pass(Duration::from_secs(300));
    assert_eq!(lab.run(client.flush()), Flush::Delivered, "seed {seed}");

    let status = lab.run(client.handle.status());
    assert_eq!((status.owed, status.counters.dropped), (0, 0), "seed {seed}");
    let events = lab.server().operations().into_iter();
    let numbers: Vec<u64> =
        events.filter_map(|event| event.pointer("/properties/number")?.as_u64()).collect();
    let mut sorted = numbers.clone();
    sorted.sort_unstable();
    assert_eq!(numbers, sorted, "seed {seed}: out of order");
    for number in &accepted {
        assert!(numbers.contains(number), "seed {seed}: {number} was accepted and never arrived");
    }
    let requests = lab.server().received().into_iter();
    Trace {
        accepted,
        requests: requests.map(|request| (request.at_us, request.body.len(), request.status)).collect(),
        frames: lab.wire().carried(),
        duplicates: lab.server().duplicates(),
        connections: lab.server().connections(),
    }
}

#[test]
fn everything_arrives_once_and_in_order_when_the_faults_stop() {
    let (mut requests, mut duplicates, mut connections) = (0, 0, 0);
    for seed in 0..40 {
        let trace = run(seed);
        requests += trace.requests.len();
        duplicates += trace.duplicates;
        connections += trace.connections;
    }
    // The faults did happen.
    assert!(requests > 400 && duplicates > 400 && connections > 400, "{requests} {duplicates} {connections}");
}

#[test]
fn the_same_seed_is_the_same_run_to_the_microsecond() {
    assert_eq!(run(7), on_another_thread(7));
    assert_ne!(run(7).requests, run(8).requests);
}

/// Another thread's clock starts anew.
fn on_another_thread(seed: u64) -> Trace {
    std::thread::spawn(move || run(seed)).join().unwrap()
}

#[test]
fn a_week_of_a_lossy_wire_takes_no_time() {
    let lab = Lab::new(3);
    lab.wire().set(Faults { lost: 20, twice: 5, late: 10, ..Faults::NONE });
    let client = lab.client(CONFIG);

    for number in 0..7 * 24 {
        lab.run(client.track("door_opened", number));
        lab.pass(Duration::from_secs(3600));
    }

    assert_eq!(lab.server().operations().len(), 7 * 24);
    assert_eq!(lab.run(client.handle.status()).owed, 0);
}
