//! Who an event is about before anybody is identified (contract, section 6).

use whisperr_core::{Identify, Track};
use whisperr_simulation::{Options, StorageFaults, World};

#[test]
fn anonymous_events_are_promoted_by_identify_and_rotated_by_reset() {
    let mut world = World::new(1, Options::default());
    world.track(&Track::new("page_viewed")).unwrap();
    world.identify(&Identify::new("u1")).unwrap();
    world.track(&Track::new("page_viewed")).unwrap();
    world.reset().unwrap();
    world.track(&Track::new("page_viewed")).unwrap();
    world.crash();
    world.track(&Track::new("page_viewed")).unwrap();
    world.flush();

    let server = world.server();
    let [first, identify, known, second, third] = server.operations() else { panic!("{server:?}") };
    assert_eq!(first["anonymous_id"], identify["anonymous_id"]);
    assert!(first.get("external_user_id").is_none());
    assert_eq!(known["external_user_id"], "u1");
    assert_ne!(second["anonymous_id"], first["anonymous_id"]);
    assert_eq!(second["anonymous_id"], third["anonymous_id"]);
    assert_eq!(second["anonymous_id"].as_str().unwrap().len(), 36);
}

/// Found by the simulation. Without randomness, and with a medium that does not take the count of the starts,
/// two starts draw the same numbers.
#[test]
fn visitors_of_two_starts_with_the_same_seed_and_count_are_not_linked() {
    let mut world = World::new(1, Options { poor_entropy: true, ..Options::default() });
    for _ in 0..2 {
        let faults = StorageFaults { write: true, ..StorageFaults::default() };
        world.restart(|medium| medium.set_faults(faults)).unwrap();
        world.storage().set_faults(StorageFaults::default());
        world.track(&Track::new("page_viewed")).unwrap();
        world.reset().unwrap();
    }
    world.flush();

    let server = world.server();
    let [first, second] = server.operations() else { panic!("{server:?}") };
    assert_ne!(first["anonymous_id"], second["anonymous_id"]);
    assert_ne!(first["context"]["$message_id"], second["context"]["$message_id"]);
}
