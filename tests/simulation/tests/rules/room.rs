//! How full the queue is, as the application sees it.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use whisperr_core::{Config, FlushProgress, Identify, Track, props};
use whisperr_simulation::{Options, World, no_reply, reply};

fn with_config(config: Config) -> World {
    World::new(1, Options { config, ..Options::default() })
}

fn track(world: &mut World) {
    world
        .track(&Track::new("e").user("u").properties(props! { "text" => "x".repeat(900).as_str() }))
        .unwrap();
}

fn has_room(world: &World) -> bool {
    world.with(|client| client.has_room())
}

#[test]
fn there_is_room_until_an_event_would_push_another_out() {
    let mut world = with_config(Config { max_queue_size: 2, ..Config::DEFAULT });
    for expected in [true, true, false] {
        assert_eq!(has_room(&world), expected);
        track(&mut world);
    }
    assert_eq!(world.status().counters.evicted, 1);
    assert_eq!(world.flush(), FlushProgress::Delivered);
    assert!(has_room(&world));
}

#[test]
fn room_counts_bytes_for_the_longest_event_too() {
    // An event may have 2048 bytes here, one of these has about 950.
    let mut world = with_config(Config { max_queue_bytes: 4096, ..Config::DEFAULT });
    for expected in [true, true, true, false] {
        assert_eq!(has_room(&world), expected, "{:?}", world.status());
        track(&mut world);
    }
    let bytes = world.status().bytes;
    assert!((3600..4096).contains(&bytes), "{bytes}");
    assert_eq!(world.status().counters.evicted, 0);

    // One event always fits into an empty queue.
    let mut world = with_config(Config { max_queue_bytes: 1024, ..Config::DEFAULT });
    assert!(has_room(&world));
    track(&mut world);
    assert!(!has_room(&world));
}

#[test]
fn a_flush_is_over_when_what_it_was_asked_for_has_left() {
    let mut world = with_config(Config::DEFAULT);
    track(&mut world);
    let ticket = world.with(|client| client.flush());
    world.ring(true);
    world.step();
    // Said while the request is out, so it is not of this flush.
    track(&mut world);
    world.advance(100);

    assert_eq!(world.status().owed, 1);
    assert_eq!(world.with(|client| client.flush_progress(ticket)), FlushProgress::Delivered);
}

#[test]
fn the_pace_of_a_backlog_ends_with_it() {
    let mut world = with_config(Config { max_batch_size: 1, max_retries: 1, ..Config::DEFAULT });
    world.network().script(|_, _| no_reply());
    for _ in 0..3 {
        track(&mut world);
    }
    world.advance(600_000);
    world.network().script(|_, _| reply(202));
    world.advance(600_000);
    assert_eq!(world.status().owed, 0);

    // Both at once, as in normal times: nothing is left that a fleet would have to catch up with.
    for user in ["u1", "u2"] {
        world.identify(&Identify::new(user)).unwrap();
    }
    world.advance(500);
    assert_eq!(world.status().owed, 0);
}
