use serde_json::{Value, json};
use whisperr_collector::Collector;

use crate::client::{BATCH, Client, IDENTIFY, TRACK, batch, event, identify};

#[test]
fn what_arrived_can_be_read() {
    let collector = Collector::start().unwrap();
    let mut client = Client::connect(collector.addr());
    let (first, second) = (event("m1", "a"), event("m2", "b"));
    client.post(BATCH, &batch(core::slice::from_ref(&first)));
    client.post(IDENTIFY, &identify("u"));
    client.post(TRACK, &second);

    for (path, expected) in [
        ("/events", json!([first, second])),
        ("/identifies", json!([identify("u")])),
        ("/operations", json!([{"track": first}, {"identify": identify("u")}, {"track": second}])),
        (
            "/health",
            json!({
                "status": "ok", "events": 2, "identifies": 1, "requests": 3, "duplicates": 0,
                "conflicts": [], "faults": 0,
            }),
        ),
    ] {
        let reply = client.exchange("GET", path);

        assert_eq!((reply.status, reply.json()), (200, expected), "{path}");
    }
}

#[test]
fn requests_are_listed_without_keys() {
    let collector = Collector::start().unwrap();
    let mut client = Client::connect(collector.addr());
    client.post(IDENTIFY, &identify("u"));

    let reply = client.exchange("GET", "/requests");

    let mut requests = reply.json();
    requests[0]["at_ms"] = Value::Null;
    assert_eq!(
        requests,
        json!([{
            "method": "POST",
            "path": IDENTIFY,
            "headers": {
                "authorization": "Bearer wrk_…",
                "x-api-key": null,
                "x-whisperr-sdk": "rust/0.1.0",
                "content-type": "application/json",
                "content-length": "24",
            },
            "body": identify("u"),
            "status": 202,
            "at_ms": null,
            "connection": 1,
            "operations": [{"identify": identify("u")}],
        }])
    );
}

#[test]
fn faults_are_queued_and_cleared() {
    let collector = Collector::start().unwrap();
    let mut client = Client::connect(collector.addr());

    let queued =
        client.post("/faults", &json!({"fault": "status", "code": 503, "retry_after": "3", "times": 1}));
    let faulty = client.post(IDENTIFY, &identify("u"));
    client.post("/faults", &json!({"fault": "status", "code": 500}));
    let cleared = client.exchange("DELETE", "/faults");
    let healthy = client.post(IDENTIFY, &identify("u"));

    assert_eq!(queued.status, 200);
    assert_eq!(faulty.status, 503);
    assert_eq!(cleared.status, 200);
    assert_eq!(healthy.status, 202);
}

#[test]
fn a_wrong_fault_is_refused_with_a_reason() {
    let collector = Collector::start().unwrap();
    let mut client = Client::connect(collector.addr());

    let reply = client.post("/faults", &json!({"fault": "explode"}));
    client.send_with("/faults", &[], b"{");
    let broken = client.reply().unwrap();

    assert_eq!(reply.status, 400);
    assert!(reply.error().starts_with("fault is none of status, delay,"), "{}", reply.error());
    assert_eq!(broken.status, 400);
    assert_eq!(client.exchange("GET", "/health").json()["faults"], 0);
}

#[test]
fn deleting_events_starts_over() {
    let collector = Collector::start().unwrap();
    let mut client = Client::connect(collector.addr());
    let event = event("m1", "a");
    client.post(TRACK, &event);

    let reply = client.exchange("DELETE", "/events");

    assert_eq!(reply.status, 200);
    assert!(collector.operations().is_empty());
    assert!(collector.requests().is_empty());
    client.post(TRACK, &event);
    assert_eq!(collector.events().len(), 1);
    assert_eq!(collector.duplicates(), 0);
}

#[test]
fn other_methods_are_told_the_right_ones() {
    let collector = Collector::start().unwrap();
    let mut client = Client::connect(collector.addr());
    for (method, path, allow) in [
        ("POST", "/events", "get, delete"),
        ("GET", "/faults", "post, delete"),
        ("DELETE", "/requests", "get"),
    ] {
        let reply = client.exchange(method, path);

        assert_eq!(reply.status, 405, "{method} {path}");
        assert!(reply.head.contains(&format!("\r\nallow: {allow}\r\n")), "{}", reply.head);
    }
}
