use serde_json::json;

use super::*;

const NOW: &str = "2026-05-31T12:00:00.000Z";

#[test]
fn whole_bodies_are_taken() {
    let anonymous = json!({
        "anonymous_id": "a", "event_type": "page_viewed", "occurred_at": NOW,
        "properties": {"free": {"form": [1, null]}}, "context": {"$message_id": "m", "any": 1},
    });
    let full = json!({
        "external_user_id": "user_1", "anonymous_id": "a", "traits": {"any": null},
        "preferred_channel": "sms",
        "channels": [
            {"channel": "email", "address": "a@b.c", "opted_in": true, "verified": false},
            {"channel": "push", "address": "t", "opted_in": false, "kind": "onesignal_sub",
             "platform": "web", "push_env": "sandbox"},
        ],
    });

    assert_eq!(rules().event(&event()).unwrap().message_id, "m1");
    assert_eq!(rules().event(&anonymous).unwrap().event_type, "page_viewed");
    assert_eq!(identify(&json!({"external_user_id": "user_1"})), Ok(()));
    assert_eq!(identify(&full), Ok(()));
}

#[test]
fn each_rule_of_an_event_has_its_reason() {
    let snake_case = |byte: usize| format!("event_type is not snake_case at byte {byte}");
    for (field, value, expected) in [
        ("extra", json!(1), "extra is not a field of the contract".into()),
        ("external_user_id", json!(1), "external_user_id is not a string".into()),
        ("external_user_id", json!(null), "external_user_id is not a string".into()),
        ("external_user_id", json!(""), "external_user_id is empty".into()),
        ("external_user_id", json!(" \t"), "external_user_id is empty".into()),
        ("external_user_id", json!(" u"), "external_user_id is not trimmed".into()),
        ("external_user_id", json!("u\u{a0}"), "external_user_id is not trimmed".into()),
        ("anonymous_id", json!("a"), "anonymous_id stands beside external_user_id".into()),
        ("anonymous_id", json!(null), "anonymous_id stands beside external_user_id".into()),
        ("event_type", json!(["a"]), "event_type is not a string".into()),
        ("event_type", json!(""), snake_case(0)),
        ("event_type", json!("_a"), snake_case(0)),
        ("event_type", json!("a_"), snake_case(2)),
        ("event_type", json!("a__b"), snake_case(2)),
        ("event_type", json!("aB"), snake_case(1)),
        ("event_type", json!("a b"), snake_case(1)),
        ("event_type", json!("a-b"), snake_case(1)),
        ("event_type", json!("a\n"), snake_case(1)),
        ("event_type", json!("é"), snake_case(0)),
        ("occurred_at", json!(1), "occurred_at is not a string".into()),
        (
            "occurred_at",
            json!("2026-05-31T12:00:00Z"),
            "occurred_at is not RFC 3339 in UTC with three fractional digits and Z".into(),
        ),
        ("properties", json!([]), "properties is not an object".into()),
        ("properties", json!(null), "properties is not an object".into()),
        ("context", json!([]), "context is not an object".into()),
        ("context", json!({}), "context.$message_id is missing".into()),
        ("context", json!({"$message_id": ""}), "context.$message_id is empty".into()),
        ("context", json!({"$message_id": 1}), "context.$message_id is not a string".into()),
    ] {
        let mut event = event();
        event[field] = value.clone();

        let refused: Result<_, String> = rules().event(&event).map(|_| ());

        assert_eq!(refused, Err(expected), "{field} {value}");
    }
}

#[test]
fn each_missing_field_of_an_event_has_its_reason() {
    for (field, expected) in [
        ("external_user_id", "external_user_id is missing, and so is anonymous_id"),
        ("event_type", "event_type is missing"),
        ("occurred_at", "occurred_at is missing"),
        ("properties", "properties is missing"),
        ("context", "context is missing"),
    ] {
        let mut event = event();
        event.as_object_mut().unwrap().remove(field);

        let refused = rules().event(&event).map(|_| ());

        assert_eq!(refused, Err(expected.into()), "{field}");
    }
}

#[test]
fn event_types_of_the_rule_are_taken() {
    for name in ["a", "0", "a_b", "a1_2b_c", "0_0"] {
        let mut event = event();
        event["event_type"] = json!(name);

        assert!(rules().event(&event).is_ok(), "{name}");
    }
}

#[test]
fn anonymous_id_has_1_to_128_characters() {
    for (id, taken) in
        [(String::new(), false), ("a".into(), true), ("é".repeat(128), true), ("a".repeat(129), false)]
    {
        let mut event = event();
        event.as_object_mut().unwrap().remove("external_user_id");
        event["anonymous_id"] = json!(id);
        let body = json!({"external_user_id": "user_1", "anonymous_id": id});

        assert_eq!(rules().event(&event).is_ok(), taken, "event {id}");
        assert_eq!(identify(&body).is_ok(), taken, "identify {id}");
    }
}

#[test]
fn occurred_at_lies_inside_the_window() {
    for (at, taken) in [
        ("2026-05-01T11:59:59.999Z", false),
        ("2026-05-01T12:00:00.000Z", true),
        ("2026-05-31T12:05:00.000Z", true),
        ("2026-05-31T12:05:00.001Z", false),
        ("1969-12-31T23:59:59.999Z", false),
    ] {
        let mut event = event();
        event["occurred_at"] = json!(at);
        let open = Rules { window: None, ..rules() };

        assert_eq!(rules().event(&event).is_ok(), taken, "{at}");
        assert!(open.event(&event).is_ok(), "{at} without a window");
    }
}

#[test]
fn a_batch_has_1_to_500_events() {
    for (count, taken) in [(0, false), (1, true), (500, true), (501, false)] {
        let body = json!({"events": vec![event(); count]});

        let checked = rules().batch(&body);

        assert_eq!(checked.is_ok(), taken, "{count}");
        if let Ok(events) = checked {
            assert_eq!(events.len(), count);
        }
    }
}

#[test]
fn each_rule_of_the_envelope_has_its_reason() {
    let mut wrong = event();
    wrong["event_type"] = json!("A");
    for (body, expected) in [
        (json!([]), "the body is not an object"),
        (json!({}), "events is not an array"),
        (json!({"events": {}}), "events is not an array"),
        (json!({"events": [event()], "sent_at": 1}), "sent_at is not a field of the contract"),
        (json!({"events": [1]}), "events[0] is not an object"),
        (json!({"events": []}), "events has 0 events, not 1 to 500"),
        (json!({"events": [event(), wrong]}), "events[1].event_type is not snake_case at byte 0"),
    ] {
        assert_eq!(rules().batch(&body), Err(expected.into()), "{body}");
    }
}

#[test]
fn each_rule_of_an_identify_has_its_reason() {
    for (field, value, expected) in [
        ("email", json!("a@b.c"), "email is not a field of the contract"),
        ("external_user_id", json!(" u"), "external_user_id is not trimmed"),
        ("external_user_id", json!(""), "external_user_id is empty"),
        ("anonymous_id", json!(null), "anonymous_id is not a string"),
        ("traits", json!({}), "traits is empty, not omitted"),
        ("traits", json!([]), "traits is not an object"),
        ("traits", json!(null), "traits is not an object"),
        ("preferred_channel", json!("fax"), "preferred_channel is none of email, sms, push"),
        ("preferred_channel", json!(null), "preferred_channel is not a string"),
        ("channels", json!([]), "channels is empty, not omitted"),
        ("channels", json!({}), "channels is not an array"),
        ("channels", json!(["a"]), "channels[0] is not an object"),
    ] {
        let mut body = json!({"external_user_id": "user_1"});
        body[field] = value.clone();

        assert_eq!(identify(&body), Err(expected.into()), "{field} {value}");
    }
    assert_eq!(identify(&json!({})), Err("external_user_id is missing".into()));
    assert_eq!(identify(&json!({"anonymous_id": "a"})), Err("external_user_id is missing".into()));
}

#[test]
fn each_rule_of_a_channel_has_its_reason() {
    for (channel, field, value, expected) in [
        ("push", "type", json!("push"), "type is not a field of the contract"),
        ("push", "channel", json!("fax"), "channel is none of email, sms, push"),
        ("push", "channel", json!(null), "channel is not a string"),
        ("push", "address", json!(""), "address is empty"),
        ("push", "address", json!("a "), "address is not trimmed"),
        ("push", "opted_in", json!("true"), "opted_in is not a boolean"),
        ("push", "opted_in", json!(null), "opted_in is not a boolean"),
        ("push", "verified", json!(null), "verified is not a boolean"),
        ("push", "kind", json!("gcm"), "kind is none of fcm, apns, expo, onesignal_sub"),
        ("push", "platform", json!("linux"), "platform is none of ios, android, web"),
        ("push", "push_env", json!("test"), "push_env is none of production, sandbox"),
        ("push", "push_env", json!(null), "push_env is not a string"),
        ("email", "kind", json!("fcm"), "kind stands on a channel email, not push"),
        ("sms", "platform", json!("ios"), "platform stands on a channel sms, not push"),
        ("sms", "push_env", json!("sandbox"), "push_env stands on a channel sms, not push"),
    ] {
        let mut item = json!({"channel": channel, "address": "a", "opted_in": true});
        item[field] = value.clone();
        let body = json!({"external_user_id": "user_1", "channels": [item]});

        assert_eq!(identify(&body), Err(format!("channels[0].{expected}")), "{field} {value}");
    }
    for field in ["channel", "address", "opted_in"] {
        let mut item = json!({"channel": "sms", "address": "a", "opted_in": true});
        item.as_object_mut().unwrap().remove(field);
        let body = json!({"external_user_id": "user_1", "channels": [item]});

        assert_eq!(identify(&body), Err(format!("channels[0].{field} is missing")));
    }
}

fn rules() -> Rules {
    Rules { now: UtcMs::parse(NOW).unwrap(), window: Some(Window::default()) }
}

fn event() -> Value {
    json!({
        "external_user_id": "user_1", "event_type": "payment_failed", "occurred_at": NOW,
        "properties": {}, "context": {"$message_id": "m1"},
    })
}
