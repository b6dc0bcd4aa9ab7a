//! Requests and replies over a real TCP connection.

use core::time::Duration;

use whisperr_embassy::{Config, Flush, NoticeKind, props};
use whisperr_embassy_tests::{Act, Answer, Client, Faults, KEY, Lab, head};

const CONFIG: Config = Config { automatic_events: false, ..Config::DEFAULT };

/// Tracks an event with this number and flushes.
fn deliver(lab: &Lab, client: &Client, number: u64) -> Flush {
    lab.run(async {
        client.track("door_opened", number).await;
        client.flush().await
    })
}

/// The numbers of the events the server took, in order.
fn numbers(lab: &Lab) -> Vec<u64> {
    let events = lab.server().operations().into_iter();
    events.filter_map(|event| event.pointer("/properties/number")?.as_u64()).collect()
}

#[test]
fn a_request_says_all_that_the_contract_asks_for() {
    let lab = Lab::new(1);
    let transport = lab.transport(format!("{}/lab/", Lab::base_url()));
    let client = lab.client_over(lab.flash(), CONFIG, transport);

    let flush = lab.run(async {
        let event = whisperr_embassy::Track::new("door_opened").user("u1").properties(props! { "door" => 3 });
        client.handle.track_event(&event).await.unwrap();
        client.flush().await
    });

    assert_eq!(flush, Flush::Delivered);
    let [request] = lab.server().received().try_into().unwrap();
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/lab/v1/events/batch"));
    let length = request.body.len().to_string();
    let expected = [
        ("host", "10.0.0.1:4801"),
        ("authorization", &format!("Bearer {KEY}")),
        ("content-type", "application/json"),
        ("x-whisperr-sdk", concat!("rust/", env!("CARGO_PKG_VERSION"))),
        ("content-length", length.as_str()),
    ];
    let found: Vec<_> = request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(found, expected);
    let event = &request.json()["events"][0];
    assert_eq!((&event["external_user_id"], &event["properties"]["door"]), (&"u1".into(), &3.into()));
    assert_eq!(event["occurred_at"], "2026-05-31T12:00:00.000Z");
}

#[test]
fn a_body_larger_than_every_buffer_arrives_whole() {
    let lab = Lab::new(2);
    let client = lab.client(Config { flush_at: 1000, ..CONFIG });

    let flush = lab.run(async {
        for number in 0..300 {
            client.track("door_opened", number).await;
        }
        client.flush().await
    });

    assert_eq!(flush, Flush::Delivered);
    assert_eq!(numbers(&lab), (0..300).collect::<Vec<_>>());
    assert!(lab.server().received()[0].body.len() > 20_000);
}

#[test]
fn requests_share_a_connection() {
    let lab = Lab::new(3);
    let client = lab.client(CONFIG);

    for number in 0..5 {
        assert_eq!(deliver(&lab, &client, number), Flush::Delivered);
        lab.pass(Duration::from_secs(50));
    }

    assert_eq!((lab.server().connections(), numbers(&lab)), (1, vec![0, 1, 2, 3, 4]));
}

#[test]
fn a_connection_that_was_idle_for_a_minute_is_not_used_again() {
    let lab = Lab::new(4);
    let client = lab.client(CONFIG);

    assert_eq!(deliver(&lab, &client, 0), Flush::Delivered);
    lab.pass(Duration::from_secs(61));
    assert_eq!(deliver(&lab, &client, 1), Flush::Delivered);

    assert_eq!((lab.server().connections(), numbers(&lab)), (2, vec![0, 1]));
}

#[test]
fn a_connection_that_the_server_ended_meanwhile_costs_no_attempt() {
    for (name, end) in [("closed", Act::Close), ("reset", Act::Reset)] {
        for wait_ms in [0, 100, 4_999, 5_000, 5_001, 5_002, 5_003, 5_004, 5_005, 5_006, 5_010] {
            let lab = Lab::new(5);
            let client = lab.client(CONFIG);
            let mut is_first = true;
            let act = end.clone();
            lab.server().script(move |_| {
                let answer = Answer::status(202);
                if core::mem::take(&mut is_first) {
                    answer.then(Act::Wait(wait_ms)).then(act.clone())
                } else {
                    answer
                }
            });

            assert_eq!(deliver(&lab, &client, 0), Flush::Delivered);
            lab.pass(Duration::from_secs(5));
            let before = whisperr_virtual_time::now_us();
            assert_eq!(deliver(&lab, &client, 1), Flush::Delivered, "{name} after {wait_ms}");

            let took_ms = (whisperr_virtual_time::now_us() - before) / 1000;
            assert!(took_ms < 500, "{name} after {wait_ms} ms: took {took_ms} ms, as after a backoff");
            assert_eq!(numbers(&lab), [0, 1], "{name} after {wait_ms}");
            assert_eq!(lab.server().connections(), 2, "{name} after {wait_ms}");
            assert_eq!(client.notices(), []);
        }
    }
}

/// How a connection that was kept, or a new one, ends under a request; and what becomes of what may not be tried again.
pub(crate) fn endings() -> [(&'static str, bool, Answer, Flush); 5] {
    [
        ("kept, closed", true, Answer::silence().then(Act::Close), Flush::Delivered),
        ("kept, reset", true, Answer::silence().then(Act::Reset), Flush::Delivered),
        // Who begins to answer is there: what it does not finish is a failure like any other.
        ("kept, half a reply", true, Answer::raw(b"HTTP/1.1 2", 202).then(Act::Close), Flush::RetryExhausted),
        ("new, closed", false, Answer::silence().then(Act::Close), Flush::RetryExhausted),
        ("new, reset", false, Answer::silence().then(Act::Reset), Flush::RetryExhausted),
    ]
}

#[test]
fn only_a_kept_connection_that_says_nothing_is_no_attempt() {
    for (name, kept, end, expected) in endings() {
        let lab = Lab::new(5);
        let client = lab.client(Config { max_retries: 0, ..CONFIG });
        if kept {
            assert_eq!(deliver(&lab, &client, 0), Flush::Delivered);
        }
        lab.server().answer_once(end);

        assert_eq!(deliver(&lab, &client, 1), expected, "{name}");
    }
}

#[test]
fn an_attempt_that_is_given_up_ends_its_connection_at_once() {
    let lab = Lab::new(5);
    let client = lab.client(CONFIG);
    lab.server().script(|_| Answer::silence().then(Act::Hang));
    lab.run(client.track("door_opened", 0));
    assert_eq!(lab.run(client.handle.flush(Duration::from_secs(1))), Flush::TimedOut);
    assert_eq!(lab.server().open_connections(), 1);

    // Returns at the end of the attempt; nothing is sent after it that would end the connection by the way.
    lab.run(client.handle.pause());
    lab.pass(Duration::from_millis(50));

    assert_eq!(lab.server().open_connections(), 0);
}

#[test]
fn what_a_server_says_unasked_is_not_the_next_reply() {
    for closes in [true, false] {
        let lab = Lab::new(6);
        let client = lab.client(CONFIG);
        let mut is_first = true;
        lab.server().script(move |_| {
            let answer = Answer::status(202);
            if !core::mem::take(&mut is_first) {
                return answer;
            }
            // As some servers and proxies do before they close an idle connection. A 408 drops what it answers.
            let unasked = head(408, "Content-Length: 0\r\n").into_bytes();
            let answer = answer.then(Act::Wait(1000)).then(Act::Send(unasked));
            if closes { answer.then(Act::Close) } else { answer }
        });

        assert_eq!(deliver(&lab, &client, 0), Flush::Delivered);
        lab.pass(Duration::from_secs(5));
        assert_eq!(deliver(&lab, &client, 1), Flush::Delivered);

        assert_eq!((numbers(&lab), lab.server().connections()), (vec![0, 1], 2), "closes: {closes}");
        assert_eq!(lab.run(client.handle.status()).counters.dropped, 0);
    }
}

#[test]
fn more_than_the_reply_ends_the_connection() {
    let lab = Lab::new(7);
    let client = lab.client(CONFIG);
    let twice = format!("{0}{0}", head(202, "Content-Length: 0\r\n"));
    lab.server().script(move |_| Answer::raw(twice.as_bytes(), 202));

    assert_eq!(deliver(&lab, &client, 0), Flush::Delivered);
    assert_eq!(deliver(&lab, &client, 1), Flush::Delivered);

    assert_eq!((lab.server().connections(), numbers(&lab)), (2, vec![0, 1]));
}

#[test]
fn every_form_of_reply_settles_what_was_sent() {
    let counts = r#"{"accepted":0,"rejected":1}"#;
    for (name, reply, kept) in [
        ("length", format!("{}{counts}", head(202, "Content-Length: 27\r\n")), true),
        (
            "chunks",
            format!("{}1b\r\n{counts}\r\n0\r\n\r\n", head(202, "Transfer-Encoding: chunked\r\n")),
            true,
        ),
        ("close", format!("{}{counts}", head(202, "Connection: close\r\n")), false),
        ("interim", format!("{}{}{counts}", head(103, ""), head(202, "Content-Length: 27\r\n")), true),
    ] {
        let lab = Lab::new(8);
        let client = lab.client(CONFIG);
        lab.server().script(move |_| {
            // A packet for every few bytes.
            let pieces = reply.as_bytes().chunks(7).map(|piece| Act::Send(piece.to_vec()));
            let answer = Answer { acts: pieces.collect(), is_processed: true };
            if kept { answer } else { answer.then(Act::Close) }
        });

        assert_eq!(deliver(&lab, &client, 0), Flush::Delivered, "{name}");
        assert_eq!(deliver(&lab, &client, 1), Flush::Delivered, "{name}");

        let counters = lab.run(client.handle.status()).counters;
        assert_eq!((counters.acknowledged, counters.rejected), (2, 2), "{name}");
        assert_eq!(lab.server().connections(), if kept { 1 } else { 2 }, "{name}");
    }
}

#[test]
fn a_body_that_never_ends_does_not_undo_the_acknowledgement() {
    let lab = Lab::new(9);
    let client = lab.client(CONFIG);
    lab.server().script(|_| {
        let answer = Answer::raw(head(202, "").as_bytes(), 202);
        (0..600).fold(answer, |answer, _| answer.then(Act::Wait(50)).then(Act::Send(b" ".to_vec())))
    });

    let before = whisperr_virtual_time::now_us();
    assert_eq!(deliver(&lab, &client, 0), Flush::Delivered);

    let took_ms = (whisperr_virtual_time::now_us() - before) / 1000;
    assert!((2000..2100).contains(&took_ms), "{took_ms}");
    assert_eq!(lab.run(client.handle.status()).counters.acknowledged, 1);
}

#[test]
fn an_attempt_without_a_reply_ends_in_its_time_and_frees_the_only_socket() {
    for silence in [Answer::silence().then(Act::Hang), Answer::raw(b"HTTP/1.1 202 Acc", 202).then(Act::Hang)]
    {
        let lab = Lab::new(10);
        let client = lab.client(CONFIG);
        let mut is_first = true;
        lab.server().script(move |_| {
            if core::mem::take(&mut is_first) { silence.clone() } else { Answer::status(202) }
        });

        assert_eq!(deliver(&lab, &client, 0), Flush::Delivered);

        let [first, second] = lab.server().received().try_into().unwrap();
        let apart_ms = (second.at_us - first.at_us) / 1000;
        assert!((30_000..31_100).contains(&apart_ms), "{apart_ms}");
        assert_eq!(first.body, second.body);
        assert_eq!(numbers(&lab), [0]);
    }
}

#[test]
fn a_retry_after_in_either_form_is_waited_for() {
    for (value, least_ms) in
        [("20", 20_000), ("Sun, 31 May 2026 12:00:45 GMT", 44_000), ("soon", 0), ("-1", 0)]
    {
        let lab = Lab::new(11);
        let client = lab.client(CONFIG);
        let mut is_first = true;
        lab.server().script(move |_| {
            let headers = format!(
                "Date: Sun, 31 May 2026 12:00:00 GMT\r\nRetry-After: {value}\r\nContent-Length: 0\r\n"
            );
            if core::mem::take(&mut is_first) {
                Answer::raw(head(503, &headers).as_bytes(), 503)
            } else {
                Answer::status(202)
            }
        });

        lab.run(client.track("door_opened", 0));
        let flush = lab.run(client.handle.flush(Duration::from_secs(200)));

        let [first, second] = lab.server().received().try_into().unwrap();
        let apart_ms = (second.at_us - first.at_us) / 1000;
        assert_eq!(flush, Flush::Delivered);
        assert!(apart_ms >= least_ms && apart_ms < least_ms + 20_000, "{value}: {apart_ms}");
    }
}

#[test]
fn a_refusal_before_the_whole_request_is_read_counts() {
    let lab = Lab::new(12);
    let client = lab.client(Config { flush_at: 1000, ..CONFIG });
    // It reads no more than the head, says what it thinks, and waits for the client to go away.
    lab.server().answer_early(|bytes| {
        let head_ends = bytes.windows(4).any(|window| window == b"\r\n\r\n");
        let text = String::from_utf8_lossy(bytes);
        let length = text.split("Content-Length: ").nth(1)?.split('\r').next()?.parse::<usize>().ok()?;
        (head_ends && length > 5000).then(|| {
            Answer::raw(head(413, "Content-Length: 0\r\n").as_bytes(), 413)
                .then(Act::Wait(120_000))
                .then(Act::Reset)
        })
    });

    let flush = lab.run(async {
        for number in 0..100 {
            client.track("door_opened", number).await;
        }
        client.flush().await
    });

    // The core halves the batch until it is small enough; a time-out each would have taken minutes.
    assert_eq!(flush, Flush::Delivered);
    assert_eq!(numbers(&lab), (0..100).collect::<Vec<_>>());
}

#[test]
fn an_acknowledgement_of_half_a_request_is_none() {
    let lab = Lab::new(13);
    let client = lab.client(Config { flush_at: 1000, ..CONFIG });
    let mut is_first = true;
    lab.server().answer_early(move |_| {
        core::mem::take(&mut is_first).then(|| {
            Answer::raw(head(202, "Content-Length: 0\r\n").as_bytes(), 202)
                .then(Act::Wait(120_000))
                .then(Act::Reset)
        })
    });

    let flush = lab.run(async {
        for number in 0..100 {
            client.track("door_opened", number).await;
        }
        client.flush().await
    });

    assert_eq!(flush, Flush::Delivered);
    assert_eq!(numbers(&lab), (0..100).collect::<Vec<_>>());
    assert_eq!(lab.run(client.handle.status()).counters.acknowledged, 100);
}

#[test]
fn what_is_no_reply_is_tried_again_and_loses_nothing() {
    let garbage: [&[u8]; 6] = [
        b"\0\xff\xfe\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 200",
        b"",
        b"HTTP/1.1 302 Found\r\nLocation: http://portal/\r\nContent-Length: 0\r\n\r\n",
    ];
    for bytes in garbage {
        let lab = Lab::new(14);
        let client = lab.client(CONFIG);
        let mut left = 2;
        lab.server().script(move |_| {
            if left == 0 {
                return Answer::status(202);
            }
            left -= 1;
            let answer = Answer { acts: Vec::new(), is_processed: false };
            if bytes.is_empty() {
                answer.then(Act::Close)
            } else {
                answer.then(Act::Send(bytes.to_vec())).then(Act::Close)
            }
        });

        assert_eq!(deliver(&lab, &client, 0), Flush::Delivered, "{bytes:?}");

        assert_eq!((numbers(&lab), lab.server().received().len()), (vec![0], 3), "{bytes:?}");
    }
}

#[test]
fn statuses_reach_the_core() {
    for (status, flush, kind) in [
        (401, Flush::AuthRefused, Some(NoticeKind::Auth)),
        (404, Flush::Delivered, Some(NoticeKind::Dropped)),
        (200, Flush::Delivered, None),
        (500, Flush::TimedOut, None),
    ] {
        let lab = Lab::new(15);
        let client = lab.client(CONFIG);
        lab.server().script(move |_| Answer::status(status));

        let ended = lab.run(async {
            client.track("door_opened", 0).await;
            client.handle.flush(Duration::from_secs(2)).await
        });

        assert_eq!(ended, flush, "{status}");
        assert_eq!(client.notices().first().map(|notice| notice.kind()), kind, "{status}");
    }
}

#[test]
fn a_server_that_is_not_there_is_tried_again_until_it_is() {
    let lab = Lab::new(16);
    let client = lab.client_over(lab.flash(), CONFIG, lab.transport("http://10.0.0.1:9".into()));
    let refused = lab.run(async {
        client.track("door_opened", 0).await;
        client.flush().await
    });
    assert_eq!(refused, Flush::RetryExhausted);

    let lab = Lab::new(16);
    lab.wire().set(Faults { cut: true, ..Faults::NONE });
    let client = lab.client(CONFIG);
    assert_eq!(deliver(&lab, &client, 0), Flush::TimedOut);
    lab.pass(Duration::from_secs(3600));
    lab.wire().set(Faults::NONE);
    lab.pass(Duration::from_secs(400));
    assert_eq!(numbers(&lab), [0]);
}
