//! A server that misbehaves, seen through `pipe` and `flush`.

use core::time::Duration;
use std::time::Instant;

use whisperr_collector::Fault;

use crate::support::{World, lines};

#[test]
fn of_100_events_one_bad_one_is_left_out() {
    let world = World::new();
    world.collector.fault(Fault::reject_event_type("bad"));
    let bad = "{\"track\":\"bad\"}\n";

    let done = world.pipe("--timeout 60", lines(0..57) + bad + &lines(58..100));

    assert_eq!(done.code, Some(1));
    assert_eq!(done.stdout.matches("\"ok\":true").count(), 100);
    assert_eq!(done.stderr, "whisperr: dropped: the server refused 1 operation with 400\n");
    assert_eq!(world.numbers(), (0..57).chain(58..100).collect::<Vec<_>>());
}

#[test]
fn a_body_limit_of_20_kb_lets_500_of_500_through() {
    let world = World::new();
    world.collector.fault(Fault::BodyLimit { bytes: 20_000 });

    let done = world.pipe("--timeout 60", lines(0..500));

    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
    assert_eq!(world.numbers(), (0..500).collect::<Vec<_>>());
}

#[test]
fn a_key_that_is_refused_and_then_accepted_loses_nothing() {
    for (status, count) in [(401, 5), (403, 100)] {
        let world = World::new();
        world.collector.fault(Fault::status(status).once());

        let done = world.pipe("--timeout 30", lines(0..count));

        assert_eq!(done.code, Some(0), "{done:?}");
        let expected = format!("whisperr: auth: the server refused the ingestion key with {status}");
        assert!(done.stderr.starts_with(&expected), "{done:?}");
        assert_eq!(world.numbers(), (0..count).collect::<Vec<_>>());
    }
}

#[test]
fn a_key_that_stays_refused_keeps_everything() {
    let world = World::new();
    world.collector.fault(Fault::status(401));

    let done = world.pipe("--timeout 30", lines(0..5));

    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.stderr.ends_with("whisperr: 5 operations still owed\n"), "{done:?}");
    // Once, and once more after a second.
    assert_eq!(world.collector.requests().len(), 2);
    let done = world.run("flush");
    assert_eq!(done.code, Some(3), "{done:?}");
    assert!(done.stderr.ends_with("whisperr: 5 operations still owed\n"), "{done:?}");

    world.collector.clear_faults();
    assert_eq!(world.run("flush").code, Some(0));
    assert_eq!(world.numbers(), (0..5).collect::<Vec<_>>());
}

#[test]
fn flush_tries_a_refused_key_twice() {
    let world = World::new();
    assert_eq!(world.run("track a --timeout 0").code, Some(0));
    world.collector.fault(Fault::status(403).once());

    let done = world.run("flush");

    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(world.collector.events().len(), 1);
}

#[test]
fn retry_after_3_is_waited_for() {
    let world = World::new();
    world.collector.fault(Fault::status(503).retry_after("3").once());

    let done = world.pipe("--timeout 60", lines(0..5));

    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
    assert_eq!(world.numbers(), (0..5).collect::<Vec<_>>());
    let times: Vec<u64> = world.collector.requests().iter().map(|request| request.at_ms).collect();
    assert!(times[1] - times[0] >= 3000, "{times:?}");
}

#[test]
fn a_lost_reply_is_asked_for_again_with_the_same_ids() {
    let world = World::new();
    world.collector.fault(Fault::LoseReply.once());

    let done = world.pipe("--timeout 60", lines(0..50));

    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(world.numbers(), (0..50).collect::<Vec<_>>());
    assert!(world.collector.duplicates() > 0);
    assert_eq!(world.collector.conflicts(), [""; 0]);
}

#[test]
fn a_hung_server_delays_the_end_no_longer_than_the_time_out() {
    let world = World::new();
    world.collector.fault(Fault::Hang);
    for (args, input, timeout, code) in [
        ("pipe --timeout 1", lines(0..50), 1.0, 0),
        ("flush --timeout 0.5", String::new(), 0.5, 3),
        ("track a --timeout 0.5", String::new(), 0.5, 0),
        ("track a", String::new(), 2.0, 0),
        ("reset --timeout 0.2", String::new(), 0.2, 0),
    ] {
        let start = Instant::now();
        let done = crate::support::run(world.command(args), input.as_bytes());
        let took = start.elapsed();

        assert_eq!(done.code, Some(code), "{args}: {done:?}");
        assert!(done.stderr.contains("still owed"), "{args}: {done:?}");
        // A request is given 30 s.
        assert!(
            took >= Duration::from_secs_f64(timeout) && took < Duration::from_secs(20),
            "{args} took {took:?}"
        );
    }

    world.collector.clear_faults();
    assert_eq!(world.run("flush").code, Some(0));
    assert_eq!(world.collector.events().len(), 52);
}

#[test]
fn a_server_that_is_no_whisperr_server_takes_nothing_away() {
    for fault in
        [Fault::status(500).into(), Fault::Redirect { to: "http://127.0.0.1:9/".into() }, Fault::Close]
    {
        let world = World::new();
        world.collector.fault(fault);

        let done = world.run("track a");

        assert_eq!(done.code, Some(0), "{done:?}");
        assert!(done.stderr.ends_with("whisperr: 1 operation still owed\n"), "{done:?}");
    }
}
