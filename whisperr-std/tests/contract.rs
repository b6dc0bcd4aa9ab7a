//! The whole contract through the handle, over real HTTP and real restarts: what the fixtures cannot express.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use core::time::Duration;
use std::path::Path;

use serde_json::{Value, json};
use whisperr_collector::Collector;
use whisperr_std::{
    BuildError, Builder, Error, Flush, Fsync, Identify, PushToken, Track, Waiting, Whisperr, props,
};

const SOON: Duration = Duration::from_secs(20);

fn builder(collector: &Collector, queue: &Path) -> Builder {
    Whisperr::builder("wrk_test")
        .base_url(collector.url())
        .queue_dir(queue)
        .flush_interval(Duration::from_secs(3600))
        .retry_base_delay(Duration::from_millis(10))
}

fn holds(queue: &Path, text: &str) -> bool {
    let files = std::fs::read_dir(queue).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
    files.into_iter().any(|file| file.windows(text.len()).any(|bytes| bytes == text.as_bytes()))
}

#[test]
fn an_opt_out_deletes_the_queue_from_the_disk_and_survives_the_process() {
    let (collector, queue) = (Collector::start().unwrap(), tempfile::tempdir().unwrap());
    let whisperr = builder(&collector, queue.path()).build().unwrap();
    whisperr.identify(Identify::new("user_1").push_token("tok_1")).unwrap();
    assert_eq!(whisperr.flush(SOON), Flush::Delivered);
    whisperr.pause();
    whisperr.track("secret_event", ()).unwrap();
    assert!(holds(queue.path(), "secret_event"));

    whisperr.opt_out().unwrap();

    assert!(!holds(queue.path(), "secret_event"));
    assert!(whisperr.is_opted_out() && whisperr.status().opted_out);
    let nil = whisperr.track("ignored", ()).unwrap();
    assert_eq!(nil.to_string(), "00000000-0000-0000-0000-000000000000");
    drop(whisperr);
    let whisperr = builder(&collector, queue.path()).build().unwrap();
    assert!(whisperr.is_opted_out());
    assert_eq!(whisperr.flush(SOON), Flush::Delivered);
    whisperr.opt_in().unwrap();
    whisperr.track("recorded_again", ()).unwrap();
    assert_eq!(whisperr.flush(SOON), Flush::Delivered);

    let names: Vec<Value> = collector.events().iter().map(|event| event["event_type"].clone()).collect();
    assert_eq!(names, ["recorded_again"]);
    let last = collector.identifies().pop().unwrap();
    let channel = json!({"channel": "push", "address": "tok_1", "opted_in": false});
    assert_eq!(last, json!({"external_user_id": "user_1", "channels": [channel]}));
}

#[test]
fn a_key_that_is_replaced_is_tried_at_once() {
    let collector = Collector::builder().api_key("wrk_new").start().unwrap();
    let queue = tempfile::tempdir().unwrap();
    let whisperr = builder(&collector, queue.path()).build().unwrap();
    whisperr.track("waiting", ()).unwrap();
    assert_eq!(whisperr.flush(SOON), Flush::AuthRefused);
    assert_eq!(whisperr.status().waiting, Waiting::AuthRefused);

    assert!(whisperr.set_api_key("wrk new").is_err(), "a key that no header can carry");
    whisperr.set_api_key("wrk_new").unwrap();

    assert!(collector.wait_for(SOON, |seen| seen.events == 1), "nothing was sent");
}

#[test]
fn what_requires_persistence_is_refused_where_nothing_is_persistent() {
    let (collector, queue) = (Collector::start().unwrap(), tempfile::tempdir().unwrap());
    let consent = Track::new("consent_given").require_persistence();
    let identify = Identify::new("user_1").require_persistence();

    for unsafe_one in [
        builder(&collector, queue.path()).enable_persistence(false),
        builder(&collector, queue.path()).fsync(Fsync::Never),
    ] {
        let whisperr = unsafe_one.build().unwrap();
        assert_eq!(whisperr.track_event(&consent), Err(Error::NotPersistent));
        assert_eq!(whisperr.identify(identify), Err(Error::NotPersistent));
        assert_eq!(whisperr.status().owed, 0);
        assert_eq!(whisperr.status().current_user, None);
    }
    let whisperr = builder(&collector, queue.path()).build().unwrap();
    whisperr.identify(identify).unwrap();
    whisperr.track_event(&consent).unwrap();
    assert_eq!(whisperr.flush(SOON), Flush::Delivered);
    assert_eq!(collector.events().len(), 1);
}

#[test]
fn defaults_go_with_every_event_and_the_call_has_the_last_word() {
    let (collector, queue) = (Collector::start().unwrap(), tempfile::tempdir().unwrap());
    let whisperr = builder(&collector, queue.path())
        .default_properties(&props! { "site" => 7, "door" => "front" })
        .default_context(&props! { "firmware" => "1.4.2" })
        .timezone("Europe/Berlin")
        .locale("de-DE")
        .build()
        .unwrap();
    whisperr.track("door_opened", props! { "door" => "back" }).unwrap();
    whisperr.screen("Home").unwrap();
    whisperr.identify(Identify::new("user_1").traits(props! { "timezone_offset_minutes" => 60 })).unwrap();
    whisperr.identify(Identify::new("user_2").traits(props! { "locale" => "fr-FR" })).unwrap();
    assert_eq!(whisperr.flush(SOON), Flush::Delivered);

    let events = collector.events();
    assert_eq!(events[0]["properties"], json!({"door": "back", "site": 7}));
    assert_eq!(events[1]["properties"]["site"], 7);
    for event in &events {
        assert_eq!(event["context"]["firmware"], "1.4.2");
    }
    let traits: Vec<Value> = collector.identifies().iter().map(|body| body["traits"].clone()).collect();
    assert_eq!(
        traits,
        [
            json!({"timezone_offset_minutes": 60, "locale": "de-DE"}),
            json!({"locale": "fr-FR", "timezone": "Europe/Berlin"})
        ]
    );
}

#[test]
fn wrong_defaults_are_refused_by_name_when_the_client_is_built() {
    let (collector, queue) = (Collector::start().unwrap(), tempfile::tempdir().unwrap());
    let refused = |builder: Builder| match builder.build() {
        Err(error @ BuildError::Defaults { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    };

    let builder = || builder(&collector, queue.path());
    assert_eq!(refused(builder().default_properties(&[1])), "default_properties is not an object");
    let reserved = props! { "$message_id" => 1 };
    assert_eq!(
        refused(builder().default_context(&reserved)),
        "default_context holds a key that is reserved for the client"
    );
}

#[test]
fn launches_are_told_apart_over_restarts() {
    let (collector, queue) = (Collector::start().unwrap(), tempfile::tempdir().unwrap());
    for (version, build) in [("1.0", "7"), ("1.0", "7"), ("1.1", "8")] {
        let whisperr = builder(&collector, queue.path()).build().unwrap();
        whisperr.launch(version, build).unwrap();
        whisperr.foreground().unwrap();
        whisperr.background().unwrap();
        assert_eq!(whisperr.flush(SOON), Flush::Delivered);
    }
    let long = "v".repeat(65);
    let whisperr = builder(&collector, queue.path()).build().unwrap();
    let refused = whisperr.launch(&long, "").unwrap_err();
    assert_eq!(refused.to_string(), "app_version of 65 bytes exceeds the limit of 64");
    assert!(refused.is_invalid_input());

    let names: Vec<String> =
        collector.events().iter().map(|event| event["event_type"].as_str().unwrap().to_owned()).collect();
    let moves = ["app_opened", "app_backgrounded"];
    assert_eq!(names, [&["app_installed"][..], &moves, &moves, &["app_updated"], &moves].concat());
}

#[test]
fn a_push_token_goes_with_what_is_known_of_it() {
    let (collector, queue) = (Collector::start().unwrap(), tempfile::tempdir().unwrap());
    let whisperr = builder(&collector, queue.path()).build().unwrap();
    let token = String::from("tok_1");
    whisperr.set_push_token(&token).unwrap();
    whisperr.identify(Identify::new("user_1")).unwrap();
    whisperr.set_push_token(PushToken::new("tok_2").kind(whisperr_std::PushKind::Expo)).unwrap();
    assert_eq!(whisperr.flush(SOON), Flush::Delivered);

    let bodies = collector.identifies();
    assert_eq!(bodies[0]["channels"][0]["address"], "tok_1");
    assert_eq!(
        bodies[1]["channels"][1],
        json!({"channel": "push", "address": "tok_2", "opted_in": true, "kind": "expo"})
    );
    let long = "t".repeat(257);
    let refused = whisperr.set_push_token(&long).unwrap_err();
    assert_eq!(refused.to_string(), "push token of 257 bytes exceeds the limit of 256");
}
