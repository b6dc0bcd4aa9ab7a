//! What cannot be read or decoded any more stops nothing else, and is told and counted.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may fail"
)]

use whisperr_core::{Counters, FlushProgress, Notice, Seq, Storage, Track, Waiting, props, ready};
use whisperr_simulation::{Options, StorageFaults, World};

fn world() -> World {
    World::new(1, Options::default())
}

fn track(world: &mut World, n: u64) {
    world.track(&Track::new("e").user("u").properties(props! { "n" => n })).unwrap();
}

fn numbers(world: &World) -> Vec<u64> {
    let server = world.server();
    server.operations().iter().filter_map(|event| event["properties"]["n"].as_u64()).collect()
}

/// The newest record as stored.
fn newest(world: &mut World) -> Vec<u8> {
    let mut buffer = vec![0; 2048];
    let len = world.with_storage(|_, storage| {
        let last = Seq::new(storage.next_seq().get() - 1);
        ready(storage.read(last, &mut buffer)).unwrap().unwrap().unwrap().len
    });
    buffer.truncate(len);
    buffer
}

/// Stores bytes as another version, or a fault that no checksum found, would leave them.
fn plant(world: &mut World, record: &[u8]) {
    world.with_storage(|_, storage| {
        let seq = storage.next_seq();
        ready(storage.append(seq, record)).unwrap().unwrap();
    });
}

fn damaged(world: &World) -> u32 {
    let counts = world.notices().into_iter().map(|notice| match notice {
        Notice::Damaged { count } => count,
        _ => 0,
    });
    counts.sum()
}

#[test]
fn records_that_cannot_be_decoded_are_set_aside_and_told_and_the_rest_is_delivered() {
    let mut world = world();
    track(&mut world, 0);
    let record = newest(&mut world);
    // Of a version that is not known, cut short within its values, and no record at all.
    plant(&mut world, &[9, 9, 9]);
    plant(&mut world, &record[..record.len() - 1]);
    plant(&mut world, &[]);
    world.crash();
    track(&mut world, 1);

    assert_eq!(world.flush(), FlushProgress::Delivered);

    assert_eq!(numbers(&world), [0, 1]);
    assert_eq!(damaged(&world), 3);
    let Counters { owed_at_start, damaged, acknowledged, .. } = world.status().counters;
    assert_eq!((owed_at_start, damaged, acknowledged), (4, 3, 2));
    assert_eq!((world.status().owed, world.status().bytes, world.status().counters.owed()), (0, 0, 0));
}

#[test]
fn setting_aside_that_fails_is_tried_again_and_counted_once() {
    let mut world = world();
    plant(&mut world, &[9, 9, 9]);
    world.crash();
    track(&mut world, 1);
    world.storage().set_faults(StorageFaults { remove: true, ..StorageFaults::default() });
    let _ = world.with(|client| client.flush());
    world.ring(true);

    world.advance(5_000);
    assert_eq!((numbers(&world).len(), damaged(&world)), (0, 0));
    assert_eq!(world.notices(), [Notice::Storage]);
    world.storage().set_faults(StorageFaults::default());
    assert_eq!(world.flush(), FlushProgress::Delivered);

    assert_eq!((numbers(&world), damaged(&world)), (vec![1], 1));
    assert_eq!(world.status().counters.owed(), 0);
}

#[test]
fn what_only_the_platform_knows_is_told_through_the_client_once() {
    let mut world = world();
    assert!(world.with(|client| client.add_notice(Notice::NewerFormat)));
    assert!(!world.with(|client| client.add_notice(Notice::NewerFormat)), "the runner is woken already");
    world.ring(true);
    world.step();

    assert_eq!(world.notices(), [Notice::NewerFormat]);
    assert!(world.with(|client| client.add_notice(Notice::NewerFormat)));
}

#[test]
fn stopping_does_not_wait_for_a_request_that_is_out() {
    let mut world = world();
    world
        .network()
        .script(|_, _| whisperr_simulation::Answer { after_ms: 25_000, ..whisperr_simulation::reply(202) });
    track(&mut world, 0);
    let _ = world.with(|client| client.flush());
    world.ring(true);
    world.step();
    assert_eq!(world.status().waiting, Waiting::InFlight);

    world.with(|client| client.stop());
    world.ring(true);
    world.step();

    assert!(!world.poll_runner(), "the loop goes on");
    // What the server may or may not have is kept.
    assert_eq!(world.status().owed, 1);
}
