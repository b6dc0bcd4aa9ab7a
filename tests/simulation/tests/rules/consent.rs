//! Opting out and in again (contract, section 8).
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use serde_json::{Value, json};
use whisperr_core::{FlushProgress, Identify, Notice, Seq, SeqRange, Slot, Storage, Track, Waiting, ready};
use whisperr_simulation::{Answer, Choices, FileMedium, Medium, Options, Seen, StorageFaults, World, reply};
use whisperr_std::file::simulated::SimulatedDisk;

fn world() -> World {
    World::new(1, Options::default())
}

fn track(world: &mut World, event_type: &str) {
    world.track(&Track::new(event_type)).unwrap();
}

/// Everything that arrived, with context and date left out.
fn arrived(world: &mut World) -> Vec<Value> {
    world.flush();
    let server = world.server();
    let short = |body: &Value| match body.get("event_type") {
        Some(name) => name.clone(),
        None => body.clone(),
    };
    server.operations().iter().map(short).collect()
}

fn opted_out(user: &str, token: &str) -> Value {
    let channel = json!({"channel": "push", "address": token, "opted_in": false});
    json!({"external_user_id": user, "channels": [channel]})
}

#[test]
fn what_is_queued_is_deleted_and_the_token_is_opted_out() {
    let mut world = world();
    world.identify(&Identify::new("u1").push_token("tok")).unwrap();
    world.flush();
    let before = world.server().operations().len();
    track(&mut world, "door_opened");
    world.identify(&Identify::new("u2")).unwrap();

    world.opt_out().unwrap();

    assert_eq!(world.status().counters.deleted, 2);
    assert_eq!(world.status().owed, 1);
    assert_eq!(arrived(&mut world)[before..], [opted_out("u1", "tok")]);
    assert_eq!(world.status().counters.owed(), 0);
}

#[test]
fn without_a_delivered_token_nothing_is_sent_at_all() {
    let mut world = world();
    world.identify(&Identify::new("u1")).unwrap();
    world.opt_out().unwrap();

    assert_eq!(arrived(&mut world), [] as [Value; 0]);
    assert_eq!(world.network().exchanges().len(), 0);
}

#[test]
fn nothing_is_recorded_until_the_user_opts_in_also_after_a_restart() {
    let mut world = world();
    world.opt_out().unwrap();
    for restarts in 0..2 {
        assert_eq!(world.track(&Track::new("door_opened")).unwrap(), None);
        world.set_push_token("tok").unwrap();
        world.identify(&Identify::new("u1").push_token("tok")).unwrap();
        assert_eq!(world.status().owed, 0, "after {restarts} restarts");
        assert!(world.track(&Track::new("Door Opened")).is_err(), "bad input is still named");
        world.crash();
        assert!(world.with(|client| client.is_opted_out()));
    }

    world.opt_in().unwrap();
    world.crash();
    track(&mut world, "door_closed");
    world.set_push_token("tok").unwrap();

    let token = json!({"channel": "push", "address": "tok", "opted_in": true});
    let registered = json!({"external_user_id": "u1", "channels": [token]});
    assert_eq!(arrived(&mut world), [json!("door_closed"), registered]);
    assert_eq!(
        world.server().operations()[0]["external_user_id"],
        "u1",
        "identify still remembered the user"
    );
}

#[test]
fn a_token_that_was_delivered_registers_again_after_an_opt_in() {
    let mut world = world();
    world.identify(&Identify::new("u1").push_token("tok")).unwrap();
    world.flush();
    world.opt_out().unwrap();
    world.opt_out().unwrap();
    world.opt_in().unwrap();
    world.opt_in().unwrap();
    world.set_push_token("tok").unwrap();

    let bodies = arrived(&mut world);
    assert_eq!(bodies[1], opted_out("u1", "tok"));
    assert_eq!(bodies[2]["channels"][0]["opted_in"], true);
    assert_eq!(bodies.len(), 3);
}

#[test]
fn a_held_token_is_dropped() {
    let mut world = world();
    world.set_push_token("tok").unwrap();
    world.opt_out().unwrap();
    world.opt_in().unwrap();
    world.identify(&Identify::new("u1")).unwrap();

    assert_eq!(arrived(&mut world), [json!({"external_user_id": "u1"})]);
}

/// The request that is out cannot be taken back; nothing of it is sent a second time.
#[test]
fn what_is_in_flight_is_given_up_and_not_sent_again() {
    for processed in [false, true] {
        let mut world = world();
        world.network().script(move |_, _| Answer { processed, reply: None, after_ms: 5000 });
        for _ in 0..3 {
            track(&mut world, "door_opened");
        }
        world.with(|client| client.flush());
        world.ring(true);
        world.step();
        assert_eq!(world.status().waiting, Waiting::InFlight);

        world.opt_out().unwrap();
        world.step();

        assert_eq!(world.status().waiting, Waiting::Idle);
        world.network().script(|_, _| reply(202));
        world.advance(3_600_000);
        assert_eq!(world.network().exchanges().len(), 1);
        assert_eq!(world.notices(), [], "a deletion is no fault");
        world.opt_in().unwrap();
        track(&mut world, "door_closed");
        assert_eq!(world.flush(), FlushProgress::Delivered);
        assert_eq!(arrived(&mut world).last(), Some(&json!("door_closed")));
        let counters = world.status().counters;
        assert_eq!((counters.deleted, counters.acknowledged, counters.owed()), (3, 1, 0));
    }
}

/// While the medium refuses, nothing is recorded or sent, and the deletion is made up for.
#[test]
fn a_deletion_that_fails_goes_on_by_itself() {
    for faults in [
        StorageFaults { write: true, ..StorageFaults::default() },
        StorageFaults { remove: true, ..StorageFaults::default() },
        StorageFaults { read: true, ..StorageFaults::default() },
    ] {
        let mut world = world();
        world.identify(&Identify::new("u1").push_token("tok")).unwrap();
        world.flush();
        track(&mut world, "door_opened");
        world.storage().set_faults(faults);

        world.opt_out().unwrap_err();

        assert!(world.with(|client| client.is_opted_out()));
        world.advance(600_000);
        assert_eq!(world.server().event_types(), [] as [&str; 0], "{faults:?}");
        assert_eq!(world.notices(), [Notice::Storage], "{faults:?}");
        world.storage().set_faults(StorageFaults::default());
        world.advance(600_000);
        assert_eq!(arrived(&mut world)[1..], [opted_out("u1", "tok")], "{faults:?}");
        assert_eq!(world.status().counters.owed(), 0);
    }
}

/// A power cut at every step of the medium: either nothing has happened, or the opt-out is finished at
/// the next start.
#[test]
fn a_power_cut_at_any_point_leaves_it_undone_or_done() {
    let (mut undone, mut done) = (0, 0);
    for steps in 0.. {
        let disk = SimulatedDisk::new();
        let mut world = on(&disk);
        world.identify(&Identify::new("u1").push_token("tok")).unwrap();
        world.flush();
        world.track(&Track::new("door_opened")).unwrap();
        world.with_storage(|_, storage| assert!(FileMedium::sync(storage)));
        disk.cut_after(steps);

        let returned = world.opt_out();

        let cut = disk.is_off();
        world.restart(|medium| medium.crash(&Choices::seeded(steps), true, &mut Seen::default())).unwrap();
        let opted_out_now = world.with(|client| client.is_opted_out());
        assert!(opted_out_now || returned.is_err(), "cut at {steps}");
        world.advance(600_000);
        let server = world.server();
        let last = server.operations().last().unwrap();
        if opted_out_now {
            done += 1;
            assert_eq!(*last, opted_out("u1", "tok"), "cut at {steps}");
            let raw = world.with_storage(|medium, _| medium.raw());
            assert!(!raw.windows(11).any(|bytes| bytes == b"door_opened"), "cut at {steps}");
        } else {
            undone += 1;
            assert_eq!(last["event_type"], "door_opened", "cut at {steps}");
        }
        if !cut {
            break;
        }
    }
    assert!(undone > 10 && done > 10, "{undone} undone, {done} done");
}

fn on(disk: &SimulatedDisk) -> World<FileMedium> {
    World::on(FileMedium::new(disk.clone()), Choices::seeded(3), 1, Options::default()).unwrap()
}

#[test]
fn the_medium_holds_nothing_of_what_was_deleted() {
    let disk = SimulatedDisk::new();
    let mut world = on(&disk);
    world.track(&Track::new("door_opened")).unwrap();
    assert!(disk.files().values().any(|file| file.windows(11).any(|bytes| bytes == b"door_opened")));

    world.opt_out().unwrap();

    assert!(!disk.files().values().any(|file| file.windows(11).any(|bytes| bytes == b"door_opened")));
}

#[test]
fn a_full_medium_makes_room_for_the_choice_by_what_is_deleted() {
    let mut world = World::new(1, Options { storage_bytes: 2000, ..Options::default() });
    world.network().script(|_, _| reply(503));
    while world.status().counters.evicted == 0 {
        track(&mut world, "door_opened");
    }

    world.opt_out().unwrap();

    assert_eq!(world.status().owed, 0);
    world.crash();
    track(&mut world, "door_closed");
    assert_eq!(world.status().owed, 0);
}

#[test]
fn what_is_said_after_an_opt_out_is_not_taken_for_what_it_deleted() {
    let mut world = world();
    world.opt_out().unwrap();
    world.opt_in().unwrap();
    track(&mut world, "door_opened");
    track(&mut world, "door_closed");

    world.crash();

    let ledger = world.with(|client| client.ledger());
    assert_eq!((ledger.accepted, ledger.owed, ledger.evicted), (2, 2, 0));
}

/// Identified with a token that the server knows, and opted out: its farewell is owed.
fn said_farewell() -> World {
    let mut world = world();
    world.identify(&Identify::new("u1").push_token("tok")).unwrap();
    world.flush();
    world.opt_out().unwrap();
    assert_eq!(world.status().owed, 1);
    world
}

#[test]
fn the_word_to_the_server_is_said_once_whenever_the_power_goes() {
    // Still owed; delivered, and known to be.
    for delivered in [false, true] {
        let mut world = said_farewell();
        if delivered {
            world.flush();
        }
        for _ in 0..2 {
            world.crash();
            assert_eq!(world.status().owed, u32::from(!delivered));
            assert!(world.with(|client| client.is_opted_out()));
        }
        assert_eq!(world.status().counters.deleted, 0);
        assert_eq!(arrived(&mut world)[1..], [opted_out("u1", "tok")], "delivered: {delivered}");
    }
}

#[test]
fn the_word_to_the_server_that_a_power_cut_took_is_said_again() {
    let mut world = said_farewell();
    world.with_storage(|_, storage| {
        let last = Seq::new(storage.next_seq().get() - 1);
        ready(storage.remove(SeqRange::one(last))).unwrap().unwrap();
    });
    world.crash();

    assert_eq!(world.status().owed, 1);
    // That word is known, too: nothing is said a third time.
    world.crash();
    assert_eq!(arrived(&mut world)[1..], [opted_out("u1", "tok")]);
    assert_eq!(world.status().counters.deleted, 0);
}

/// The choice to be recorded again was not durable yet, and what was said after it was.
#[test]
fn what_was_said_after_an_opt_in_that_a_power_cut_took_is_deleted() {
    const SLOTS: [Slot; 2] = [Slot::Consent, Slot::Push];
    // Whether there was a farewell, whether it was delivered before the cut, how much was said, and what arrives in all.
    for (farewell, delivered, said, arrives) in [
        (true, false, 1, 2),
        (true, true, 1, 3),
        (true, true, 2, 3),
        (false, false, 1, 0),
        (false, false, 2, 0),
    ] {
        let mut world = if farewell { said_farewell() } else { world() };
        world.opt_out().unwrap();
        let before = SLOTS.map(|slot| {
            let mut value = vec![0; 1024];
            let len =
                world.with_storage(|_, storage| ready(storage.load(slot, &mut value)).unwrap().unwrap());
            value.truncate(len);
            (slot, value)
        });
        world.opt_in().unwrap();
        if delivered {
            world.flush();
        }
        for _ in 0..said {
            track(&mut world, "door_opened");
        }
        for (slot, value) in before {
            world.with_storage(|_, storage| ready(storage.store(slot, &value)).unwrap().unwrap());
        }

        world.crash();

        let case = (farewell, delivered, said);
        assert!(world.with(|client| client.is_opted_out()), "{case:?}");
        let arrived = arrived(&mut world);
        assert!(!arrived.contains(&json!("door_opened")), "{case:?}: {arrived:?}");
        assert_eq!(arrived.len(), arrives, "{case:?}: {arrived:?}");
        assert_eq!(world.status().counters.deleted, said + u64::from(farewell && !delivered), "{case:?}");
    }
}

/// What is to be deleted filled the medium, and the rest of the opt-out fails before the power goes.
#[test]
fn a_choice_that_needed_room_is_kept_when_its_end_fails() {
    let mut world = World::new(1, Options { storage_bytes: 2000, ..Options::default() });
    world.identify(&Identify::new("u1").push_token("tok")).unwrap();
    world.flush();
    world.network().script(|_, _| reply(503));
    while world.status().counters.evicted == 0 {
        track(&mut world, "door_opened");
    }
    world.with_storage(|_, storage| while ready(storage.append(storage.next_seq(), b"")).unwrap().is_ok() {});
    world.storage().set_faults(StorageFaults { append: true, ..StorageFaults::default() });

    world.opt_out().unwrap_err();
    world.storage().set_faults(StorageFaults::default());
    world.crash();

    assert!(world.with(|client| client.is_opted_out()));
    world.network().script(|_, _| reply(202));
    assert_eq!(arrived(&mut world)[1..], [opted_out("u1", "tok")]);
}
