//! What is not understood ends with 2, and does nothing.

use crate::support::{KEY, World, bare, command, run};

#[test]
fn wrong_usage_ends_with_2_and_touches_nothing() {
    let world = World::new();
    for args in [
        "",
        "unknown",
        "--unknown",
        "-x",
        "track",
        "track a b",
        "track a =b",
        "track a :=1",
        "track a --email e",
        "track a --user",
        "track a --timeout soon",
        "track a --timeout -1",
        "track a --timeout 1 --timeout 1",
        "track a --max-queue 0",
        "track a --max-queue 10000001",
        "track a --max-queue -1",
        "identify",
        "identify u v",
        "identify u --trait x",
        "identify u --channel sms",
        "identify u --channel fax:1",
        "identify u --channel sms:1,maybe",
        "identify u --preferred-channel fax",
        "reset now",
        "flush now",
        "flush --user u",
        "status now",
        "status --timeout 1",
        "pipe now",
    ] {
        let done = world.run(args);

        assert_eq!((done.code, done.stdout.as_str()), (Some(2), ""), "{args}: {done:?}");
        assert!(done.stderr.starts_with("whisperr: "), "{args}: {done:?}");
    }
    assert_eq!(world.collector.requests(), []);
    assert!(!world.queue().exists());
}

#[test]
fn a_base_url_that_is_none_ends_with_2() {
    let world = World::new();
    for url in
        ["", " ", "localhost", "ftp://host", "http://", "http://u:secret@host", "http://host?q", "http://h:x"]
    {
        let done = run(command(&world.queue(), url, "track a"), b"");

        assert_eq!(done.code, Some(2), "{url:?}: {done:?}");
        assert!(done.stderr.contains("base"), "{url:?}: {done:?}");
    }
}

#[test]
fn a_key_that_is_missing_or_no_header_ends_with_2() {
    let world = World::new();
    for key in [None, Some(""), Some("  "), Some("wrk_\u{e9}secret"), Some("wrk secret")] {
        for args in ["track a", "identify u", "reset", "flush", "pipe", "status"] {
            let mut command = bare();
            command.args(args.split(' ')).arg("--base-url").arg(world.collector.url());
            if args != "status" {
                command.arg("--queue").arg(world.queue());
            }
            if let Some(key) = key {
                // Empty variables are as good as none.
                command.env("WHISPERR_API_KEY", key).env("WHISPERR_QUEUE_DIR", "");
            }
            if args == "status" && key.is_some_and(|key| !key.trim().is_empty()) {
                continue;
            }
            let done = run(command, b"");

            assert_eq!(done.code, Some(2), "{args} {key:?}: {done:?}");
            assert!(done.stderr.contains("key") || done.stderr.contains("KEY"), "{args} {key:?}: {done:?}");
        }
    }
    assert!(!world.queue().exists());
}

#[test]
fn help_and_version_need_nothing() {
    for (args, expected) in [
        (&["--help"][..], "Usage: whisperr"),
        (&["-h"], "Usage: whisperr"),
        (&["track", "--help"], "Usage: whisperr"),
        (&["--version"], concat!("whisperr ", env!("CARGO_PKG_VERSION"), "\n")),
        (&["-V"], concat!("whisperr ", env!("CARGO_PKG_VERSION"), "\n")),
    ] {
        let mut command = bare();
        command.args(args);
        let done = run(command, b"");

        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{args:?}");
        assert!(done.stdout.contains(expected), "{args:?}: {}", done.stdout);
    }
}

#[test]
fn settings_come_from_the_environment_and_options_beat_it() {
    let world = World::new();
    let mut command = bare();
    command.env("WHISPERR_API_KEY", KEY);
    command.env("WHISPERR_BASE_URL", world.collector.url());
    command.env("WHISPERR_QUEUE_DIR", world.queue());
    command.args(["track", "door_opened"]);
    assert_eq!(run(command, b"").code, Some(0));

    let mut command = bare();
    command.env("WHISPERR_API_KEY", "wrk_other");
    command.env("WHISPERR_BASE_URL", "http://127.0.0.1:9");
    command.env("WHISPERR_QUEUE_DIR", world.queue().join("other"));
    command.args(["track", "door_closed", "--key", KEY, "--base-url", &world.collector.url(), "--queue"]);
    command.arg(world.queue());
    assert_eq!(run(command, b"").code, Some(0));

    let requests = world.collector.requests();
    assert_eq!(requests.len(), 2);
    for request in requests {
        assert_eq!(request.headers.authorization, Some(format!("Bearer {KEY}")));
    }
    assert!(!world.queue().join("other").exists());
}
