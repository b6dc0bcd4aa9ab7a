//! Versions of the application, from launch to launch (contract, section 9).

use whisperr_core::Device;
use whisperr_simulation::{Options, World};

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
