//! The ledger: what became of every operation, over restarts and crashes.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use whisperr_core::{Config, Ledger, Reply, Seq, Slot, Storage, Track, props, ready};
use whisperr_simulation::{Answer, Options, StorageFaults, World, reply};

/// 2026-07-01T12:00:00Z, 31 days after the start of a world.
const UTC_MONTH_LATER: i64 = 1_780_228_800_000 + 31 * 86_400_000;

fn world() -> World {
    let config = Config { max_queue_size: 6, ..Config::DEFAULT };
    World::new(1, Options { config, ..Options::default() })
}

fn track(world: &mut World, count: usize) {
    for n in 0..count {
        world.track(&Track::new("door_opened").user("u").properties(props! { "n" => n })).unwrap();
    }
}

fn ledger(world: &World) -> Ledger {
    world.with(|client| client.ledger())
}

/// The exits in the order of the ledger, and what is owed.
fn exits(world: &World) -> [u64; 8] {
    let Ledger {
        accepted, acknowledged, rejected, dropped, evicted, expired, deleted, damaged, owed, ..
    } = ledger(world);
    let sum = [acknowledged, dropped, evicted, expired, deleted, damaged, owed].iter().sum::<u64>();
    assert_eq!(accepted, sum);
    [acknowledged, rejected, dropped, evicted, expired, deleted, damaged, owed]
}

/// Crashes, and expects that nothing of the ledger was lost.
fn survives(world: &mut World, expected: [u64; 8]) {
    assert_eq!(exits(world), expected);
    world.crash();
    assert_eq!(exits(world), expected, "after a crash");
}

/// An answer whose body says how many the shape check refused.
fn rejecting(body: &'static [u8]) -> Answer {
    Answer { reply: Some(Reply::new(202).body(body)), ..reply(202) }
}

#[test]
fn every_exit_is_known_after_a_crash() {
    let mut world = world();
    track(&mut world, 3);
    world.network().script(|_, _| rejecting(br#"{"accepted":2,"rejected":1}"#));
    world.flush();
    survives(&mut world, [3, 1, 0, 0, 0, 0, 0, 0]);

    world.network().script(|_, _| reply(404));
    track(&mut world, 2);
    world.flush();
    survives(&mut world, [3, 1, 2, 0, 0, 0, 0, 0]);

    track(&mut world, 8);
    survives(&mut world, [3, 1, 2, 2, 0, 0, 0, 6]);

    // A month later, by both clocks: the server's is learnt from its refusal.
    world.clock().set_utc(Some(UTC_MONTH_LATER));
    let month_later = Reply::new(503).date(b"Wed, 01 Jul 2026 12:00:00 GMT");
    world.network().script(move |_, _| Answer { reply: Some(month_later), ..reply(503) });
    for _ in 0..2 {
        world.flush();
    }
    survives(&mut world, [3, 1, 2, 2, 6, 0, 0, 0]);

    track(&mut world, 1);
    world.opt_out().unwrap();
    survives(&mut world, [3, 1, 2, 2, 6, 1, 0, 0]);

    world.opt_in().unwrap();
    world.network().script(|_, _| reply(202));
    world.with_storage(|_, storage| {
        let seq = storage.next_seq();
        ready(storage.append(seq, b"no record")).unwrap().unwrap();
    });
    world.crash();
    world.flush();
    survives(&mut world, [3, 1, 2, 2, 6, 1, 1, 0]);
}

#[test]
fn what_was_acknowledged_and_not_removed_is_owed_after_a_crash() {
    for (status, exit) in [(202, 0), (404, 2)] {
        let mut world = world();
        track(&mut world, 2);
        world.flush();
        world.network().script(move |_, _| reply(status));
        track(&mut world, 3);
        // Written down, but not done: the medium fails, and then the power.
        world.storage().set_faults(StorageFaults { remove: true, ..StorageFaults::default() });
        let _ticket = world.with(|client| client.flush());
        world.ring(true);
        world.advance(1000);
        world.storage().set_faults(StorageFaults::default());
        world.crash();

        assert_eq!(exits(&world), [2, 0, 0, 0, 0, 0, 0, 3], "{status}");
        world.flush();
        let mut expected = [2, 0, 0, 0, 0, 0, 0, 0];
        *expected.get_mut(exit).unwrap() += 3;
        survives(&mut world, expected);
    }
}

#[test]
fn a_storage_from_before_there_was_a_ledger_begins_one_with_what_it_owes() {
    let mut world = world();
    track(&mut world, 2);
    world.flush();
    track(&mut world, 3);
    // As it is, and of a layout that only a later version knows.
    for slot in [&b""[..], b"\x02\x05\x02"] {
        world.with_storage(|_, storage| ready(storage.store(Slot::Ledger, slot)).unwrap().unwrap());
        world.crash();

        assert_eq!(exits(&world), [0, 0, 0, 0, 0, 0, 0, 3], "{slot:?}");
    }
    world.with_storage(|_, storage| assert_eq!(storage.next_seq(), Seq::new(6)));
}

#[test]
fn what_came_and_made_room_in_a_long_run_is_known_after_a_crash() {
    let mut world = world();
    track(&mut world, 300);

    survives(&mut world, [0, 0, 0, 294, 0, 0, 0, 6]);
    assert_eq!(ledger(&world).accepted, 300);
}
