//! The rules of delivery (contract, sections 4 and 5), on the production core in simulated time.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may fail"
)]

use core::time::Duration;

use serde_json::Value;
use whisperr_core::{Channel, Config, FlushProgress, Identify, Notice, Reply, Stop, Track, Waiting, props};
use whisperr_simulation::{Answer, Options, StorageFaults, World, lost_reply, no_reply, reply, retry_after};

fn world() -> World {
    World::new(1, Options::default())
}

fn with_config(config: Config) -> World {
    World::new(1, Options { config, ..Options::default() })
}

fn track(world: &mut World, count: usize) {
    for n in 0..count {
        world.track(&Track::new("door_opened").user("u1").properties(props! { "n" => n })).unwrap();
    }
}

fn numbers(world: &World) -> Vec<u64> {
    let server = world.server();
    server.operations().iter().filter_map(|event| event["properties"]["n"].as_u64()).collect()
}

fn batch_sizes(world: &World) -> Vec<usize> {
    let exchanges = world.network().exchanges();
    let events =
        |body: &[u8]| serde_json::from_slice::<Value>(body).unwrap()["events"].as_array().map_or(1, Vec::len);
    exchanges.iter().map(|exchange| events(&exchange.body)).collect()
}

/// Gaps between requests in milliseconds.
fn gaps(world: &World) -> Vec<u64> {
    let times: Vec<u64> = world.network().exchanges().iter().map(|e| e.at.as_millis()).collect();
    times.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

mod refusals;

#[test]
fn an_event_goes_out_after_the_interval_and_not_long_before() {
    let mut world = world();
    track(&mut world, 1);

    // The first after a start may go out after half of it.
    world.advance(7_400);
    assert_eq!(numbers(&world), [0_u64; 0]);
    world.advance(7_700);
    assert_eq!(numbers(&world), [0]);
    assert_eq!(world.status().waiting, Waiting::Idle);

    world.track(&Track::new("door_opened").user("u1").properties(props! { "n" => 1 })).unwrap();
    world.advance(11_000);
    assert_eq!(numbers(&world), [0]);
    world.advance(4_100);
    assert_eq!(numbers(&world), [0, 1]);
}

#[test]
fn twenty_operations_go_out_at_once() {
    let mut world = world();
    track(&mut world, 19);
    world.advance(1000);
    assert_eq!(world.network().exchanges().len(), 0);

    track(&mut world, 1);
    world.advance(1000);

    assert_eq!(batch_sizes(&world), [20]);
}

#[test]
fn an_identify_goes_out_at_once_alone_and_in_order() {
    let mut world = world();
    track(&mut world, 2);
    world.identify(&Identify::new("u2").email("a@example.com")).unwrap();
    world.track(&Track::new("door_closed")).unwrap();

    world.advance(1000);

    let paths: Vec<_> = world.network().exchanges().iter().map(|exchange| exchange.path).collect();
    assert_eq!(paths, ["/v1/events/batch", "/v1/identify", "/v1/events/batch"]);
    assert_eq!(world.server().operations()[3]["external_user_id"], "u2");
}

#[test]
fn at_most_500_events_make_a_batch() {
    let mut world = world();
    world.with(|client| client.pause());
    track(&mut world, 1000);
    world.with(|client| client.resume());

    assert_eq!(world.flush(), FlushProgress::Delivered);

    assert_eq!(batch_sizes(&world), [500, 500]);
    assert_eq!(numbers(&world), (0..1000).collect::<Vec<_>>());
}

#[test]
fn after_max_retries_everything_is_kept_and_the_pace_goes_on() {
    let mut world = world();
    world.network().script(|_, _| reply(503));
    track(&mut world, 2);

    assert_eq!(world.flush(), FlushProgress::Stopped(Stop::RetryExhausted));
    assert_eq!(world.network().exchanges().len(), 7);
    assert_eq!(world.notices(), [Notice::RetryExhausted { attempts: 7, status: Some(503) }]);
    world.advance(86_400_000);
    let attempts = world.network().exchanges().len();
    assert!((288..800).contains(&attempts), "{attempts} attempts in a day");
    assert_eq!(world.notices().len(), 1);
    world.network().script(|_, _| reply(202));
    world.advance(600_000);

    assert_eq!(numbers(&world), [0, 1]);
}

#[test]
fn no_reply_and_429_back_off_like_503() {
    for answer in [no_reply(), reply(429), reply(500), reply(302), reply(100)] {
        let mut world = world();
        world.network().script(move |_, _| answer);
        track(&mut world, 1);

        assert_eq!(world.flush(), FlushProgress::Stopped(Stop::RetryExhausted));

        let gaps = gaps(&world);
        let ceilings = [1000, 2000, 4000, 8000, 16_000, 32_000];
        for (gap, ceiling) in gaps.iter().zip(ceilings) {
            assert!((ceiling / 16..=ceiling + 20).contains(gap), "{gaps:?}");
        }
    }
}

#[test]
fn a_lost_reply_repeats_the_same_bytes() {
    let mut world = world();
    let mut lost = false;
    world
        .network()
        .script(move |_, _| if core::mem::replace(&mut lost, true) { reply(202) } else { lost_reply() });
    track(&mut world, 3);

    assert_eq!(world.flush(), FlushProgress::Delivered);

    let exchanges = world.network().exchanges();
    assert_eq!(exchanges.len(), 2);
    assert_eq!(exchanges[0].body, exchanges[1].body);
    assert_eq!((numbers(&world), world.server().duplicates()), (vec![0, 1, 2], 3));
}

#[test]
fn retry_after_is_waited_for_with_jitter_on_top_even_by_a_flush() {
    for (value, least, most) in [("3", 3000, 3770), ("600", 60_000, 75_020)] {
        let mut world = world();
        let mut first = true;
        let value = value.to_owned();
        world.network().script(move |_, _| {
            if core::mem::take(&mut first) { retry_after(429, &value) } else { reply(202) }
        });
        track(&mut world, 1);
        let ticket = world.with(|client| client.flush());
        world.advance(100);
        world.with(|client| client.flush());
        world.advance(80_000);

        assert_eq!(world.with(|client| client.flush_progress(ticket)), FlushProgress::Delivered);
        let gap = gaps(&world)[0];
        assert!((least..=most).contains(&gap), "{gap}");
    }
}

#[test]
fn unreadable_retry_after_falls_back_to_the_backoff() {
    for value in ["", "soon", "-5", "Thu, 99 Foo 1999 00:00:00 GMT"] {
        let mut world = world();
        let mut first = true;
        let text = value.to_owned();
        world.network().script(move |_, _| {
            if core::mem::take(&mut first) { retry_after(503, &text) } else { reply(202) }
        });
        track(&mut world, 1);

        world.flush();

        assert!(gaps(&world)[0] <= 1020, "{value}: {:?}", gaps(&world));
    }
}

/// Answers 400 whenever event number `bad` is in the batch.
#[test]
fn a_hung_server_costs_one_time_out_and_nothing_else() {
    let mut world = world();
    let mut first = true;
    world.network().script(move |_, _| {
        let hangs = core::mem::take(&mut first);
        Answer { after_ms: if hangs { u64::MAX / 2 } else { 20 }, ..reply(202) }
    });
    track(&mut world, 1);

    assert_eq!(world.flush(), FlushProgress::Delivered);

    let gap = gaps(&world)[0];
    assert!((30_000..=31_000).contains(&gap), "{gap}");
}

#[test]
fn the_oldest_event_makes_room_and_an_identify_never_does() {
    let mut world = with_config(Config { max_queue_size: 5, flush_at: 100, ..Config::DEFAULT });
    world.with(|client| client.pause());
    world.identify(&Identify::new("u1").channels(&[Channel::sms("+1").opted_out()])).unwrap();
    track(&mut world, 7);
    world.step();

    assert_eq!(world.status().owed, 5);
    world.with(|client| client.resume());
    assert_eq!(world.flush(), FlushProgress::Delivered);

    assert_eq!(world.server().operations()[0]["channels"][0]["opted_in"], false);
    assert_eq!(numbers(&world), [3, 4, 5, 6]);
    assert_eq!(world.notices(), [Notice::Evicted { count: 3 }]);
}

#[test]
fn a_queue_of_identifies_refuses_one_more_by_name() {
    let mut world = with_config(Config { max_queue_size: 2, ..Config::DEFAULT });
    world.with(|client| client.pause());
    world.identify(&Identify::new("u1")).unwrap();
    world.identify(&Identify::new("u2")).unwrap();

    let error = world.identify(&Identify::new("u3")).unwrap_err();
    let event = world.track(&Track::new("door_opened")).unwrap_err();

    let text =
        "the queue of at most 2 operations and 67108864 bytes is full and nothing in it may be evicted";
    assert_eq!((error.to_string().as_str(), event.to_string().as_str()), (text, text));
    assert_eq!(world.status().owed, 2);
}

#[test]
fn overflow_during_a_request_removes_only_what_was_sent() {
    let mut world = with_config(Config { max_queue_size: 4, flush_at: 4, ..Config::DEFAULT });
    world.network().script(|_, _| Answer { after_ms: 1000, ..reply(202) });
    track(&mut world, 4);
    world.advance(100);
    for n in 10..13 {
        // The four in flight are pinned, so the bound refuses rather than evict them.
        let refused = world.track(&Track::new("late").user("u1").properties(props! { "n" => n }));
        assert!(refused.is_err());
    }
    world.advance(2000);
    track(&mut world, 1);
    world.flush();

    assert_eq!(numbers(&world), [0, 1, 2, 3, 0]);
    let counters = world.status().counters;
    assert_eq!(counters.owed(), 0, "{counters:?}");
}

#[test]
fn eviction_behind_a_request_in_flight_takes_the_next_oldest() {
    let mut world =
        with_config(Config { max_queue_size: 4, flush_at: 2, max_batch_size: 2, ..Config::DEFAULT });
    world.network().script(|_, _| Answer { after_ms: 1000, ..reply(202) });
    track(&mut world, 4);
    world.advance(100);
    for n in 10..12 {
        world.track(&Track::new("late").user("u1").properties(props! { "n" => n })).unwrap();
    }

    assert_eq!(world.flush(), FlushProgress::Delivered);

    assert_eq!(numbers(&world), [0, 1, 10, 11]);
    assert_eq!(world.status().counters.evicted, 2);
}

#[test]
fn a_crash_loses_nothing_that_was_accepted() {
    let mut world = world();
    world.network().script(|_, _| lost_reply());
    track(&mut world, 30);
    world.advance(25);
    world.crash();
    track(&mut world, 1);
    world.network().script(|_, _| reply(202));

    assert_eq!(world.flush(), FlushProgress::Delivered);

    let mut expected: Vec<u64> = (0..30).collect();
    expected.push(0);
    assert_eq!(numbers(&world), expected);
}

#[test]
fn a_start_with_a_backlog_waits_for_a_random_part_of_the_interval() {
    let firsts: Vec<u64> = (0..40)
        .map(|seed| {
            let mut world = World::new(seed, Options::default());
            world.with(|client| client.pause());
            track(&mut world, 30);
            world.crash();
            track(&mut world, 1);
            world.advance(15_100);
            world.network().exchanges()[0].at.as_millis()
        })
        .collect();

    assert!(firsts.iter().any(|ms| *ms < 4000) && firsts.iter().any(|ms| *ms > 11_000), "{firsts:?}");
}

#[test]
fn a_long_outage_leaves_a_backlog_that_is_paced() {
    let mut world = with_config(Config { max_batch_size: 10, ..Config::DEFAULT });
    world.network().script(|_, _| no_reply());
    track(&mut world, 200);
    world.advance(86_400_000);
    let before = world.network().exchanges().len();
    world.network().script(|_, _| reply(202));
    world.advance(3_600_000);

    let gaps = gaps(&world)[before..].to_vec();
    assert_eq!(numbers(&world).len(), 200);
    // One batch per flush interval at the slowest: the fleet would send as much in normal times.
    assert!(gaps.iter().all(|gap| (5000..=15_020).contains(gap)), "{gaps:?}");
}

#[test]
fn paused_delivery_sends_nothing_until_resumed() {
    let mut world = world();
    world.with(|client| client.pause());
    track(&mut world, 50);
    assert_eq!(world.flush(), FlushProgress::Paused);
    world.advance(3_600_000);
    assert_eq!(world.network().exchanges().len(), 0);

    world.with(|client| client.resume());
    assert_eq!(world.flush(), FlushProgress::Delivered);

    assert_eq!(numbers(&world).len(), 50);
}

#[test]
fn a_failed_removal_is_tried_again_and_nothing_is_sent_twice() {
    let mut world = world();
    world.storage().set_faults(StorageFaults { remove: true, ..StorageFaults::default() });
    track(&mut world, 2);
    world.with(|client| client.flush());
    world.advance(60_000);
    assert_eq!(world.notices(), [Notice::Storage]);
    world.storage().set_faults(StorageFaults::default());
    world.advance(600_000);

    assert_eq!(world.status().owed, 0);
    assert_eq!(world.network().exchanges().len(), 1);
}

#[test]
fn an_unreadable_storage_keeps_everything() {
    let mut world = world();
    track(&mut world, 2);
    world.storage().set_faults(StorageFaults { read: true, ..StorageFaults::default() });
    world.advance(600_000);
    assert_eq!(world.network().exchanges().len(), 0);
    world.storage().set_faults(StorageFaults::default());
    world.advance(600_000);

    assert_eq!(numbers(&world), [0, 1]);
}

#[test]
fn a_full_medium_opens_and_delivers_what_it_holds() {
    let mut world = World::new(1, Options { storage_bytes: 544, ..Options::default() });
    let mut accepted = 0;
    while world.status().counters.evicted == 0 && accepted < 50 {
        world.track(&Track::new("e").user("u1").properties(props! { "n" => accepted })).unwrap();
        accepted += 1;
    }
    let owed = world.status().owed;
    world.storage().set_faults(StorageFaults { write: true, ..StorageFaults::default() });
    world.crash();

    assert_eq!(world.flush(), FlushProgress::Delivered);

    assert_eq!(numbers(&world).len(), owed as usize);
    assert!(world.notices().contains(&Notice::Storage));
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let trace = |seed| {
        let mut world = World::new(seed, Options::default());
        let mut n = 0;
        world.network().script(move |_, _| {
            n += 1;
            if n % 3 == 0 { reply(202) } else { reply(503) }
        });
        track(&mut world, 100);
        world.advance(600_000);
        world.network().exchanges().iter().map(|e| (e.at, e.body.clone())).collect::<Vec<_>>()
    };

    assert_eq!(trace(5), trace(5));
    assert_ne!(trace(5), trace(6));
}

#[test]
fn identical_identify_shortcuts_keep_the_contracts_order() {
    let mut world = world();
    let channels = [Channel::email("b@example.com").verified(false), Channel::push(" ")];
    world
        .identify(
            &Identify::new(" u1 ").push_token("tok").phone("+1").email("a@example.com").channels(&channels),
        )
        .unwrap();
    world.flush();

    let expected = serde_json::json!({"external_user_id":"u1","channels":[
        {"channel":"email","address":"a@example.com","opted_in":true},
        {"channel":"sms","address":"+1","opted_in":true},
        {"channel":"push","address":"tok","opted_in":true},
        {"channel":"email","address":"b@example.com","opted_in":true,"verified":false}]});
    assert_eq!(world.server().operations(), [expected]);
}

#[test]
fn retries_of_zero_surface_exhaustion_on_each_flush() {
    let mut world = with_config(Config { max_retries: 0, ..Config::DEFAULT });
    world.network().script(|_, _| reply(503));
    track(&mut world, 1);

    for flushes in 1..=3 {
        assert_eq!(world.flush(), FlushProgress::Stopped(Stop::RetryExhausted));
        assert_eq!(world.network().exchanges().len(), flushes);
        assert_eq!(world.notices().len(), flushes);
    }
}

#[test]
fn partial_acceptance_is_surfaced_and_settles_the_batch() {
    let mut world = world();
    world.network().script(|_, _| Answer {
        reply: Some(Reply::new(202).body(br#"{"accepted":2,"rejected":1}"#)),
        ..reply(202)
    });
    track(&mut world, 3);

    assert_eq!(world.flush(), FlushProgress::Delivered);

    assert_eq!(world.notices(), [Notice::Rejected { count: 1 }]);
    assert_eq!((world.status().counters.acknowledged, world.status().counters.rejected), (3, 1));
}

#[test]
fn request_size_is_bounded_in_bytes() {
    let mut world = with_config(Config { max_request_bytes: 4096, ..Config::DEFAULT });
    world.with(|client| client.pause());
    track(&mut world, 100);
    world.with(|client| client.resume());
    world.flush();

    let exchanges = world.network().exchanges();
    assert!(exchanges.len() > 4);
    assert!(exchanges.iter().all(|exchange| exchange.body.len() <= 4096));
    assert_eq!(numbers(&world).len(), 100);
}

#[test]
fn duration_settings_do_not_overflow() {
    let mut world = with_config(Config {
        flush_interval: Duration::from_secs(86_400),
        max_retry_delay: Duration::from_secs(86_400),
        retry_base_delay: Duration::from_secs(3600),
        max_retries: 1000,
        ..Config::DEFAULT
    });
    world.network().script(|_, _| no_reply());
    track(&mut world, 1);
    world.advance(86_400_000 * 365);

    assert_eq!(world.status().owed, 1);
}
