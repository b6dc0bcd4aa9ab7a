//! Versions of the application, from launch to launch (contract, section 9).
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use whisperr_core::{Device, Identify, Track};
use whisperr_simulation::{Options, StorageFaults, World};

/// What a launch answers: whether it reported something, or what it refused.
fn launch(world: &mut World, version: &str, build: &str) -> Result<bool, String> {
    world
        .call(async |client, now| client.launch(now, Device::new("kiosk"), version, build).await)
        .map(|accepted| accepted.seq.is_some())
        .map_err(|error| error.to_string())
}

#[test]
fn the_longest_version_and_build_are_remembered_and_longer_ones_refused_by_name() {
    let mut world = World::new(1, Options::default());
    let (version, next, build) = ("v".repeat(64), "w".repeat(64), "b".repeat(64));
    assert_eq!(launch(&mut world, &version, &build), Ok(true));
    world.crash();
    // Both stand in the slot while the update is told.
    assert_eq!(launch(&mut world, &next, &build), Ok(true));
    world.crash();

    let again = launch(&mut world, &format!("  {next} "), &build);

    assert_eq!(again, Ok(false));
    let refused = launch(&mut world, &format!("{next}1"), &build);
    assert_eq!(refused, Err("app_version of 65 bytes exceeds the limit of 64".into()));
    let refused = launch(&mut world, &next, &"b".repeat(66));
    assert_eq!(refused, Err("app_build of 66 bytes exceeds the limit of 64".into()));
    world.flush();
    let server = world.server();
    let [installed, updated] = server.operations() else { panic!("{server:?}") };
    assert_eq!(installed["event_type"], "app_installed");
    assert_eq!(updated["properties"]["previous_version"], *version);
    assert_eq!(updated["properties"]["app_version"], *next);
}

fn track(world: &mut World, event: &Track<'_>) {
    world.track(event).unwrap();
}

fn delivered(world: &mut World) {
    track(world, &Track::new("door_opened").user("u1"));
    world.flush();
}

/// Its event could not be recorded, and the version before it counts again: the slot held both whole.
#[test]
fn an_update_that_could_not_be_told_is_told_by_the_next_launch() {
    let mut world = World::new(1, Options::default());
    let (version, next, build) = ("v".repeat(64), "w".repeat(64), "b".repeat(64));
    launch(&mut world, &version, &build).unwrap();
    world.storage().set_faults(StorageFaults { append: true, ..StorageFaults::default() });
    launch(&mut world, &next, &build).unwrap_err();
    world.storage().set_faults(StorageFaults::default());
    world.crash();

    assert_eq!(launch(&mut world, &next, &build), Ok(true));
    world.flush();
    let server = world.server();
    assert_eq!(server.operations()[1]["properties"]["previous_build"], *build);
}

#[test]
fn only_a_launch_on_an_untouched_storage_is_an_installation() {
    type Before = (&'static str, fn(&mut World), bool);
    let befores: [Before; 5] = [
        ("nothing", |_| {}, true),
        ("a user", |world| world.identify(&Identify::new("u1")).unwrap(), false),
        ("a visitor", |world| track(world, &Track::new("door_opened")), false),
        ("an event that is owed", |world| track(world, &Track::new("door_opened").user("u1")), false),
        // Nothing but the number of the next operation tells of it.
        ("an event that was delivered", delivered, false),
    ];
    for (what, before, is_installation) in befores {
        let mut world = World::new(1, Options::default());
        before(&mut world);
        world.crash();

        assert_eq!(launch(&mut world, "1.0", ""), Ok(is_installation), "{what}");
        world.crash();
        assert_eq!(launch(&mut world, "1.1", ""), Ok(true), "{what}: an update is told from here on");
    }
}

#[test]
fn whoever_opted_out_before_the_first_launch_has_not_installed_later() {
    let mut world = World::new(1, Options::default());
    world.opt_out().unwrap();
    assert_eq!(launch(&mut world, "1.0", ""), Ok(false));
    world.opt_in().unwrap();
    world.crash();

    assert_eq!(launch(&mut world, "1.0", ""), Ok(false));
}
