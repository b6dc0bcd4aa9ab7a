//! Events that the client knows how to name itself (contract, section 9).
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail")]

use core::time::Duration;

use serde_json::{Map, Value, json};
use whisperr_core::{Config, Device, FlushProgress, Session};
use whisperr_simulation::{Options, World};

const KIOSK: Device<'_> = Device::new("kiosk").os_version("4.2").locale("de-DE").timezone("Europe/Berlin");

fn world() -> World {
    World::new(1, Options::default())
}

/// Something the application tells.
enum Call {
    Launch(&'static str, &'static str),
    Foreground,
    Background,
    Screen(&'static str),
    PushOpened(&'static str, Option<&'static str>),
}

/// Whether something was recorded, and whether the runner has to be woken.
fn call(world: &mut World, call: Call) -> (bool, bool) {
    let accepted = world.call(async |client, now| match call {
        Call::Launch(version, build) => client.launch(now, KIOSK, version, build).await,
        Call::Foreground => client.foreground(now, KIOSK).await,
        Call::Background => client.background(now, KIOSK).await,
        Call::Screen(name) => client.screen(now, KIOSK, name).await,
        Call::PushOpened(id, link) => client.push_opened(now, KIOSK, id, link).await,
    });
    let accepted = accepted.unwrap();
    (accepted.seq.is_some(), accepted.wake)
}

/// What was recorded since: the types of the events, each with what it says of its own.
fn told(world: &mut World, after: usize) -> Vec<(String, Value)> {
    assert_eq!(world.flush(), FlushProgress::Delivered);
    let server = world.server();
    let own = |event: &Value| {
        let mut own: Map<String, Value> = event["properties"].as_object().unwrap().clone();
        for known in ["sdk_name", "sdk_version", "platform", "os_name", "os_version", "locale", "timezone"] {
            assert!(own.remove(known).is_some(), "{known} is missing: {event}");
        }
        (event["event_type"].as_str().unwrap().to_owned(), own.into())
    };
    server.operations()[after..].iter().map(own).collect()
}

fn event(event_type: &str, own: Value) -> (String, Value) {
    (event_type.to_owned(), own)
}

#[test]
fn a_whole_day_of_an_application_is_told_in_the_words_of_the_contract() {
    let mut world = world();
    assert!(call(&mut world, Call::Launch(" 1.4.2 ", "77")).0);
    assert!(call(&mut world, Call::Foreground).0);
    assert!(!call(&mut world, Call::Foreground).0, "it is there already");
    assert!(call(&mut world, Call::Screen("Checkout")).0);
    world.advance(61_000);
    assert_eq!(call(&mut world, Call::Background), (true, true));
    // Nothing is recorded, but what is owed starts on its way.
    assert_eq!(call(&mut world, Call::Background), (false, true));
    assert!(call(&mut world, Call::PushOpened("wm_1", Some("app://offer"))).0);
    assert!(call(&mut world, Call::PushOpened("wm_2", None)).0);
    assert!(!call(&mut world, Call::PushOpened("", Some("app://offer"))).0, "not Whisperr's");
    assert!(call(&mut world, Call::Foreground).0);

    let application = json!({"app_version": "1.4.2", "app_build": "77"});
    let with = |own: Value| {
        let mut all = application.as_object().unwrap().clone();
        all.extend(own.as_object().unwrap().clone());
        Value::from(all)
    };
    let expected = [
        event("app_installed", with(json!({}))),
        event("app_opened", with(json!({"cold_start": true}))),
        event("screen_viewed", with(json!({"screen_name": "Checkout"}))),
        event("app_backgrounded", with(json!({"foreground_ms": 61_000}))),
        event("push_opened", with(json!({"whisperr_message_id": "wm_1", "deep_link": "app://offer"}))),
        event("push_opened", with(json!({"whisperr_message_id": "wm_2"}))),
        event("app_opened", with(json!({"cold_start": false}))),
    ];
    assert_eq!(told(&mut world, 0), expected);

    // A version without a build; and a launch that was not named has none.
    world.crash();
    assert!(call(&mut world, Call::Launch("1.5", "")).0);
    assert!(call(&mut world, Call::Foreground).0);
    world.crash();
    assert!(call(&mut world, Call::Foreground).0);
    let expected = [
        event(
            "app_updated",
            json!({"app_version": "1.5", "previous_version": "1.4.2", "previous_build": "77"}),
        ),
        event("app_opened", json!({"app_version": "1.5", "cold_start": true})),
        event("app_opened", json!({"cold_start": true})),
    ];
    assert_eq!(told(&mut world, 7), expected);
}

#[test]
fn switched_off_only_what_the_application_says_itself_is_recorded() {
    let config = Config { automatic_events: false, ..Config::DEFAULT };
    let mut world = World::new(1, Options { config, ..Options::default() });
    for silent in [Call::Launch("1.0", ""), Call::Foreground, Call::Background, Call::Launch("1.1", "")] {
        assert!(!call(&mut world, silent).0);
    }
    assert!(call(&mut world, Call::Screen("Home")).0);
    assert!(call(&mut world, Call::PushOpened("wm_1", None)).0);

    let types = told(&mut world, 0).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(types, ["screen_viewed", "push_opened"]);
}

#[test]
fn a_session_goes_on_in_another_process() {
    let mut world = world();
    call(&mut world, Call::Launch("1.0", ""));
    let session = |world: &World| world.with(|client| client.session(world.now()));
    assert_eq!(session(&world), Session { launched: true, opened: false, foreground: None });
    call(&mut world, Call::Foreground);
    world.advance(5_000);
    let first = session(&world);
    assert_eq!(first, Session { launched: true, opened: true, foreground: Some(Duration::from_secs(5)) });
    let after = told(&mut world, 0).len();

    world.crash();
    assert_eq!(session(&world), Session::default());
    world.with(|client| client.continue_session(world.now(), first));
    world.advance(2_000);
    call(&mut world, Call::Background);
    call(&mut world, Call::Foreground);

    let expected = [
        event("app_backgrounded", json!({"app_version": "1.0", "foreground_ms": 7_000})),
        event("app_opened", json!({"app_version": "1.0", "cold_start": false})),
    ];
    assert_eq!(told(&mut world, after), expected);
}
