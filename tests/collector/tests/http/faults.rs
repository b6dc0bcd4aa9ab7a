use serde_json::json;
use whisperr_collector::{Collector, Endpoint, Fault};

use crate::client::{BATCH, Client, IDENTIFY, PATIENCE, TRACK, batch, event, identify};

#[test]
fn a_status_is_replied_so_many_times() {
    let collector = Collector::start().unwrap();
    collector.fault(Fault::status(503).retry_after("3").times(2));
    let mut client = Client::connect(collector.addr());

    let replies = [(); 3].map(|()| client.post(IDENTIFY, &identify("u")));

    assert_eq!(replies.each_ref().map(|reply| reply.status), [503, 503, 202]);
    assert_eq!(replies.map(|reply| reply.head.contains("\r\nretry-after: 3\r\n")), [true, true, false]);
    assert_eq!(collector.operations().len(), 1);
}

#[test]
fn a_status_may_bring_its_own_body() {
    let collector = Collector::start().unwrap();
    collector.fault(Fault::status(429).body("slow down"));
    let mut client = Client::connect(collector.addr());

    assert_eq!(client.post(IDENTIFY, &identify("u")).body, "slow down");
}

#[test]
fn faults_follow_each_other_and_keep_to_their_endpoint() {
    let collector = Collector::start().unwrap();
    collector.fault(Fault::status(500).once().at(Endpoint::Identify));
    collector.fault(Fault::status(502).once());
    let mut client = Client::connect(collector.addr());

    let statuses = [TRACK, TRACK, IDENTIFY, IDENTIFY].map(|path| {
        let body = if path == TRACK { event("m", "a") } else { identify("u") };
        client.post(path, &body).status
    });

    assert_eq!(statuses, [502, 202, 500, 202]);
}

#[test]
fn a_fault_without_end_lasts_until_it_is_cleared() {
    let collector = Collector::start().unwrap();
    collector.fault(Fault::status(500));
    let mut client = Client::connect(collector.addr());

    let before = [(); 3].map(|()| client.post(IDENTIFY, &identify("u")).status);
    collector.clear_faults();
    let after = client.post(IDENTIFY, &identify("u")).status;

    assert_eq!(before, [500; 3]);
    assert_eq!(after, 202);
}

#[test]
fn unknown_paths_spend_no_fault() {
    let collector = Collector::start().unwrap();
    collector.fault(Fault::status(500).once());
    let mut client = Client::connect(collector.addr());

    assert_eq!(client.exchange("POST", "/v2/identify").status, 404);
    assert_eq!(client.exchange("GET", "/health").status, 200);
    assert_eq!(client.post(IDENTIFY, &identify("u")).status, 500);
}

#[test]
fn a_delayed_request_is_processed_late() {
    let collector = Collector::start().unwrap();
    collector.fault(Fault::delay_ms(100).once());
    let mut client = Client::connect(collector.addr());

    let start = std::time::Instant::now();
    let reply = client.post(IDENTIFY, &identify("u"));

    assert_eq!(reply.status, 202);
    assert!(start.elapsed().as_millis() >= 100);
    assert_eq!(collector.requests()[0].status, Some(202));
    assert_eq!(collector.requests()[0].operations.len(), 1);
}

#[test]
fn a_delayed_request_is_seen_at_once() {
    let collector = Collector::start().unwrap();
    collector.fault(Fault::Delay { ms: 3_600_000 }.once());
    let mut client = Client::connect(collector.addr());

    client.send(IDENTIFY, &identify("u"));

    assert!(collector.wait_for(PATIENCE, |view| view.requests == 1));
    assert_eq!(collector.requests()[0].status, None);
    assert!(client.is_silent());
}

#[test]
fn a_hanging_request_keeps_its_connection() {
    let collector = Collector::start().unwrap();
    collector.fault(Fault::Hang.once());
    let mut client = Client::connect(collector.addr());

    client.send(IDENTIFY, &identify("u"));

    assert!(collector.wait_for(PATIENCE, |view| view.requests == 1));
    assert!(client.is_silent());
    assert_eq!(collector.requests()[0].status, None);
    assert!(collector.operations().is_empty());
    let mut other = Client::connect(collector.addr());
    assert_eq!(other.post(IDENTIFY, &identify("u")).status, 202);
}

#[test]
fn a_closed_request_is_not_processed() {
    let collector = Collector::start().unwrap();
    collector.fault(Fault::Close.once());
    let mut client = Client::connect(collector.addr());

    client.send(IDENTIFY, &identify("u"));

    assert!(client.reply().is_none());
    assert!(collector.operations().is_empty());
    assert_eq!(collector.requests()[0].status, None);
}

#[test]
fn a_lost_reply_leaves_what_was_accepted() {
    let collector = Collector::start().unwrap();
    collector.fault(Fault::LoseReply.once());
    let body = batch(&[event("m1", "a")]);
    let mut client = Client::connect(collector.addr());

    client.send(BATCH, &body);
    let lost = client.reply();
    let retried = Client::connect(collector.addr()).post(BATCH, &body);

    assert!(lost.is_none());
    assert_eq!(retried.json()["accepted"], 1);
    assert_eq!(collector.events().len(), 1);
    assert_eq!(collector.duplicates(), 1);
    let requests = collector.requests();
    assert_eq!((requests[0].status, requests[0].operations.len()), (None, 1));
    assert_eq!((requests[1].status, requests[1].operations.len()), (Some(202), 0));
}

#[test]
fn a_standing_body_limit_is_spent_by_what_it_refuses() {
    let body = identify("u");
    let fits = body.to_string().len();
    let collector = Collector::start().unwrap();
    collector.fault(Fault::BodyLimit { bytes: fits }.once());
    collector.fault(Fault::status(500).once());
    let mut client = Client::connect(collector.addr());

    let replies = [
        client.post(IDENTIFY, &identify("u")),
        client.post(IDENTIFY, &identify("u")),
        client.post(IDENTIFY, &identify("u2")),
        client.post(IDENTIFY, &identify("u2")),
    ];

    assert_eq!(replies.each_ref().map(|reply| reply.status), [500, 202, 413, 202]);
    assert_eq!(replies[2].error(), format!("the body exceeds the limit of {fits} bytes"));
}

#[test]
fn a_rejected_event_type_fails_its_whole_request() {
    let collector = Collector::start().unwrap();
    collector.fault(Fault::reject_event_type("bad"));
    collector.fault(Fault::RejectEventType { event_type: "worse".into(), code: 422 });
    let mut client = Client::connect(collector.addr());

    let statuses = [
        batch(&[event("m1", "good"), event("m2", "bad")]),
        batch(&[event("m1", "good")]),
        batch(&[event("m3", "worse")]),
        batch(&[event("m2", "bad")]),
    ]
    .map(|body| client.post(BATCH, &body).status);

    assert_eq!(statuses, [400, 202, 422, 400]);
    assert_eq!(client.post(TRACK, &event("m4", "bad")).status, 400);
    assert_eq!(collector.events().len(), 1);
}

#[test]
fn rejected_events_are_counted_and_not_stored() {
    let collector = Collector::start().unwrap();
    let fault = Fault::CountRejected { event_type: "bad".into() };
    collector.fault(fault.once());
    let mut client = Client::connect(collector.addr());

    let without = client.post(BATCH, &batch(&[event("m0", "good")]));
    let with = client.post(BATCH, &batch(&[event("m1", "bad"), event("m2", "good"), event("m3", "bad")]));
    let after = client.post(BATCH, &batch(&[event("m1", "bad")]));

    assert_eq!(without.json(), json!({"accepted": 1, "rejected": 0}));
    assert_eq!(with.status, 202);
    assert_eq!(with.json(), json!({"accepted": 1, "rejected": 2}));
    assert_eq!(after.json(), json!({"accepted": 1, "rejected": 0}));
    assert_eq!(collector.events().len(), 3);
    assert_eq!(collector.duplicates(), 0);
}

#[test]
fn an_endless_body_drips_on() {
    let collector = Collector::start().unwrap();
    collector.fault(Fault::Endless.once());
    let mut client = Client::connect(collector.addr());

    client.send(IDENTIFY, &identify("u"));
    let head = client.head().unwrap();

    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(head.contains("transfer-encoding: chunked"), "{head}");
    for _ in 0..3 {
        assert!(client.read_more().unwrap() > 0);
    }
    assert_eq!(collector.operations().len(), 1);
}

#[test]
fn a_portal_answers_with_a_page() {
    let collector = Collector::start().unwrap();
    collector.fault(Fault::Html.once());
    let mut client = Client::connect(collector.addr());

    let reply = client.post(IDENTIFY, &identify("u"));

    assert_eq!(reply.status, 200);
    assert!(reply.head.contains("content-type: text/html"));
    assert!(reply.body.starts_with("<!doctype html>"));
    assert!(collector.operations().is_empty());
}

#[test]
fn a_redirect_names_its_target() {
    let collector = Collector::start().unwrap();
    let fault = Fault::Redirect { to: "http://localhost:1/v1/identify".into() };
    collector.fault(fault.once());
    let mut client = Client::connect(collector.addr());

    let reply = client.post(IDENTIFY, &identify("u"));

    assert_eq!(reply.status, 302);
    assert!(reply.head.contains("\r\nlocation: http://localhost:1/v1/identify\r\n"));
    assert!(collector.operations().is_empty());
}
