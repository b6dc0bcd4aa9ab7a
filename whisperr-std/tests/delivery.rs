//! What a program says reaches the server: the client over real HTTP and real files.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail")]

use core::time::Duration;
use std::path::Path;
use std::time::Instant;

use serde_json::Value;
use whisperr_collector::{Collector, Fault};
use whisperr_std::{Builder, Flush, Identify, Track, Whisperr, props};

const SOON: Duration = Duration::from_secs(20);

fn builder(collector: &Collector, directory: &Path) -> Builder {
    Whisperr::builder("wrk_test")
        .base_url(collector.url())
        .queue_dir(directory)
        .retry_base_delay(Duration::from_millis(20))
}

fn in_memory(collector: &Collector) -> Builder {
    builder(collector, Path::new("unused")).enable_persistence(false)
}

fn numbers(events: &[Value]) -> Vec<u64> {
    events.iter().filter_map(|event| event["properties"]["n"].as_u64()).collect()
}

fn track(whisperr: &Whisperr, count: u64) {
    for n in 0..count {
        whisperr.track_event(&Track::new("door_opened").user("u1").properties(props! { "n" => n })).unwrap();
    }
}

#[test]
fn what_was_said_arrives_in_order_on_file_and_in_memory() {
    let directory = tempfile::tempdir().unwrap();
    for persistence in [true, false] {
        let collector = Collector::start().unwrap();
        let whisperr = builder(&collector, directory.path()).enable_persistence(persistence).build().unwrap();

        whisperr.identify(Identify::new("u1").email("ada@example.com")).unwrap();
        track(&whisperr, 700);
        assert_eq!(whisperr.flush(SOON), Flush::Delivered);

        assert_eq!(numbers(&collector.events()), (0..700).collect::<Vec<_>>());
        assert_eq!(collector.identifies()[0]["channels"][0]["address"], "ada@example.com");
        assert_eq!(collector.conflicts(), [""; 0]);
        let status = whisperr.status();
        assert_eq!((status.owed, status.counters.acknowledged), (0, 701));
        assert_eq!(status.current_user.as_deref(), Some("u1"));
    }
}

#[test]
fn requests_carry_the_contracts_headers_over_one_connection() {
    let collector = Collector::start().unwrap();
    let whisperr = in_memory(&collector).build().unwrap();
    for _ in 0..3 {
        track(&whisperr, 1);
        assert_eq!(whisperr.flush(SOON), Flush::Delivered);
    }

    let requests = collector.requests();
    assert_eq!(requests.len(), 3);
    for request in &requests {
        assert_eq!(request.headers.authorization.as_deref(), Some("Bearer wrk_test"));
        assert_eq!(request.headers.content_type.as_deref(), Some("application/json"));
        let sdk = concat!("rust/", env!("CARGO_PKG_VERSION"));
        assert_eq!(request.headers.x_whisperr_sdk.as_deref(), Some(sdk));
        assert!(request.headers.content_length.is_some());
    }
    assert!(requests.iter().all(|request| request.connection == requests[0].connection));
}

#[test]
fn what_is_owed_at_the_end_of_one_process_is_delivered_by_the_next() {
    let directory = tempfile::tempdir().unwrap();
    let collector = Collector::start().unwrap();
    let nobody = builder(&collector, directory.path()).base_url("http://127.0.0.1:9");
    let first = nobody.build().unwrap();
    track(&first, 50);
    drop(first);

    let second = builder(&collector, directory.path()).build().unwrap();
    assert_eq!(second.status().owed, 50);
    assert_eq!(second.flush(SOON), Flush::Delivered);

    assert_eq!(numbers(&collector.events()), (0..50).collect::<Vec<_>>());
}

#[test]
fn a_hung_server_delays_the_end_no_longer_than_the_deadline() {
    let collector = Collector::start().unwrap();
    collector.fault(Fault::Hang);
    let whisperr = in_memory(&collector).build().unwrap();
    track(&whisperr, 1);

    let start = Instant::now();
    assert_eq!(whisperr.shutdown(Duration::from_millis(300)), Flush::TimedOut);

    // A request is given 30 s.
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[test]
fn a_lost_reply_is_sent_again_with_the_same_ids() {
    let collector = Collector::start().unwrap();
    collector.fault(Fault::LoseReply.once());
    let whisperr = in_memory(&collector).build().unwrap();
    track(&whisperr, 5);

    assert_eq!(whisperr.flush(SOON), Flush::Delivered);

    assert_eq!(numbers(&collector.events()), [0, 1, 2, 3, 4]);
    assert_eq!((collector.duplicates(), collector.conflicts().len()), (5, 0));
}
