use serde_json::json;
use whisperr_collector::{Collector, Operation, SeenBody, UtcMs, Window};

use crate::client::{BATCH, CONTRACT_HEADERS, Client, IDENTIFY, TRACK, batch, event, head, identify};

#[test]
fn operations_are_kept_in_order_of_acceptance() {
    let collector = Collector::start().unwrap();
    let mut client = Client::connect(collector.addr());
    let (first, second, third) = (event("m1", "a"), event("m2", "b"), event("m3", "c"));

    let replies = [
        client.post(BATCH, &batch(&[first.clone(), second.clone()])),
        client.post(IDENTIFY, &identify("user_1")),
        client.post(TRACK, &third),
    ];

    assert_eq!(
        replies.map(|reply| (reply.status, reply.json())),
        [
            (202, json!({"accepted": 2, "rejected": 0})),
            (202, json!({"accepted": 1, "rejected": 0})),
            (202, json!({"accepted": 1, "rejected": 0})),
        ]
    );
    assert_eq!(collector.events(), [first.clone(), second.clone(), third.clone()]);
    assert_eq!(collector.identifies(), [identify("user_1")]);
    assert_eq!(
        collector.operations(),
        [
            Operation::Track(first),
            Operation::Track(second),
            Operation::Identify(identify("user_1")),
            Operation::Track(third),
        ]
    );
}

#[test]
fn one_bad_event_fails_the_whole_batch() {
    let collector = Collector::start().unwrap();
    let mut client = Client::connect(collector.addr());

    let reply = client.post(BATCH, &batch(&[event("m1", "a"), event("m2", "B")]));

    assert_eq!(reply.status, 400);
    assert_eq!(reply.error(), "events[1].event_type is not snake_case at byte 0");
    assert!(collector.operations().is_empty());
}

#[test]
fn a_batch_of_500_is_taken_and_501_refused() {
    let collector = Collector::start().unwrap();
    let mut client = Client::connect(collector.addr());
    let events: Vec<_> = (0..501).map(|n| event(&format!("m{n}"), "a")).collect();

    let refused = client.post(BATCH, &batch(&events));
    let taken = client.post(BATCH, &batch(&events[..500]));

    assert_eq!(refused.status, 400);
    assert_eq!(taken.json(), json!({"accepted": 500, "rejected": 0}));
    assert_eq!(collector.events().len(), 500);
}

#[test]
fn a_known_message_id_is_accepted_and_stored_once() {
    let collector = Collector::start().unwrap();
    let mut client = Client::connect(collector.addr());
    let (first, second) = (event("m1", "a"), event("m2", "a"));

    let within = client.post(BATCH, &batch(&[first.clone(), first.clone()]));
    let later = client.post(BATCH, &batch(&[first.clone(), second.clone()]));

    assert_eq!(within.json()["accepted"], 2);
    assert_eq!(later.json()["accepted"], 2);
    assert_eq!(collector.events(), [first, second.clone()]);
    assert_eq!(collector.duplicates(), 2);
    assert!(collector.conflicts().is_empty());
    assert_eq!(collector.requests()[1].operations, [Operation::Track(second)]);
}

#[test]
fn a_message_id_with_other_content_is_a_conflict() {
    let collector = Collector::start().unwrap();
    let mut client = Client::connect(collector.addr());
    let mut changed = event("m1", "b");
    changed["properties"] = json!({"a": 1});
    changed["occurred_at"] = event("m1", "a")["occurred_at"].clone();
    let mut first = event("m1", "a");
    first["occurred_at"] = changed["occurred_at"].clone();

    client.post(TRACK, &first);
    let reply = client.post(TRACK, &changed);

    assert_eq!(reply.status, 202);
    assert_eq!(collector.events(), [first]);
    assert_eq!(collector.conflicts(), ["message id m1 came again with another event_type, properties"]);
}

#[test]
fn a_key_is_needed_in_one_of_two_headers() {
    let open = Collector::start().unwrap();
    let keyed = Collector::builder().api_key("wrk_own").start().unwrap();
    for (header, by_open, by_keyed) in [
        ("Authorization: Bearer wrk_own", 202, 202),
        ("X-API-Key: wrk_own", 202, 202),
        ("Authorization: Bearer wrk_other", 202, 401),
        ("X-API-Key: wrk_other", 202, 401),
        ("X-API-Key:", 401, 401),
        ("Authorization: wrk_own", 401, 401),
        ("X-None: 1", 401, 401),
    ] {
        for (collector, expected) in [(&open, by_open), (&keyed, by_keyed)] {
            let mut client = Client::connect(collector.addr());
            let headers = [header, "Content-Type: application/json"];
            client.send_with(IDENTIFY, &headers, identify("u").to_string().as_bytes());

            assert_eq!(client.reply().unwrap().status, expected, "{header}");
        }
    }
}

#[test]
fn the_request_itself_has_rules() {
    let collector = Collector::start().unwrap();
    let key = "X-API-Key: k";
    let json = "Content-Type: application/json";
    let valid = identify("u").to_string();
    for (headers, body, status, reason) in [
        (vec![key, json], valid.as_str(), 202, ""),
        (vec![key, "Content-Type: application/json; charset=utf-8"], &valid, 202, ""),
        (vec![key], &valid, 415, "content-type is not application/json"),
        (vec![key, "Content-Type: text/plain"], &valid, 415, "content-type is not application/json"),
        (vec![key, json, "X-Whisperr-Sdk: rust"], &valid, 400, "x-whisperr-sdk is not <name>/<version>"),
        (vec![key, json], "", 400, "the body is not JSON: "),
        (vec![key, json], "{", 400, "the body is not JSON: "),
        (
            vec![key, json],
            r#"{"external_user_id":"u","external_user_id":"u"}"#,
            400,
            "the body is not JSON: external_user_id is given twice",
        ),
        (vec![key, json], "[]", 400, "the body is not an object"),
    ] {
        let mut client = Client::connect(collector.addr());
        client.send_with(IDENTIFY, &headers, body.as_bytes());
        let reply = client.reply().unwrap();

        assert_eq!(reply.status, status, "{headers:?} {body}");
        if status != 202 {
            assert!(reply.error().starts_with(reason), "{}", reply.error());
        }
    }
}

#[test]
fn methods_and_paths_outside_of_the_contract_are_refused() {
    let collector = Collector::start().unwrap();
    let mut client = Client::connect(collector.addr());
    for (method, path, expected) in [
        ("GET", BATCH, 405),
        ("PUT", TRACK, 405),
        ("DELETE", IDENTIFY, 405),
        ("POST", "/v1/identify/", 404),
        ("POST", "/v1/events", 404),
        ("GET", "/", 404),
        ("POST", "/prefix/v1/identify", 404),
    ] {
        let reply = client.exchange(method, path);

        assert_eq!(reply.status, expected, "{method} {path}");
        assert_eq!(reply.head.contains("\r\nallow: post\r\n"), expected == 405, "{}", reply.head);
    }
    assert_eq!(collector.requests().len(), 7);
    assert_eq!(collector.requests()[6].path, "/prefix/v1/identify");
}

#[test]
fn the_body_limit_holds_for_both_framings() {
    let body = identify("user_1").to_string();
    let collector = Collector::builder().body_limit(body.len()).start().unwrap();
    for (body, expected) in [(body.clone(), 202), (format!("{body} "), 413)] {
        let mut client = Client::connect(collector.addr());
        client.send_with(IDENTIFY, &CONTRACT_HEADERS, body.as_bytes());
        assert_eq!(client.reply().unwrap().status, expected, "sized");

        let mut client = Client::connect(collector.addr());
        send_chunked(&mut client, body.as_bytes());
        assert_eq!(client.reply().unwrap().status, expected, "chunked");
    }
    let bodies: Vec<_> = collector.requests().into_iter().map(|seen| seen.body).collect();
    assert_eq!(bodies[2..], [SeenBody::TooLarge, SeenBody::TooLarge]);
    assert_eq!(collector.requests()[0].headers.content_length.as_deref(), Some("29"));
    assert_eq!(collector.requests()[1].headers.content_length, None);
}

#[test]
fn a_refused_large_body_is_read_to_its_end() {
    let collector = Collector::builder().body_limit(10).start().unwrap();
    let mut client = Client::connect(collector.addr());

    // Far more than the buffers of a socket: the reply is seen only if the server reads on.
    client.send_with(BATCH, &CONTRACT_HEADERS, &vec![b' '; 16 * 1024 * 1024]);
    let reply = client.reply().unwrap();
    let next = client.post(BATCH, &json!({}));

    assert_eq!(reply.status, 413);
    assert_eq!(reply.error(), "the body exceeds the limit of 10 bytes");
    assert_eq!(next.status, 400);
}

#[test]
fn the_injected_clock_rules_window_and_date() {
    let collector =
        Collector::builder().clock(|| UtcMs::parse("1994-11-06T08:49:37.000Z").unwrap()).start().unwrap();
    let mut client = Client::connect(collector.addr());
    let mut then = event("m1", "a");
    then["occurred_at"] = json!("1994-11-06T08:54:37.000Z");

    let taken = client.post(TRACK, &then);
    let refused = client.post(TRACK, &event("m2", "a"));

    assert_eq!(taken.status, 202);
    assert!(taken.head.contains("\r\ndate: sun, 06 nov 1994 08:49:37 gmt\r\n"), "{}", taken.head);
    assert_eq!(refused.error(), "occurred_at is more than 300 s in the future");
}

#[test]
fn the_window_is_a_setting() {
    let mut old = event("m1", "a");
    old["occurred_at"] = json!("1994-11-06T08:54:37.000Z");
    for (window, expected) in [(Some(Window::default()), 400), (None, 202)] {
        let collector = Collector::builder().window(window).start().unwrap();
        let mut client = Client::connect(collector.addr());

        assert_eq!(client.post(TRACK, &old).status, expected, "{window:?}");
    }
}

#[test]
fn requests_are_seen_with_their_connection() {
    let collector = Collector::start().unwrap();
    let mut first = Client::connect(collector.addr());
    let mut second = Client::connect(collector.addr());

    first.post(IDENTIFY, &identify("a"));
    first.post(IDENTIFY, &identify("b"));
    second.post(IDENTIFY, &identify("c"));
    first.post(IDENTIFY, &identify(" d"));

    let requests = collector.requests();
    let connections: Vec<_> = requests.iter().map(|seen| seen.connection).collect();
    let statuses: Vec<_> = requests.iter().map(|seen| seen.status).collect();
    assert_eq!(connections, [1, 1, 2, 1]);
    assert_eq!(statuses, [202, 202, 202, 400].map(Some));
    assert!(requests.is_sorted_by_key(|seen| seen.at_ms));
    assert_eq!(requests[3].method, "POST");
    assert_eq!(requests[3].path, IDENTIFY);
    assert_eq!(requests[3].body, SeenBody::Json(identify(" d")));
    let headers = &requests[3].headers;
    assert_eq!(headers.authorization.as_deref(), Some("Bearer wrk_test"));
    assert_eq!(headers.x_api_key, None);
    assert_eq!(headers.x_whisperr_sdk.as_deref(), Some("rust/0.1.0"));
    assert_eq!(headers.content_type.as_deref(), Some("application/json"));
}

fn send_chunked(client: &mut Client, body: &[u8]) {
    let headers: Vec<_> = CONTRACT_HEADERS.into_iter().chain(["Transfer-Encoding: chunked"]).collect();
    client.write(&head("POST", IDENTIFY, &headers));
    for chunk in body.chunks(7) {
        client.write(&format!("{:x}\r\n", chunk.len()));
        client.write_bytes(chunk);
        client.write("\r\n");
    }
    client.write("0\r\n\r\n");
}
