//! The checker finds what is wrong: fixtures that hold, each broken in one place, must fail.

use std::fs;

use whisperr_conformance::{
    Driver, Report, run, run_anonymous, run_automatic, run_behavior, run_push, run_wire,
};

const TRACK: &str = r#"{"version":1,"description":"d","$schema":"s","cases":[{
    "name":"event","op":"track",
    "scenario":{"externalUserId":"user_1","eventType":"paid","properties":{"amount":1.50,"items":[1,2]},
        "context":{"site":1},"clockIso":"2026-03-14T09:26:53.589793Z"},
    "endpoint":"/v1/events/batch",
    "expectedEvent":{"external_user_id":"user_1","event_type":"paid",
        "properties":{"amount":1.50,"items":[1,2]}},
    "expectedOccurredAt":"2026-03-14T09:26:53.589Z",
    "contextMustContain":["$message_id","site"],
    "occurredAtRfc3339Z":true}]}"#;

const IDENTIFY: &str = r#"{"version":1,"cases":[{
    "name":"user","op":"identify",
    "scenario":{"externalUserId":"user_1","traits":{"plan":"pro"},"email":"a@example.com",
        "preferredChannel":"sms",
        "channels":[{"type":"sms","address":"+1555","optedIn":false,"verified":true}]},
    "endpoint":"/v1/identify",
    "expectedBody":{"external_user_id":"user_1","traits":{"plan":"pro"},"preferred_channel":"sms","channels":[
        {"channel":"email","address":"a@example.com","opted_in":true},
        {"channel":"sms","address":"+1555","opted_in":false,"verified":true}]}}]}"#;

const PUSH: &str = r#"{"version":1,"cases":[{"name":"rotation",
    "steps":[{"identify":{"externalUserId":"user_1"}},{"setPushToken":"a"},{"restart":true},{"setPushToken":"b"}],
    "expectedBodies":[{"external_user_id":"user_1"},
        {"external_user_id":"user_1","channels":[{"channel":"push","address":"a","opted_in":true}]},
        {"external_user_id":"user_1","channels":[{"channel":"push","address":"a","opted_in":false},
            {"channel":"push","address":"b","opted_in":true}]}]}],
    "kindCases":[{"name":"kind","steps":[{"setPushToken":{"token":"c","kind":"fcm"}},
        {"identify":{"externalUserId":"user_2"}}],
    "expectedBodies":[{"external_user_id":"user_2","channels":[
        {"channel":"push","address":"c","opted_in":true,"kind":"fcm"}]}]}]}"#;

const ANONYMOUS: &str = r#"{"version":1,"cases":[{"name":"rotation",
    "steps":[{"track":{"eventType":"page_viewed"}},{"reset":true},{"track":{"eventType":"page_left"}},
        {"identify":{"externalUserId":"user_1"}}],
    "expectedRequests":[
        {"endpoint":"/v1/events/batch","events":[
            {"anonymous_id":"$anon_a","event_type":"page_viewed","properties":{}}]},
        {"endpoint":"/v1/events/batch","events":[
            {"anonymous_id":"$anon_b","event_type":"page_left","properties":{}}]},
        {"endpoint":"/v1/identify","body":{"external_user_id":"user_1","anonymous_id":"$anon_b"}}]}]}"#;

const AUTOMATIC: &str = r#"{"version":1,"cases":[{"name":"screen","device":{"osVersion":"12"},
    "config":{"automaticEvents":false},
    "steps":[{"launch":{"appVersion":"1.0","appBuild":"7"}},{"screen":"Home"},{"background":{"afterMs":5}}],
    "expectedEvents":[{"event_type":"screen_viewed","properties":{"screen_name":"Home","app_version":"1.0",
        "app_build":"7","platform":"$platform","os_name":"$platform","os_version":"12",
        "sdk_name":"$sdk_name","sdk_version":"$sdk_version"}}]}]}"#;

const BEHAVIOR: &str = r#"{"version":1,"cases":[{
    "name":"retry","op":"track",
    "scenario":{"externalUserId":"user_1","eventType":"paid","properties":{}},
    "clientOptions":{"maxRetries":1},
    "firstResponse":{"classification":"retry","status":503},
    "recoveryResponse":{"classification":"ok","status":202},
    "expect":{"errorType":"retry_exhausted","retainedAfterFirstFlush":true,"deliveredAfterRecovery":true,
        "retriesAfterRecovery":true,"stableMessageIdOnRetry":true}}]}"#;

type Runner = fn(&str, &[Driver], &mut Report<'_>);

/// The failures of a text, over some drivers.
fn failures(runner: Runner, text: &str, drivers: &[Driver]) -> Vec<String> {
    let mut out = Vec::new();
    let mut report = Report::new(&mut out);
    runner(text, drivers, &mut report);
    assert_eq!(report.is_ok(), report.failures().is_empty(), "nothing ran: {text}");
    report.failures().to_vec()
}

/// Breaks one place of a text that holds; every run of it must fail, for the reason given.
fn must_fail(runner: Runner, base: &str, breaks: &[(&str, &str, &str)]) {
    for (good, bad, reason) in breaks {
        assert_eq!(base.matches(good).count(), 1, "{good} is not one place");

        let failures = failures(runner, &base.replace(good, bad), &[Driver::Core]);

        assert!(!failures.is_empty(), "passes with {bad}");
        for failure in failures {
            assert!(failure.contains(reason), "with {bad}, expected {reason:?}: {failure}");
        }
    }
}

#[test]
fn the_bases_hold_over_every_driver() {
    for (runner, base) in [(run_wire as Runner, TRACK), (run_wire, IDENTIFY), (run_behavior, BEHAVIOR)] {
        assert_eq!(failures(runner, base, &Driver::ALL), [""; 0]);
    }
}

#[test]
fn what_is_not_known_fails() {
    let unknown = "unknown field `surprise`";
    must_fail(
        run_wire,
        TRACK,
        &[
            (r#""version":1,"#, r#""version":1,"surprise":1,"#, unknown),
            (r#""version":1,"#, r#""version":2,"#, "version 2 is not 1"),
            (r#""version":1,"#, "", "missing field `version`"),
            (r#""version":1,"#, r#""version":"1","#, "invalid type"),
            (r#""op":"track","#, r#""op":"track","surprise":1,"#, unknown),
            (r#""op":"track","#, r#""op":"alias","#, "unknown variant `alias`"),
            (r#""op":"track","#, "", "missing field `op`"),
            (r#""op":"track","#, r#""op":"track","op":"track","#, "duplicate field `op`"),
            (r#""name":"event","#, "", "the case has no name"),
            (r#""scenario":{"#, r#""scenario":{"surprise":1,"#, unknown),
            (r#""eventType":"paid","#, "", "missing field `eventType`"),
            (r#""2026-03-14T09:26:53.589793Z""#, r#""yesterday""#, "is not a date"),
            (r#""eventType":"paid""#, r#""eventType":"Paid!""#, "event_type is not snake_case"),
        ],
    );
    must_fail(
        run_wire,
        IDENTIFY,
        &[
            (r#""scenario":{"#, r#""scenario":{"eventType":"paid","#, "unknown field `eventType`"),
            (r#"{"type":"sms","#, r#"{"type":"sms","kind":"fcm","#, "unknown field `kind`"),
            (r#"{"type":"sms","#, r#"{"type":"fax","#, "unknown variant `fax`"),
            (r#""preferredChannel":"sms""#, r#""preferredChannel":"fax""#, "unknown variant `fax`"),
            (r#""verified":true}]},"#, r#""verified":true}]"#, "expected"),
        ],
    );
    must_fail(
        run_behavior,
        BEHAVIOR,
        &[
            (r#""version":1"#, r#""version":0"#, "version 0 is not 1"),
            (r#""op":"track","#, r#""op":"identify","#, "unknown variant `identify`"),
            (r#""op":"track","#, r#""op":"track","surprise":1,"#, unknown),
            (r#""scenario":{"#, r#""scenario":{"surprise":1,"#, unknown),
            (r#"{"maxRetries":1}"#, r#"{"maxRetries":1,"surprise":1}"#, unknown),
            (r#""status":503}"#, r#""status":503,"surprise":1}"#, unknown),
            (r#""status":202}"#, r#""status":202,"surprise":1}"#, unknown),
            (r#""expect":{"#, r#""expect":{"surprise":1,"#, unknown),
            (r#""expect":{"#, r#""steps":[],"expect":{"#, "unknown field `steps`"),
            (r#""classification":"ok""#, r#""classification":"fine""#, "unknown variant `fine`"),
            (r#""retry_exhausted""#, r#""lost""#, "unknown variant `lost`"),
        ],
    );
}

#[test]
fn a_case_that_expects_nothing_fails() {
    let event =
        TRACK.split_once("\"expectedEvent\"").and_then(|(_, rest)| rest.split_once("\"expectedOccurredAt\""));
    let event = format!("\"expectedEvent\"{}", event.unwrap().0);
    must_fail(run_wire, TRACK, &[(&event, "", "expects neither")]);

    for cases in [r#"{"version":1,"cases":[]}"#, r#"{"version":1}"#, "[]", "", "<html>"] {
        assert_eq!(failures(run_wire, cases, &[Driver::Core]).len(), 1, "{cases}");
        assert_eq!(failures(run_behavior, cases, &[Driver::Core]).len(), 1, "{cases}");
    }
    for expectation in [
        r#""errorType":"retry_exhausted","#,
        r#""retainedAfterFirstFlush":true,"#,
        r#""deliveredAfterRecovery":true,"#,
        r#""retriesAfterRecovery":true,"#,
    ] {
        must_fail(run_behavior, BEHAVIOR, &[(expectation, "", "missing field")]);
    }
}

#[test]
fn a_wrong_request_is_told_from_the_right_one() {
    must_fail(
        run_wire,
        TRACK,
        &[
            (r#"/v1/events/batch"#, r#"/v1/events/track"#, r#"endpoint: expected /v1/events/track"#),
            (r#""event_type":"paid""#, r#""event_type":"unpaid""#, r#"event_type: expected"#),
            (
                r#""external_user_id":"user_1","#,
                r#""external_user_id":"user_2","#,
                r#"external_user_id: expected"#,
            ),
            (r#""external_user_id":"user_1","#, r#""#, r#"external_user_id: sent"#),
            (
                r#""event_type":"paid","#,
                r#""event_type":"paid","extra":1,"#,
                r#"extra: expected 1, not sent"#,
            ),
            (r#""items":[1,2]}},"#, r#""items":[2,1]}},"#, r#"properties.items[0]: expected 2, sent 1"#),
            (r#""items":[1,2]}},"#, r#""items":[1,2],"b":0}},"#, r#"properties.b: expected 0, not sent"#),
            (r#""items":[1,2]}},"#, r#""b":0}},"#, r#"properties.b: expected 0, not sent"#),
            (
                r#""amount":1.50,"items":[1,2]}},"#,
                r#""amount":1.5,"items":[1,2]}},"#,
                r#"properties.amount: expected 1.5, sent 1.50"#,
            ),
            (r#""amount":1.50,"items":[1,2]}},"#, r#""amount":1.50}},"#, r#"properties.items: sent [1,2]"#),
            (r#"{"amount":1.50,"items":[1,2]}},"#, r#"{}},"#, r#"properties.amount: sent 1.50"#),
            (r#""items":[1,2]}},"#, r#""items":[1,2]},"context":{}},"#, r#"context.site: sent 1"#),
            (
                r#""items":[1,2]}},"#,
                r#""items":[1,2]},"occurred_at":"2026-03-14T09:26:53.589Z"},"#,
                r#"occurred_at: expected"#,
            ),
            (r#"53.589Z"#, r#"53.590Z"#, r#"occurred_at: expected"#),
            (r#"["$message_id","site"]"#, r#"["$message_id","sites"]"#, r#"context has no "sites""#),
            (r#""occurredAtRfc3339Z":true"#, r#""expectedBody":{}"#, r#"events: sent"#),
        ],
    );
    must_fail(
        run_wire,
        IDENTIFY,
        &[
            (r#""traits":{"plan":"pro"},"preferred_channel""#, r#""preferred_channel""#, "traits: sent"),
            (
                r#""preferred_channel":"sms","#,
                r#""preferred_channel":"push","#,
                "preferred_channel: expected",
            ),
            (r#""opted_in":true"#, r#""opted_in":false"#, "channels[0].opted_in: expected false"),
            (r#","verified":true}]}}"#, r#"}]}}"#, "channels[1].verified: sent true"),
            (r#"{"channel":"email","address":"a@example.com","opted_in":true},"#, "", "channels: expected"),
            (r#""expectedBody":"#, r#""occurredAtRfc3339Z":true,"expectedBody":"#, "no batch of events"),
        ],
    );
}

#[test]
fn wrong_behavior_is_told_from_the_right_one() {
    must_fail(
        run_behavior,
        BEHAVIOR,
        &[
            (r#""errorType":"retry_exhausted""#, r#""errorType":"auth""#, "errorType: expected"),
            (r#""errorType":"retry_exhausted""#, r#""errorType":"dropped""#, "errorType: expected"),
            (
                r#""retainedAfterFirstFlush":true"#,
                r#""retainedAfterFirstFlush":false"#,
                "retainedAfterFirstFlush: expected",
            ),
            (
                r#""deliveredAfterRecovery":true"#,
                r#""deliveredAfterRecovery":false"#,
                "deliveredAfterRecovery: expected",
            ),
            (
                r#""retriesAfterRecovery":true"#,
                r#""retriesAfterRecovery":false"#,
                "retriesAfterRecovery: expected",
            ),
            (
                r#""stableMessageIdOnRetry":true"#,
                r#""stableMessageIdOnRetry":false"#,
                "stableMessageIdOnRetry: expected",
            ),
            (
                r#""classification":"retry""#,
                r#""classification":"auth""#,
                "firstResponse.classification: expected",
            ),
            (
                r#""classification":"ok""#,
                r#""classification":"drop""#,
                "recoveryResponse.classification: expected",
            ),
            (r#""status":503"#, r#""status":401"#, "errorType: expected"),
            (r#""status":503"#, r#""status":400"#, "retainedAfterFirstFlush: expected"),
            (r#""status":503"#, r#""status":202"#, "the application is told: expected"),
            (r#""status":202"#, r#""status":500"#, "deliveredAfterRecovery: expected"),
            (r#""eventType":"paid""#, r#""eventType":"Paid""#, "event_type is not snake_case"),
        ],
    );
}

#[test]
fn a_wrong_expectation_fails_over_every_driver() {
    let track = TRACK.replace(r#""amount":1.50,"items":[1,2]}},"#, r#""amount":1.50,"items":[1,3]}},"#);
    let identify = IDENTIFY.replace(r#""opted_in":true"#, r#""opted_in":false"#);
    let behavior =
        BEHAVIOR.replace(r#""retainedAfterFirstFlush":true"#, r#""retainedAfterFirstFlush":false"#);

    // An event is said in two ways.
    assert_eq!(failures(run_wire, &track, &Driver::ALL).len(), 2 * Driver::ALL.len());
    assert_eq!(failures(run_wire, &identify, &Driver::ALL).len(), Driver::ALL.len());
    assert_eq!(failures(run_behavior, &behavior, &Driver::ALL).len(), Driver::ALL.len());
}

#[test]
fn a_push_case_that_does_not_hold_fails() {
    assert_eq!(failures(run_push, PUSH, &Driver::ALL), [] as [String; 0]);
    must_fail(
        run_push,
        PUSH,
        &[
            (r#""opted_in":false}"#, r#""opted_in":true}"#, "opted_in"),
            (r#"{"restart":true}"#, r#"{"restart":false}"#, "only true is a step"),
            (r#"{"restart":true}"#, r#"{"relaunch":true}"#, "relaunch"),
            (r#""kind":"fcm"}},"#, r#""kind":"sms"}},"#, "kind \"sms\" is unknown"),
            (r#""kind":"fcm"}},"#, r#""kind":"fcm","x":1}},"#, "did not match"),
            (r#""expectedBodies":[{"external_user_id":"user_1"},"#, r#""expectedBodies":["#, "expected"),
            (r#""kind":"fcm"}]"#, r#""kind":"apns"}]"#, "kind"),
        ],
    );
}

#[test]
fn an_anonymous_case_that_does_not_hold_fails() {
    assert_eq!(failures(run_anonymous, ANONYMOUS, &Driver::ALL), [] as [String; 0]);
    must_fail(
        run_anonymous,
        ANONYMOUS,
        &[
            (r#""$anon_b","event_type""#, r#""$anon_a","event_type""#, "anonymous_id"),
            (r#"{"reset":true},"#, "", "are one visitor"),
            (r#""user_1","anonymous_id":"$anon_b""#, r#""user_1""#, "not expected"),
            (r#""event_type":"page_left""#, r#""event_type":"page_kept""#, "event_type"),
            (r#""/v1/identify","body""#, r#""/v1/identify","events""#, "invalid type"),
        ],
    );
}

#[test]
fn an_automatic_case_that_does_not_hold_fails() {
    assert_eq!(failures(run_automatic, AUTOMATIC, &Driver::ALL), [] as [String; 0]);
    must_fail(
        run_automatic,
        AUTOMATIC,
        &[
            (r#""automaticEvents":false"#, r#""automaticEvents":true"#, "expected"),
            (r#""os_version":"12","#, "", "os_version: sent"),
            (r#""app_version":"1.0""#, r#""app_version":"1.1""#, "app_version"),
            (r#"{"screen":"Home"}"#, r#"{"screens":"Home"}"#, "screens"),
            (r#""device":{"osVersion":"12"}"#, r#""device":{"os":"12"}"#, "os"),
        ],
    );
}

#[test]
fn one_unreadable_case_does_not_hide_the_next() {
    let two = TRACK.replace(r#""cases":["#, r#""cases":[{"name":"first","op":"alias"},{},"#);

    let failures = failures(run_wire, &two, &[Driver::Core]);

    assert_eq!(failures.len(), 2);
    assert!(failures.iter().any(|failure| failure.starts_with("wire first: ")), "{failures:?}");
    assert!(failures.iter().any(|failure| failure.starts_with("wire cases[1]: ")), "{failures:?}");
}

#[test]
fn files_are_taken_from_the_folder_of_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let first = folder.path().join("wire.json");
    fs::write(&first, TRACK).unwrap();
    fs::write(folder.path().join("behavior.json"), BEHAVIOR).unwrap();
    fs::write(folder.path().join("push.json"), PUSH).unwrap();
    let mut out = Vec::new();

    let mut report = Report::new(&mut out);
    run(Some(first.as_os_str()), &mut report);

    assert_eq!((report.ok(), report.failures()), (19, &[][..]));
    let printed = String::from_utf8(out).unwrap();
    for line in [
        "wire event over core, explicit user ... ok",
        "wire event over std on file, current user ... ok",
        "behavior retry over std in memory ... ok",
        "push kind over std in memory ... ok",
        "push rotation over embassy ... ok",
        "there is no anonymous.json",
        "conformance: 19 ok, 0 FAILED",
    ] {
        assert!(printed.lines().any(|printed| printed == line), "{line} is not in\n{printed}");
    }
}

#[test]
fn a_path_to_nothing_fails() {
    let folder = tempfile::tempdir().unwrap();
    let mut out = Vec::new();

    let mut report = Report::new(&mut out);
    run(Some(folder.path().join("wire.json").as_os_str()), &mut report);

    assert!(!report.is_ok());
    assert_eq!(report.failures().len(), 1);
}
