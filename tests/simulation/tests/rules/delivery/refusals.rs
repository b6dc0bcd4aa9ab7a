//! What a server refuses for good: the key, an event, a whole request.

use serde_json::Value;
use whisperr_core::{FlushProgress, Notice, Stop, Waiting};
use whisperr_simulation::{World, reply};

use super::{gaps, numbers, track, world};

#[test]
fn an_auth_reply_keeps_everything_for_a_later_flush() {
    for status in [401, 403] {
        let mut world = world();
        world.network().script(move |_, _| reply(status));
        track(&mut world, 3);

        assert_eq!(world.flush(), FlushProgress::Stopped(Stop::Auth));
        assert_eq!(world.notices(), [Notice::Auth { status }]);
        assert_eq!(world.status().waiting, Waiting::AuthRefused);
        world.network().script(|_, _| reply(202));
        assert_eq!(world.flush(), FlushProgress::Delivered);

        assert_eq!(numbers(&world), [0, 1, 2]);
    }
}

#[test]
fn a_refused_key_is_probed_at_most_once_per_max_retry_delay() {
    let mut world = world();
    world.network().script(|_, _| reply(401));
    track(&mut world, 20);

    world.advance(3_600_000);

    let gaps = gaps(&world);
    assert!(gaps.len() >= 8, "{gaps:?}");
    assert!(gaps.iter().all(|gap| *gap >= 300_000), "{gaps:?}");
}

/// A key was replaced: whether by a better one, the next request tells.
#[test]
fn a_replaced_key_is_tried_at_once() {
    let mut world = world();
    world.network().script(|_, _| reply(401));
    track(&mut world, 20);
    world.advance(1_000);
    assert_eq!(world.status().waiting, Waiting::AuthRefused);

    world.with(|client| client.retry_auth());
    world.ring(true);
    world.advance(1_000);
    assert_eq!((world.network().exchanges().len(), world.status().waiting), (2, Waiting::AuthRefused));
    world.network().script(|_, _| reply(202));
    world.with(|client| client.retry_auth());
    world.ring(true);
    world.advance(1_000);

    assert_eq!((world.status().owed, numbers(&world).len()), (0, 20));
}

fn refuse(world: &World, bad: &'static [u64], status: u16) {
    world.network().script(move |_, body| {
        let body: Value = serde_json::from_slice(body).unwrap();
        let events = body["events"].as_array().unwrap();
        let found = events.iter().any(|e| bad.contains(&e["properties"]["n"].as_u64().unwrap()));
        reply(if found { status } else { 202 })
    });
}

#[test]
fn one_bad_event_of_a_hundred_is_dropped_alone_wherever_it_stands() {
    for bad in [&[0][..], &[1], &[49], &[50], &[98], &[99], &[0, 99], &[10, 11, 12]] {
        for status in [400, 413, 422] {
            let mut world = world();
            world.with(|client| client.pause());
            track(&mut world, 100);
            world.with(|client| client.resume());
            refuse(&world, Vec::leak(bad.to_vec()), status);

            assert_eq!(world.flush(), FlushProgress::Delivered);

            let expected: Vec<u64> = (0..100).filter(|n| !bad.contains(n)).collect();
            assert_eq!(numbers(&world), expected, "{bad:?} {status}");
            let dropped: u32 = world
                .notices()
                .iter()
                .map(|notice| match notice {
                    Notice::Dropped { count, .. } => *count,
                    _ => 0,
                })
                .sum();
            assert_eq!(dropped as usize, bad.len());
            let seconds = world.network().exchanges().last().unwrap().at.as_millis() / 1000;
            assert!(seconds < 10 * bad.len() as u64, "isolation took {seconds} s");
        }
    }
}

#[test]
fn a_server_that_refuses_everything_is_not_hammered() {
    let mut world = world();
    world.network().script(|_, _| reply(400));
    world.with(|client| client.pause());
    track(&mut world, 500);
    world.with(|client| client.resume());

    world.advance(3_600_000);

    let attempts = world.network().exchanges().len();
    assert!(attempts < 60, "{attempts} requests in an hour");
}

#[test]
fn a_body_limit_is_found_and_kept_near() {
    let mut world = world();
    world.network().script(|_, body| reply(if body.len() > 20_000 { 413 } else { 202 }));
    world.with(|client| client.pause());
    track(&mut world, 500);
    world.with(|client| client.resume());

    assert_eq!(world.flush(), FlushProgress::Delivered);

    assert_eq!(numbers(&world), (0..500).collect::<Vec<_>>());
    let exchanges = world.network().exchanges();
    let refused = exchanges.iter().filter(|exchange| exchange.status == Some(413)).count();
    assert!(refused <= 6, "{refused} of {} refused", exchanges.len());
}

#[test]
fn after_a_refusal_the_next_event_waits_for_company_again() {
    let mut world = world();
    world.network().script(|_, _| reply(400));
    track(&mut world, 1);
    world.flush();
    world.network().script(|_, _| reply(202));
    world.advance(600_000);

    track(&mut world, 1);
    world.advance(11_000);
    assert_eq!(numbers(&world), [0_u64; 0]);
    world.advance(4_100);

    assert_eq!(numbers(&world), [0]);
}

#[test]
fn other_permanent_codes_drop_what_was_sent() {
    for status in [402, 404, 405, 409, 410, 418, 451, 499] {
        let mut world = world();
        world.network().script(move |_, _| reply(status));
        track(&mut world, 3);

        assert_eq!(world.flush(), FlushProgress::Delivered);

        assert_eq!(world.notices(), [Notice::Dropped { count: 3, status }]);
        assert_eq!(world.status().counters.dropped, 3);
    }
}
