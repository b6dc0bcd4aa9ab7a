//! The commands that say one thing: what they say, and what they leave.

use core::time::Duration;
use std::time::Instant;

use serde_json::json;
use whisperr_collector::Fault;

use crate::support::{World, bare, lines, run};

#[test]
fn track_says_what_it_is_told() {
    let world = World::new();
    let mut command = world.command("track payment_failed --user u1 --");
    command.args(["reason=card declined", "amount:=4900", "tags:=[\"a\",null]", "note=", "-x=y", "a=b=c"]);

    let done = run(command, b"");

    assert_eq!((done.code, done.stdout.as_str(), done.stderr.as_str()), (Some(0), "", ""));
    let events = world.collector.events();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["event_type"], "payment_failed");
    assert_eq!(events[0]["external_user_id"], "u1");
    let expected = json!({"reason": "card declined", "amount": 4900, "tags": ["a", null], "note": "", "-x": "y", "a": "b=c"});
    assert_eq!(events[0]["properties"], expected);
}

#[test]
fn identify_says_what_it_is_told() {
    let world = World::new();
    let done = world.run(
        "identify u1 --email a@example.com --phone +15550001 --push-token tok --trait plan=pro \
         --trait seats:=3 --preferred-channel sms --channel sms:+15550002,opted-out \
         --channel email:b@example.com,verified",
    );

    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
    let expected = json!({
        "external_user_id": "u1",
        "traits": {"plan": "pro", "seats": 3},
        "preferred_channel": "sms",
        "channels": [
            {"channel": "email", "address": "a@example.com", "opted_in": true},
            {"channel": "sms", "address": "+15550001", "opted_in": true},
            {"channel": "push", "address": "tok", "opted_in": true},
            {"channel": "sms", "address": "+15550002", "opted_in": false},
            {"channel": "email", "address": "b@example.com", "opted_in": true, "verified": true},
        ],
    });
    assert_eq!(world.collector.identifies(), [expected]);
}

#[test]
fn the_user_stays_the_current_one_until_reset() {
    let world = World::new();
    for args in ["track before", "identify u1", "track during", "reset", "track after"] {
        assert_eq!(world.run(args).code, Some(0), "{args}");
    }

    let events = world.collector.events();
    assert_eq!(events.len(), 3);
    assert!(events[0]["external_user_id"].is_null());
    assert_eq!(events[1]["external_user_id"], "u1");
    assert!(events[2]["external_user_id"].is_null());
    assert_eq!(world.collector.identifies()[0]["anonymous_id"], events[0]["anonymous_id"]);
    assert_ne!(events[0]["anonymous_id"], events[2]["anonymous_id"]);
}

#[test]
fn what_cannot_be_delivered_at_once_is_owed_and_said() {
    let world = World::new();

    let start = Instant::now();
    for (args, owed) in [
        ("track first --timeout 60", "1 operation still owed"),
        ("identify u1 --timeout 60", "2 operations still owed"),
        ("reset --timeout 60", "2 operations still owed"),
        ("track last --timeout 60", "3 operations still owed"),
    ] {
        let done = world.run_offline(args);
        assert_eq!((done.code, done.stdout.as_str()), (Some(0), ""), "{args}: {done:?}");
        assert!(done.stderr.contains("whisperr: retry_exhausted: "), "{args}: {done:?}");
        assert!(done.stderr.ends_with(&format!("whisperr: {owed}\n")), "{args}: {done:?}");
    }
    // Nobody listens, so the first attempt of each fails at once.
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());

    assert_eq!(world.run("flush").code, Some(0));
    let types: Vec<_> = world.collector.events().iter().map(|event| event["event_type"].clone()).collect();
    assert_eq!(types, ["first", "last"]);
    assert_eq!(world.collector.identifies().len(), 1);
}

#[test]
fn a_time_out_of_0_leaves_delivery_to_a_later_command() {
    let world = World::new();
    for args in ["track a --timeout 0", "identify u1 --timeout 0", "reset --timeout 0"] {
        let done = world.run(args);
        assert_eq!(done.code, Some(0), "{args}: {done:?}");
        assert!(done.stderr.contains("still owed"), "{args}: {done:?}");
    }
    assert_eq!(world.pipe("--timeout 0", lines(0..100)).code, Some(0));
    let done = world.run("flush --timeout 0");
    assert_eq!(done.code, Some(3), "{done:?}");
    assert_eq!(world.collector.requests(), []);

    assert_eq!(world.run("track b").code, Some(0));
    assert_eq!(world.collector.operations().len(), 103);
}

#[test]
fn bad_input_is_refused_by_name_and_leaves_nothing() {
    let world = World::new();
    let long = format!("track a x={}", "y".repeat(40_000));
    let deep = format!("track a x:={}{}", "[".repeat(40), "]".repeat(40));
    for (args, expected) in [
        ("track Door", "event_type is not snake_case at byte 0"),
        ("track a__b", "event_type is not snake_case at byte 2"),
        ("track a n:=secret", "properties n is not valid JSON"),
        ("track a n:=NaN", "properties n is not valid JSON"),
        ("track a n:=1,\"m\":2", "properties n is not valid JSON"),
        ("track a n:=1 n=1", "properties n is given twice"),
        ("identify u --trait n:=", "traits n is not valid JSON"),
        ("identify u --trait n=1 --trait n=2", "traits n is given twice"),
        (&long, "operation exceeds the record limit"),
        (&deep, "properties is nested deeper than 32"),
    ] {
        let done = world.run(args);
        assert_eq!((done.code, done.stdout.as_str()), (Some(1), ""), "{args}: {done:?}");
        assert!(done.stderr.starts_with(&format!("whisperr: {expected}")), "{args}: {done:?}");
    }
    for blank in ["", " "] {
        for words in [&["track", blank][..], &["track", "a", "--user", blank], &["identify", blank]] {
            let mut command = world.command("");
            command.args(words);
            let done = run(command, b"");
            assert_eq!(done.code, Some(1), "{words:?}: {done:?}");
        }
    }

    assert_eq!(world.owed(), 0);
    assert_eq!(world.collector.requests(), []);
}

#[cfg(unix)]
#[test]
fn names_that_are_not_utf_8_are_refused_and_paths_are_taken() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let world = World::new();
    let odd = OsStr::from_bytes(b"file=\xff");
    let mut command = world.command("track file_seen");
    command.arg(odd);
    let done = run(command, b"");
    assert_eq!(done.code, Some(1), "{done:?}");
    assert_eq!(done.stderr, "whisperr: properties is not UTF-8\n");

    let queue = world.queue().join(OsStr::from_bytes(b"\xff\xfe"));
    let mut command = bare();
    command
        .args(["--key", "wrk_a", "--base-url", &world.collector.url(), "track", "a", "--queue"])
        .arg(&queue);
    let done = run(command, b"");
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(queue.is_dir());
}

#[test]
fn what_the_server_refuses_ends_with_1() {
    let world = World::new();
    world.collector.fault(Fault::reject_event_type("bad"));
    world.collector.fault(Fault::CountRejected { event_type: "odd".into() });

    let done = world.run("track bad");
    assert_eq!(done.code, Some(1));
    assert_eq!(done.stderr, "whisperr: dropped: the server refused 1 operation with 400\n");

    let done = world.run("track odd");
    assert_eq!(done.code, Some(1));
    assert_eq!(done.stderr, "whisperr: dropped: 1 event rejected by the server's shape check\n");

    assert_eq!(world.run("track good").code, Some(0));
}

#[test]
fn status_says_what_is_owed_and_sends_nothing() {
    let world = World::new();
    assert_eq!(world.run("identify u1 --timeout 0").code, Some(0));
    assert_eq!(world.run("track a --timeout 0").code, Some(0));

    // Without a key: the queue is given.
    let mut command = bare();
    command.arg("status").arg("--queue").arg(world.queue());
    let done = run(command, b"");

    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
    assert_eq!(done.stdout.lines().count(), 1);
    let status: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(status["owed"], 2);
    assert!(status["bytes"].as_u64().unwrap() > 20);
    assert!(status["oldest_age_ms"].as_u64().unwrap() < 60_000);
    assert_eq!(status["current_user"], "u1");
    assert_eq!(status["waiting"], "interval");
    assert_eq!(status["queue_dir"], world.queue().to_str().unwrap());
    assert_eq!(status["counters"]["owed_at_start"], 2);
    assert_eq!(status["counters"]["acknowledged"], 0);
    assert_eq!(world.collector.requests(), []);

    assert_eq!(world.run("flush").code, Some(0));
    let status = world.status();
    assert_eq!((&status["owed"], &status["waiting"]), (&json!(0), &json!("idle")));
    assert!(status["oldest_age_ms"].is_null());
}

#[test]
fn the_default_queue_belongs_to_the_key() {
    let world = World::new();
    let state = world.queue();
    let with_key = |key: &str, args: &[&str]| {
        let mut command = bare();
        command.env("XDG_STATE_HOME", &state).env("HOME", &state).env("LOCALAPPDATA", &state);
        command.args(["--key", key]).args(args);
        run(command, b"")
    };
    assert_eq!(with_key("wrk_a", &["track", "a", "--timeout", "0"]).code, Some(0));

    for (key, owed) in [("wrk_a", 1), ("wrk_b", 0)] {
        let status: serde_json::Value = serde_json::from_str(&with_key(key, &["status"]).stdout).unwrap();
        assert_eq!((&status["owed"], &status["queue_dir"]), (&json!(owed), &json!(null)), "{key}");
    }
}

#[test]
fn consent_and_push_tokens_outlive_the_command() {
    let world = World::new();
    let early = world.run("push-token tok");
    assert_eq!(early.code, Some(1), "{early:?}");
    assert!(early.stderr.contains("nobody is identified"), "{early:?}");
    for args in [
        "identify u1",
        "push-token tok --kind fcm --platform android",
        "push-token tok",
        "launch 1.0 7",
        "launch 1.0 7",
        "launch 1.1 8",
        "screen Home",
        "opt-out",
        "track unheard",
        "opt-out",
    ] {
        let done = world.run(args);
        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{args}");
    }
    let status = world.status();
    assert_eq!((&status["opted_out"], &status["owed"]), (&json!(true), &json!(0)));
    // Two identifies and the farewell, an update and a screen, over ten commands.
    assert_eq!((&status["ledger"]["accepted"], &status["ledger"]["acknowledged"]), (&json!(5), &json!(5)));
    assert_eq!(world.run("opt-in").code, Some(0));
    assert_eq!(world.run("track heard").code, Some(0));

    let names: Vec<_> = world.collector.events().iter().map(|event| event["event_type"].clone()).collect();
    assert_eq!(names, ["app_updated", "screen_viewed", "heard"]);
    let channels: Vec<_> = world.collector.identifies().iter().map(|body| body["channels"].clone()).collect();
    assert_eq!(
        channels,
        [
            json!(null),
            json!([{"channel": "push", "address": "tok", "opted_in": true, "kind": "fcm", "platform": "android"}]),
            json!([{"channel": "push", "address": "tok", "opted_in": false}]),
        ]
    );
}

#[test]
fn one_command_says_how_long_ago_another_one_came_to_the_foreground() {
    if !std::path::Path::new("/proc/sys/kernel/random/boot_id").exists() {
        println!("SKIPPED: this system does not tell its boots apart");
        return;
    }
    let world = World::new();
    for args in [
        "background",
        "launch 1.0 7",
        "foreground",
        "foreground",
        "screen Home",
        "background",
        "background",
        "foreground",
        "launch 1.0 7",
        "foreground",
    ] {
        let done = world.run(args);
        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{args}");
    }

    let events = world.collector.events();
    let told: Vec<_> =
        events.iter().map(|event| (event["event_type"].clone(), &event["properties"])).collect();
    let names: Vec<_> = told.iter().map(|(name, _)| name.as_str().unwrap()).collect();
    let expected =
        ["app_installed", "app_opened", "screen_viewed", "app_backgrounded", "app_opened", "app_opened"];
    assert_eq!(names, expected);
    let cold: Vec<_> = told.iter().filter_map(|(_, properties)| properties["cold_start"].as_bool()).collect();
    assert_eq!(cold, [true, false, true]);
    assert!(told[3].1["foreground_ms"].is_u64(), "{events:?}");
    assert!(told.iter().all(|(_, properties)| properties["app_version"] == "1.0"), "{events:?}");
}
