//! Dates, windows and clocks that are wrong or not there (contract, section 2; design, section 4), on the
//! production core in simulated time.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail")]

use whisperr_core::{Client, FlushProgress, Identify, Notice, Reply, Track, props};
use whisperr_simulation::{Answer, Options, World, lost_reply, reply};

/// When a world starts: 2026-05-31T12:00:00Z.
const UTC_START: i64 = 1_780_228_800_000;
const DAY_MS: i64 = 86_400_000;

fn world() -> World {
    World::new(1, Options::default())
}

fn unset_world() -> World {
    World::new(3, Options { utc: None, ..Options::default() })
}

fn track(world: &mut World, count: usize) {
    for n in 0..count {
        world.track(&Track::new("door_opened").user("u1").properties(props! { "n" => n })).unwrap();
    }
}

fn numbers(world: &World) -> Vec<u64> {
    let server = world.server();
    server.operations().iter().filter_map(|event| event["properties"]["n"].as_u64()).collect()
}

#[test]
fn a_clock_that_jumps_by_years_changes_nothing_but_dates() {
    let mut world = world();
    for (n, utc) in [Some(1_780_228_800_000), Some(4_000_000_000_000), Some(1_600_000_000_000), None, Some(0)]
        .into_iter()
        .enumerate()
    {
        world.clock().set_utc(utc);
        world.track(&Track::new("door_opened").user("u1").properties(props! { "n" => n })).unwrap();
    }
    world.clock().set_utc(Some(i64::MAX));

    assert_eq!(world.flush(), FlushProgress::Delivered);

    assert_eq!(numbers(&world), [0, 1, 2, 3, 4]);
    let server = world.server();
    assert_eq!(server.operations()[1]["occurred_at"], "2096-10-02T07:06:40.000Z");
}

#[test]
fn events_recorded_before_the_time_is_known_wait_for_it_and_get_their_own_moment() {
    let mut world = World::new(3, Options { utc: None, ..Options::default() });
    track(&mut world, 1);
    world.advance(60_000);
    track(&mut world, 1);
    assert_eq!(world.network().exchanges().len(), 0);

    world.clock().set_utc(Some(1_780_228_860_000));
    world.advance(60_000);

    let server = world.server();
    assert_eq!(server.operations()[0]["occurred_at"], "2026-05-31T12:00:00.000Z");
    assert_eq!(server.operations()[1]["occurred_at"], "2026-05-31T12:01:00.000Z");
}

/// An answer whose `Date` is this many days after the start of the world.
fn dated(status: u16, days: u64) -> Answer {
    let date = match days {
        0 => "Sun, 31 May 2026 12:00:20 GMT",
        29 => "Mon, 29 Jun 2026 12:00:00 GMT",
        _ => "Wed, 01 Jul 2026 12:00:00 GMT",
    };
    Answer { reply: Some(Reply::new(status).date(date.as_bytes())), ..reply(status) }
}

#[test]
fn what_left_the_servers_window_expires_by_the_servers_clock() {
    let mut world = world();
    world.network().script(|_, _| dated(503, 31));
    track(&mut world, 3);
    world.flush();
    world.clock().set_utc(Some(UTC_START + 31 * DAY_MS));
    track(&mut world, 1);
    world.network().script(|_, _| dated(202, 31));

    assert_eq!(world.flush(), FlushProgress::Delivered);

    assert_eq!(numbers(&world), [0]);
    assert!(world.notices().contains(&Notice::Expired { count: 3 }), "{:?}", world.notices());
    assert_eq!(world.status().counters.owed(), 0);
}

#[test]
fn what_is_still_in_the_servers_window_is_delivered() {
    let mut world = world();
    world.network().script(|_, _| dated(503, 29));
    track(&mut world, 3);
    world.flush();
    world.clock().set_utc(Some(UTC_START + 29 * DAY_MS));
    world.network().script(|_, _| dated(202, 29));

    assert_eq!(world.flush(), FlushProgress::Delivered);

    assert_eq!(numbers(&world), [0, 1, 2]);
}

#[test]
fn no_clock_of_the_device_expires_anything() {
    let mut world = world();
    world.network().script(|_, _| dated(503, 0));
    track(&mut world, 3);
    world.flush();
    world.clock().set_utc(Some(UTC_START + 20_000 * DAY_MS));
    track(&mut world, 1);
    world.network().script(|_, _| dated(202, 0));

    assert_eq!(world.flush(), FlushProgress::Delivered);

    assert_eq!(numbers(&world), [0, 1, 2, 0]);
}

#[test]
fn a_wrong_date_header_expires_nothing() {
    let mut world = world();
    world.network().script(|_, _| dated(401, 31));
    track(&mut world, 3);
    world.flush();
    world.network().script(|_, _| dated(202, 31));

    assert_eq!(world.flush(), FlushProgress::Delivered);

    assert_eq!(numbers(&world), [0, 1, 2]);
}

#[test]
fn a_date_that_was_sent_once_stays_over_restarts() {
    let mut world = World::new(3, Options { utc: None, ..Options::default() });
    world.track(&Track::new("in_the_first_boot").user("u1").properties(props! { "n" => 0 })).unwrap();
    world.crash();
    world.track(&Track::new("in_the_second_boot").user("u1").properties(props! { "n" => 1 })).unwrap();
    world.clock().set_utc(Some(UTC_START));
    world.network().script(|_, _| lost_reply());
    world.flush();
    world.crash();
    world.clock().advance(3_600_000);
    world.network().script(|_, _| reply(202));

    // The model server panics when a message id comes back with another event.
    assert_eq!(world.flush(), FlushProgress::Delivered);

    let server = world.server();
    assert_eq!(server.operations()[0]["context"]["$time_estimated"], true);
    assert!(server.operations()[1]["context"].get("$time_estimated").is_none());
    assert!(server.duplicates() > 0);
}

/// A server that names its time, and whose first reply comes a minute after the device's start.
fn served_by_date(world: &mut World, date: &'static str) {
    world.network().script(move |_, _| Answer {
        processed: true,
        reply: Some(Reply::new(202).date(date.as_bytes())),
        after_ms: 0,
    });
    world.with(Client::pause);
    world.advance(60_000);
    world.identify(&Identify::new("u1")).unwrap();
    track(world, 1);
    world.with(Client::resume);
    world.ring(true);
    world.advance(1_000_000);
}

#[test]
fn a_device_that_never_learns_the_time_dates_its_events_by_the_servers_and_says_so() {
    let mut world = unset_world();

    served_by_date(&mut world, "Sun, 31 May 2026 12:01:00 GMT");

    let event = world.server().operations()[1].clone();
    assert_eq!(event["occurred_at"], "2026-05-31T12:01:00.000Z", "{event}");
    assert_eq!(event["context"]["$time_estimated"], true);
    // Later ones keep their own moment.
    track(&mut world, 1);
    world.advance(1_000_000);
    let event = world.server().operations()[2].clone();
    assert_eq!(event["occurred_at"], "2026-05-31T12:17:40.000Z", "{event}");
    // It is written down: a later boot that hears of no time still knows when this one started.
    track(&mut world, 1);
    world.crash();
    world.network().script(|_, _| reply(202));
    world.advance(1_000_000);
    let event = world.server().operations()[3].clone();
    assert_eq!(event["occurred_at"], "2026-05-31T12:34:20.000Z", "{event}");
}

#[test]
fn what_happened_before_the_boot_that_hears_the_servers_time_is_dated_by_its_start() {
    let mut world = unset_world();
    world.network().script(|_, _| lost_reply());
    world.identify(&Identify::new("u1")).unwrap();
    world.advance(5000);
    track(&mut world, 1);
    world.advance(5000);
    world.crash();

    served_by_date(&mut world, "Sun, 31 May 2026 12:01:00 GMT");

    let server = world.server();
    let event = server.operations().iter().find(|operation| operation["event_type"].is_string()).unwrap();
    assert_eq!(event["occurred_at"], "2026-05-31T12:00:00.000Z", "{event}");
    assert_eq!(event["context"]["$time_estimated"], true);
}

#[test]
fn only_an_acknowledgement_with_a_date_that_can_be_true_tells_the_time() {
    for (status, date) in
        [(202, "Thu, 01 Jan 1970 00:01:00 GMT"), (202, "yesterday"), (503, "Sun, 31 May 2026 12:01:00 GMT")]
    {
        let mut world = unset_world();
        let mut replies = 0;
        world.network().script(move |_, _| {
            replies += 1;
            let reply = if replies == 1 { Reply::new(status).date(date.as_bytes()) } else { Reply::new(202) };
            Answer { processed: true, reply: Some(reply), after_ms: 0 }
        });
        world.identify(&Identify::new("u1")).unwrap();
        track(&mut world, 1);

        world.advance(1_000_000);

        assert_eq!(numbers(&world), [0_u64; 0], "{status} {date}");
        assert_eq!(world.status().owed, 1);
    }
}

#[test]
fn the_devices_own_clock_comes_before_the_servers() {
    let mut world = unset_world();
    track(&mut world, 1);
    world.clock().set_utc(Some(UTC_START + 5000));

    served_by_date(&mut world, "Mon, 01 Jun 2026 12:01:00 GMT");

    let event = world.server().operations()[0].clone();
    assert!(event["context"].get("$time_estimated").is_none(), "{event}");
    assert_eq!(event["occurred_at"], "2026-05-31T12:00:05.000Z");
}
