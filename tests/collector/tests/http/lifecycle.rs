use core::time::Duration;
use std::net::TcpStream;
use std::thread;
use std::time::Instant;

use whisperr_collector::{Collector, Fault, SeenBody};

use crate::client::{CONTRACT_HEADERS, Client, IDENTIFY, PATIENCE, head, identify};

#[test]
fn it_listens_on_the_loopback_interface() {
    let collector = Collector::start().unwrap();

    assert!(collector.addr().ip().is_loopback());
    assert_eq!(collector.url(), format!("http://127.0.0.1:{}", collector.addr().port()));
}

#[test]
fn a_taken_port_is_an_error() {
    let collector = Collector::start().unwrap();

    assert!(Collector::builder().bind(collector.addr()).start().is_err());
}

#[test]
fn stopping_waits_for_no_client() {
    let collector = Collector::start().unwrap();
    collector.fault(Fault::Hang.once());
    collector.fault(Fault::Endless.once());
    collector.fault(Fault::delay_ms(3_600_000).once());
    let addr = collector.addr();
    let mut clients: Vec<_> = (0..3).map(|_| Client::connect(addr)).collect();
    for client in &mut clients {
        client.send(IDENTIFY, &identify("u"));
    }
    let mut idle = Client::connect(addr);
    let mut half = Client::connect(addr);
    half.write("POST /v1/identify HTTP/1.1\r\nContent-Le");
    assert!(collector.wait_for(PATIENCE, |view| view.requests == 3));

    let start = Instant::now();
    drop(collector);

    assert!(start.elapsed() < PATIENCE);
    assert!(idle.reply().is_none());
    assert!(half.reply().is_none());
    assert!(TcpStream::connect(addr).is_err());
}

#[test]
fn waiting_ends_when_the_request_is_there() {
    let collector = Collector::start().unwrap();
    let start = Instant::now();

    let arrived = thread::scope(|scope| {
        scope.spawn(|| Client::connect(collector.addr()).post(IDENTIFY, &identify("u")));
        collector.wait_for(PATIENCE, |view| view.identifies == 1 && view.replies == 1)
    });

    assert!(arrived);
    assert!(start.elapsed() < PATIENCE, "woken by the deadline only");
    assert_eq!(collector.requests()[0].status, Some(202));
}

#[test]
fn waiting_ends_at_the_deadline() {
    let collector = Collector::start().unwrap();

    assert!(!collector.wait_for(Duration::from_millis(10), |view| view.requests > 0));
}

#[test]
fn clearing_keeps_the_faults() {
    let collector = Collector::start().unwrap();
    let mut client = Client::connect(collector.addr());
    client.post(IDENTIFY, &identify("u"));
    collector.fault(Fault::status(500).once());

    collector.clear();

    assert!(collector.identifies().is_empty());
    assert!(collector.requests().is_empty());
    assert_eq!(client.post(IDENTIFY, &identify("u")).status, 500);
}

#[test]
fn a_body_that_breaks_off_spends_no_fault() {
    let collector = Collector::start().unwrap();
    collector.fault(Fault::status(500).once());
    let headers: Vec<_> = CONTRACT_HEADERS.into_iter().chain(["Content-Length: 24"]).collect();

    let mut broken = Client::connect(collector.addr());
    broken.write(&head("POST", IDENTIFY, &headers));
    broken.write("{");
    drop(broken);
    assert!(collector.wait_for(PATIENCE, |view| view.requests == 1));

    assert_eq!(collector.requests()[0].body, SeenBody::Broken);
    assert_eq!(collector.requests()[0].status, None);
    let mut client = Client::connect(collector.addr());
    assert_eq!(client.post(IDENTIFY, &identify("u")).status, 500);
}
