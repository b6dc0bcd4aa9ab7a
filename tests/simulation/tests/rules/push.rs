//! Push tokens: who is told about which, and what is remembered (contract, section 7).
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use serde_json::{Value, json};
use whisperr_core::{
    Channel, EnqueueError, Identify, PUSH_TOKEN_BYTES_MAX, PushEnvironment, PushKind, PushPlatform,
    PushToken, Track,
};
use whisperr_simulation::{Options, StorageFaults, World, reply};

fn world() -> World {
    World::new(1, Options::default())
}

fn set(world: &mut World, token: &str) {
    world.set_push_token(token).unwrap();
}

fn identify(world: &mut World, user: &str) {
    world.identify(&Identify::new(user)).unwrap();
}

/// What arrived at `/v1/identify`, in order.
fn bodies(world: &mut World) -> Vec<Value> {
    world.flush();
    let server = world.server();
    server.operations().iter().filter(|body| body.get("event_type").is_none()).cloned().collect()
}

fn push(token: &str, opted_in: bool) -> Value {
    json!({"channel": "push", "address": token, "opted_in": opted_in})
}

fn partial(user: &str, channels: &[Value]) -> Value {
    json!({"external_user_id": user, "channels": channels})
}

#[test]
fn a_token_registers_once_and_a_new_one_opts_the_old_one_out() {
    let mut world = world();
    identify(&mut world, "u1");
    for token in ["a", " a ", "", " ", "b", "b", "a"] {
        set(&mut world, token);
    }

    let expected = [
        json!({"external_user_id": "u1"}),
        partial("u1", &[push("a", true)]),
        partial("u1", &[push("a", false), push("b", true)]),
        partial("u1", &[push("b", false), push("a", true)]),
    ];
    assert_eq!(bodies(&mut world), expected);
}

#[test]
fn a_delivered_token_is_known_after_a_restart() {
    let mut world = world();
    identify(&mut world, "u1");
    set(&mut world, "a");
    world.flush();
    world.crash();
    set(&mut world, "a");
    world.crash();
    set(&mut world, "b");

    let bodies = bodies(&mut world);
    assert_eq!(
        bodies[1..],
        [partial("u1", &[push("a", true)]), partial("u1", &[push("a", false), push("b", true)])]
    );
}

#[test]
fn a_token_set_before_anybody_is_identified_is_held_until_then() {
    let mut world = world();
    set(&mut world, "old");
    world.set_push_token(PushToken::new("held").kind(PushKind::Fcm).platform(PushPlatform::Android)).unwrap();
    identify(&mut world, "u1");
    set(&mut world, "held");
    identify(&mut world, "u1");

    let channel =
        json!({"channel": "push", "address": "held", "opted_in": true, "kind": "fcm", "platform": "android"});
    assert_eq!(bodies(&mut world), [partial("u1", &[channel]), json!({"external_user_id": "u1"})]);
}

#[test]
fn a_held_token_makes_way_for_one_that_the_call_brings() {
    let explicit = [Channel::push("explicit")];
    let off = [Channel::push("off").opted_out()];
    for (call, expected) in [
        (Identify::new("u1").push_token("shortcut"), push("shortcut", true)),
        (Identify::new("u1").channels(&explicit), push("explicit", true)),
        (Identify::new("u1").channels(&off), push("off", false)),
    ] {
        let mut world = world();
        set(&mut world, "held");
        world.identify(&call).unwrap();

        assert_eq!(bodies(&mut world), [partial("u1", &[expected])]);
    }
}

#[test]
fn a_held_token_that_made_way_is_nobody_elses_later() {
    let mut world = world();
    set(&mut world, "held");
    world.identify(&Identify::new("u1").push_token("own")).unwrap();
    world.reset().unwrap();
    identify(&mut world, "u2");

    assert_eq!(bodies(&mut world)[1..], [json!({"external_user_id": "u2"})]);
}

#[test]
fn a_held_token_waits_through_a_reset_and_an_identify_that_fails() {
    let mut world = world();
    set(&mut world, "held");
    world.reset().unwrap();
    let refused = world.identify(&Identify::new(" "));
    assert!(matches!(refused, Err(EnqueueError::User(_))), "{refused:?}");
    identify(&mut world, "u1");

    assert_eq!(bodies(&mut world), [partial("u1", &[push("held", true)])]);
}

#[test]
fn an_identify_with_another_token_opts_the_old_one_out_before_it() {
    let mut world = world();
    let shortcut = |token| Identify::new("u1").email("a@example.com").push_token(PushToken::new(token));
    world.identify(&shortcut("a")).unwrap();
    world.identify(&shortcut("b")).unwrap();
    // What the call says about the old token itself stays as it is.
    let told = [Channel::push("b").opted_out()];
    world.identify(&Identify::new("u1").push_token("c").channels(&told)).unwrap();
    let last = Channel::from(
        PushToken::new("d")
            .kind(PushKind::Apns)
            .platform(PushPlatform::Ios)
            .environment(PushEnvironment::Sandbox),
    );
    world.identify(&Identify::new("u1").channels(&[last])).unwrap();
    set(&mut world, "d");

    let email = json!({"channel": "email", "address": "a@example.com", "opted_in": true});
    let mut d = push("d", true);
    for (name, value) in [("kind", "apns"), ("platform", "ios"), ("push_env", "sandbox")] {
        d[name] = value.into();
    }
    let expected = [
        partial("u1", &[email.clone(), push("a", true)]),
        partial("u1", &[email, push("a", false), push("b", true)]),
        partial("u1", &[push("c", true), push("b", false)]),
        partial("u1", &[push("c", false), d]),
    ];
    assert_eq!(bodies(&mut world), expected);
}

#[test]
fn a_token_of_somebody_else_is_not_spoken_of() {
    let mut world = world();
    identify(&mut world, "u1");
    set(&mut world, "a");
    identify(&mut world, "u2");
    set(&mut world, "a");
    set(&mut world, "b");

    let expected = [partial("u2", &[push("a", true)]), partial("u2", &[push("a", false), push("b", true)])];
    assert_eq!(bodies(&mut world)[3..], expected);
}

#[test]
fn a_reset_forgets_the_token_and_the_next_user_registers_it() {
    let mut world = world();
    identify(&mut world, "u1");
    set(&mut world, "a");
    world.reset().unwrap();
    set(&mut world, "a");
    identify(&mut world, "u2");

    assert_eq!(bodies(&mut world)[2..], [partial("u2", &[push("a", true)])]);
}

#[test]
fn a_token_whose_operation_is_dropped_registers_again() {
    let mut world = world();
    identify(&mut world, "u1");
    world.flush();
    world.network().script(|_, _| reply(404));
    set(&mut world, "a");
    world.flush();
    world.network().script(|_, _| reply(202));
    set(&mut world, "a");
    set(&mut world, "a");

    assert_eq!(bodies(&mut world)[1..], [partial("u1", &[push("a", true)])]);
}

#[test]
fn only_the_operation_that_carried_the_token_makes_it_forgotten() {
    let mut world = world();
    identify(&mut world, "u1");
    set(&mut world, "a");
    world.flush();
    world.network().script(|_, _| reply(404));
    identify(&mut world, "u1");
    world.track(&Track::new("door_opened")).unwrap();
    world.flush();
    world.network().script(|_, _| reply(202));
    set(&mut world, "a");

    assert_eq!(bodies(&mut world).len(), 2, "nothing is sent for a token that was delivered");
}

#[test]
fn a_long_token_is_refused_by_name_and_nothing_else_is_lost() {
    let mut world = world();
    let long = "t".repeat(PUSH_TOKEN_BYTES_MAX + 1);
    identify(&mut world, "u1");

    let text = "push token of 257 bytes exceeds the limit of 256";
    assert_eq!(world.set_push_token(long.as_str()).unwrap_err().to_string(), text);
    let refused = world.identify(&Identify::new("u2").push_token(long.as_str())).unwrap_err();
    assert_eq!(refused.to_string(), text);
    let explicit = [Channel::push(&long)];
    assert!(matches!(
        world.identify(&Identify::new("u2").channels(&explicit)),
        Err(EnqueueError::PushToken(_))
    ));

    let longest = "t".repeat(PUSH_TOKEN_BYTES_MAX);
    set(&mut world, &longest);
    assert_eq!(bodies(&mut world)[1..], [partial("u1", &[push(&longest, true)])]);
    assert_eq!(
        world.with(|client| client.current_user().map(|user| user.as_str().to_owned())).as_deref(),
        Some("u1")
    );
}

#[test]
fn a_token_that_was_not_noted_is_sent_again_and_never_forgotten_unsent() {
    let mut world = world();
    identify(&mut world, "u1");
    world.storage().set_faults(StorageFaults { write: true, ..StorageFaults::default() });
    world.set_push_token("a").unwrap_err();
    world.storage().set_faults(StorageFaults::default());
    set(&mut world, "a");

    assert_eq!(bodies(&mut world).last(), Some(&partial("u1", &[push("a", true)])));
}

#[test]
fn only_a_push_channel_that_may_be_used_makes_a_token_known() {
    let token = || Channel::push(" tok ");
    for (channel, is_known) in [
        (token(), true),
        (token().opted_out(), false),
        (Channel::email("tok"), false),
        (Channel::sms("tok"), false),
    ] {
        let mut world = world();
        world.identify(&Identify::new("u1").channels(&[channel])).unwrap();
        set(&mut world, "tok");

        let bodies = bodies(&mut world);
        assert_eq!(bodies[0]["channels"][0]["address"], "tok", "without white space");
        assert_eq!(bodies.len(), if is_known { 1 } else { 2 }, "{channel:?}");
    }
}

#[test]
fn a_token_that_is_opted_out_says_nothing_else_of_itself() {
    let mut world = world();
    let token = PushToken::new("tok").kind(PushKind::Fcm).platform(PushPlatform::Android);
    world.identify(&Identify::new("u1").channels(&[Channel::from(token).opted_out()])).unwrap();

    assert_eq!(bodies(&mut world), [partial("u1", &[push("tok", false)])]);
}
