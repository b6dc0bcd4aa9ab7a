//! Every call of the handle, and what the application is told.

use core::time::Duration;
use std::sync::mpsc;

use whisperr_collector::{Collector, Fault};
use whisperr_std::{
    Builder, Error, Flush, Fsync, Identify, Json, NoticeKind, Overflow, Track, Waiting, Whisperr, props,
};

const SOON: Duration = Duration::from_secs(20);

fn builder(collector: &Collector) -> Builder {
    Whisperr::builder("wrk_test")
        .base_url(collector.url())
        .enable_persistence(false)
        .retry_base_delay(Duration::from_millis(10))
}

#[test]
fn every_form_of_properties_reaches_the_wire() {
    #[derive(serde::Serialize)]
    struct Door {
        door: u8,
        open: bool,
    }
    let collector = Collector::start().unwrap();
    let whisperr = builder(&collector).build().unwrap();

    whisperr.track("a", props! { "door" => 3, "open" => true }).unwrap();
    whisperr.track("b", &Door { door: 3, open: true }).unwrap();
    whisperr.track("c", serde_json::json!({ "door": 3, "open": true })).unwrap();
    whisperr.track("d", Json(r#" { "door" : 3, "open":true } "#)).unwrap();
    whisperr.track("e", ()).unwrap();
    assert_eq!(whisperr.flush(SOON), Flush::Delivered);

    let events = collector.events();
    for event in &events[..4] {
        assert_eq!(event["properties"], serde_json::json!({ "door": 3, "open": true }));
    }
    assert_eq!(events[4]["properties"], serde_json::json!({}));
}

#[test]
fn bad_input_is_refused_by_name_and_nothing_else_is_lost() {
    let collector = Collector::start().unwrap();
    let whisperr = builder(&collector).max_operation_bytes(1024).build().unwrap();
    let large = "x".repeat(2000);
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(32), "]".repeat(32));

    whisperr.track("kept", ()).unwrap();
    for (refused, text) in [
        (whisperr.track("", ()), "event_type is empty"),
        (whisperr.track(" ", ()), "event_type is not snake_case at byte 0"),
        (whisperr.track("Door", ()), "event_type is not snake_case at byte 0"),
        (whisperr.track("door__opened", ()), "event_type is not snake_case at byte 5"),
        (whisperr.track("door-opened", ()), "event_type is not snake_case at byte 4"),
        (whisperr.track("e", props! { "x" => f64::NAN }), "properties holds a number that is not finite"),
        (whisperr.track("e", [1, 2]), "properties is not an object"),
        (whisperr.track("e", "text"), "properties is not an object"),
        (whisperr.track("e", Json("[1]")), "properties is not an object"),
        (whisperr.track("e", Json("{\"a\":}")), "properties is not valid JSON: unexpected text at byte 5"),
        (whisperr.track("e", Json(&deep)), "properties is nested deeper than 32"),
        (
            whisperr.track("e", props! { "x" => large.as_str() }),
            "operation exceeds the record limit of 1024 bytes",
        ),
        (whisperr.track_event(&Track::new("e").user(" ")), "external_user_id is empty"),
        (
            whisperr.track_event(&Track::new("e").context(props! { "$message_id" => "mine" })),
            "context holds a key that is reserved for the client",
        ),
        (whisperr.track_event(&Track::new("e").context([0])), "context is not an object"),
    ] {
        let error = refused.unwrap_err();
        assert_eq!(error.to_string(), text);
        assert!(error.is_invalid_input());
    }
    let refused = whisperr.identify(Identify::new(" \t")).unwrap_err();
    assert_eq!(refused.to_string(), "external_user_id is empty");
    let refused = whisperr.identify(Identify::new("u").traits([1])).unwrap_err();
    assert_eq!(refused.to_string(), "traits is not an object");

    assert_eq!(whisperr.flush(SOON), Flush::Delivered);
    assert_eq!(collector.events().len(), 1);
}

#[test]
fn wrong_settings_are_refused_with_name_and_range() {
    let ok = || Whisperr::builder("wrk_test").enable_persistence(false);
    let error = |builder: Builder| builder.build().unwrap_err().to_string();

    for (builder, text) in [
        (Whisperr::builder(""), "ingestion key is empty"),
        (Whisperr::builder(" \n"), "ingestion key is empty"),
        (Whisperr::builder("wrk \u{e9}"), "ingestion key is not visible ASCII at byte 3"),
        (ok().base_url("api.whisperr.net"), "base_url has no scheme: start it with https://"),
        (ok().base_url("https://u:p@host"), "base_url holds credentials: the ingestion key is enough"),
        (ok().base_url("ftp://host"), "base_url is neither http nor https"),
        (ok().max_batch_size(501), "max_batch_size of 501 is outside 1 to 500"),
        (ok().flush_at(0), "flush_at of 0 is outside 1 to 10000000"),
        (ok().flush_interval(Duration::ZERO), "flush_interval of 0ns is outside 1s to 86400s"),
        (ok().max_operation_bytes(255), "max_operation_bytes of 255 is outside 256 to 65535"),
        (
            ok().root_certificate("no pem"),
            "the HTTP client could not be made: root_certificate holds no PEM certificate",
        ),
    ] {
        assert_eq!(error(builder), text);
    }
    assert!(error(ok().proxy("::")).starts_with("the HTTP client could not be made: "));
}

#[test]
fn a_base_url_with_a_path_prefix_keeps_it() {
    let collector = Collector::start().unwrap();
    let whisperr = builder(&collector).base_url(format!("{}/proxy/w/", collector.url())).build().unwrap();
    whisperr.track("e", ()).unwrap();

    let _dropped_by_404 = whisperr.flush(SOON);

    assert_eq!(collector.requests()[0].path, "/proxy/w/v1/events/batch");
}

#[test]
fn a_server_that_is_not_whisperr_loses_nothing() {
    for fault in [Fault::Redirect { to: "https://portal.example/".into() }, Fault::Close] {
        let collector = Collector::start().unwrap();
        collector.fault(fault.clone());
        let whisperr = builder(&collector).max_retries(1).build().unwrap();
        whisperr.track("e", ()).unwrap();

        assert_eq!(whisperr.flush(SOON), Flush::RetryExhausted, "{fault:?}");
        collector.clear_faults();
        assert_eq!(whisperr.flush(SOON), Flush::Delivered);

        assert_eq!(collector.events().len(), 1);
    }
}

#[test]
fn a_page_answered_with_200_settles_by_its_status_and_one_with_404_drops() {
    for (fault, dropped) in [(Fault::Html.once(), 0), (Fault::status(404).body("<html>").once(), 1)] {
        let collector = Collector::start().unwrap();
        collector.fault(fault);
        let whisperr = builder(&collector).build().unwrap();
        whisperr.track("e", ()).unwrap();

        assert_eq!(whisperr.flush(SOON), Flush::Delivered);

        let counters = whisperr.status().counters;
        assert_eq!((counters.acknowledged, counters.dropped), (1 - dropped, dropped));
    }
}

#[test]
fn a_reply_that_never_ends_is_settled_by_its_status() {
    let collector = Collector::start().unwrap();
    collector.fault(Fault::Endless.once());
    let whisperr = builder(&collector).build().unwrap();
    whisperr.track("e", ()).unwrap();

    assert_eq!(whisperr.flush(SOON), Flush::Delivered);

    assert_eq!((collector.events().len(), collector.duplicates()), (1, 0));
}

#[test]
fn the_application_is_told_with_type_message_and_status() {
    for (fault, kind, status, text) in [
        (
            Fault::status(401),
            NoticeKind::Auth,
            Some(401),
            "the server refused the ingestion key with 401; operations are kept",
        ),
        (
            Fault::status(503),
            NoticeKind::RetryExhausted,
            Some(503),
            "gave up after 1 attempt, the last with 503; operations are kept",
        ),
        (Fault::status(404), NoticeKind::Dropped, Some(404), "the server refused 1 operation with 404"),
    ] {
        let collector = Collector::start().unwrap();
        collector.fault(fault.once());
        let (told, notices) = mpsc::channel();
        let whisperr = builder(&collector)
            .max_retries(0)
            .on_error(move |notice| told.send(*notice).unwrap())
            .build()
            .unwrap();
        whisperr.track("e", ()).unwrap();
        let _ended = whisperr.flush(SOON);

        let notice = notices.recv_timeout(SOON).unwrap();
        assert_eq!((notice.kind(), notice.status(), notice.to_string().as_str()), (kind, status, text));
    }
}

#[test]
fn a_callback_that_panics_does_not_stop_delivery() {
    let collector = Collector::start().unwrap();
    collector.fault(Fault::status(404).once());
    let whisperr = builder(&collector).on_error(|_| panic!("the application's own mistake")).build().unwrap();
    whisperr.track("dropped", ()).unwrap();
    assert_eq!(whisperr.flush(SOON), Flush::Delivered);

    whisperr.track("delivered", ()).unwrap();
    assert_eq!(whisperr.flush(SOON), Flush::Delivered);

    assert_eq!(collector.events().len(), 1);
}

#[test]
fn reset_seals_what_was_said_and_starts_a_new_visitor() {
    let collector = Collector::start().unwrap();
    let whisperr = builder(&collector).build().unwrap();
    whisperr.pause();
    whisperr.identify(Identify::new("ada")).unwrap();
    whisperr.track("by_ada", ()).unwrap();
    whisperr.reset().unwrap();
    assert_eq!(whisperr.status().current_user, None);
    whisperr.track("by_nobody", ()).unwrap();
    whisperr.resume();

    assert_eq!(whisperr.flush(SOON), Flush::Delivered);

    let events = collector.events();
    assert_eq!(events[0]["external_user_id"], "ada");
    assert!(events[1]["anonymous_id"].is_string());
}

#[test]
fn pause_and_status_say_why_nothing_is_sent() {
    let collector = Collector::start().unwrap();
    let whisperr = builder(&collector).build().unwrap();
    assert_eq!(whisperr.status().waiting, Waiting::Idle);
    whisperr.pause();
    whisperr.track("e", ()).unwrap();

    let status = whisperr.status();
    assert_eq!((status.owed, status.waiting), (1, Waiting::Paused));
    assert!(status.bytes > 0 && status.oldest_age.unwrap() < SOON);
    assert_eq!(whisperr.flush(SOON), Flush::Paused);
    whisperr.resume();
    assert_eq!(whisperr.flush(SOON), Flush::Delivered);
}

#[test]
fn a_disabled_client_does_nothing_and_succeeds() {
    let directory = tempfile::tempdir().unwrap();
    let queue = directory.path().join("queue");
    let whisperr = Whisperr::builder("").queue_dir(&queue).disabled(true).build().unwrap();

    whisperr.identify(Identify::new("")).unwrap();
    whisperr.track("Not Checked", ()).unwrap();
    whisperr.reset().unwrap();

    assert_eq!(whisperr.flush(SOON), Flush::Delivered);
    assert_eq!(whisperr.shutdown(SOON), Flush::Delivered);
    assert!(!queue.exists());
}

#[test]
fn calls_after_shutdown_are_refused_and_the_directory_is_free() {
    let directory = tempfile::tempdir().unwrap();
    let collector = Collector::start().unwrap();
    let open = || builder(&collector).enable_persistence(true).queue_dir(directory.path());
    let whisperr = open().build().unwrap();
    let second = open().build().unwrap_err().to_string();
    assert!(second.ends_with("is locked by another process"), "{second}");

    assert_eq!(whisperr.shutdown(SOON), Flush::Delivered);

    assert_eq!(whisperr.flush(SOON), Flush::Delivered);
    let refused = whisperr.track("late", ()).unwrap_err();
    assert_eq!(refused.to_string(), "the queue failed: the client was shut down");
    assert!(matches!(refused, Error::Storage(_)));
    open().build().unwrap();
}

#[test]
fn a_flush_after_the_shutdown_says_that_something_is_owed() {
    let collector = Collector::start().unwrap();
    collector.fault(Fault::status(503));
    let whisperr = builder(&collector).max_retries(0).build().unwrap();
    whisperr.track("e", ()).unwrap();
    assert_eq!(whisperr.shutdown(SOON), Flush::RetryExhausted);

    assert_eq!(whisperr.flush(SOON), Flush::Closed);
    assert_eq!(whisperr.shutdown(SOON), Flush::Closed);
    assert_eq!(whisperr.status().owed, 1);
}

#[test]
fn a_full_queue_refuses_instead_of_evicting_when_told_to() {
    let collector = Collector::start().unwrap();
    let whisperr = builder(&collector).max_queue_size(2).overflow(Overflow::Refuse).build().unwrap();
    whisperr.pause();
    whisperr.track("first", ()).unwrap();
    whisperr.track("second", ()).unwrap();
    assert!(!whisperr.has_room());

    assert_eq!(
        whisperr.track("third", ()),
        Err(Error::QueueFull { max_queue_size: 2, max_queue_bytes: 64 << 20 })
    );

    whisperr.resume();
    assert_eq!(whisperr.flush(SOON), Flush::Delivered);
    assert_eq!((collector.events().len(), whisperr.status().counters.evicted), (2, 0));
}

#[test]
fn every_fsync_policy_delivers() {
    for policy in [Fsync::Never, Fsync::Interval(Duration::from_millis(5)), Fsync::Always] {
        let directory = tempfile::tempdir().unwrap();
        let collector = Collector::start().unwrap();
        let whisperr = builder(&collector)
            .enable_persistence(true)
            .queue_dir(directory.path())
            .fsync(policy)
            .build()
            .unwrap();
        for _ in 0..50 {
            whisperr.track("e", ()).unwrap();
        }

        assert_eq!(whisperr.flush(SOON), Flush::Delivered, "{policy:?}");
        assert_eq!(collector.events().len(), 50);
    }
}

#[test]
fn the_key_is_never_printed() {
    let builder = Whisperr::builder("wrk_secret").enable_persistence(false);
    let printed = format!("{builder:?}{:?}", builder);

    assert!(!printed.contains("secret"), "{printed}");
}

#[test]
fn the_process_wide_client_is_made_once() {
    assert!(whisperr_std::instance().is_none());
    let collector = Collector::start().unwrap();

    whisperr_std::init(builder(&collector)).unwrap();
    let again = whisperr_std::init(builder(&collector)).unwrap_err();

    assert_eq!(again.to_string(), "the process-wide client exists already");
    whisperr_std::instance().unwrap().track("e", ()).unwrap();
    assert_eq!(whisperr_std::instance().unwrap().shutdown(SOON), Flush::Delivered);
    assert_eq!(collector.events().len(), 1);
}

#[test]
fn replies_of_every_status_are_survived() {
    let collector = Collector::start().unwrap();
    let whisperr = builder(&collector).max_retries(0).build().unwrap();
    for status in 200..=599 {
        collector.fault(Fault::status(status).once());
        whisperr.track("e", ()).unwrap();
        let _any = whisperr.flush(SOON);
        let _kept = whisperr.flush(SOON);
    }

    let counters = whisperr.status().counters;
    assert_eq!(counters.owed(), u64::from(whisperr.status().owed), "{counters:?}");
    // 4xx without 401, 403 and 429.
    assert_eq!(counters.dropped, 97, "{counters:?}");
}
