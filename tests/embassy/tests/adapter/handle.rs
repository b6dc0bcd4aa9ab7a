//! What the application holds, and the runner's side of it.
#![expect(clippy::arithmetic_side_effects, reason = "a test may fail")]

use core::cell::RefCell;
use core::time::Duration;
use std::rc::Rc;

use embassy_time::{Instant, Timer};
use whisperr_embassy::net::{HttpTransport, KeyCell, Server, TcpBuffers};
use whisperr_embassy::{
    Config, Device, EmbassyClock, EnqueueError, Flush, Identify, KeyError, NextRun, Notice, NoticeKind,
    Options, RecordBuffers, Resources, TryError, UtcMillis, open, props,
};
use whisperr_embassy_tests::{Act, Answer, Client, Flash, FlashFaults, Lab, UTC, leak};
use whisperr_virtual_time::now_us;

const CONFIG: Config = Config { automatic_events: false, ..Config::DEFAULT };

/// How long something takes, in microseconds, and what it returns.
async fn timed<T>(work: impl Future<Output = T>) -> (u64, T) {
    let before = now_us();
    let done = work.await;
    (now_us() - before, done)
}

fn hanging(lab: &Lab) -> Client {
    let client = lab.client(CONFIG);
    lab.server().script(|_| Answer::silence().then(Act::Hang));
    lab.run(async {
        client.track("door_opened", 0).await;
        let _goes_on = client.handle.flush(Duration::from_secs(1)).await;
    });
    client
}

#[test]
fn a_call_takes_as_long_as_the_flash_and_not_as_the_network() {
    let lab = Lab::new(1);
    let flash = lab.flash();
    let client = lab.client_over(flash.clone(), CONFIG, lab.transport(Lab::base_url()));
    lab.server().script(|_| Answer::silence().then(Act::Hang));
    lab.run(async {
        client.track("door_opened", 0).await;
        let _goes_on = client.handle.flush(Duration::from_secs(1)).await;
    });
    assert!(matches!(client.handle.next_run(), NextRun::Sending { .. }));

    flash.set(FlashFaults { write_us: 100_000, failing: 0 });
    let (took, ()) = lab.run(timed(client.track("door_opened", 1)));

    // The append, and at times the counters beside it.
    assert!((100_000..250_000).contains(&took), "{took}");
}

#[test]
fn tasks_that_wait_for_the_flash_do_not_wake_each_other() {
    let lab = Lab::new(2);
    let flash = lab.flash();
    let client = lab.client_over(flash.clone(), CONFIG, lab.transport(Lab::base_url()));
    let done = Rc::new(RefCell::new(0));
    flash.set(FlashFaults { write_us: 1_000_000, failing: 0 });
    for number in 0..6 {
        let (handle, done) = (client.handle, Rc::clone(&done));
        lab.tasks().spawn(async move {
            handle.track("door_opened", props! { "number" => number }).await.unwrap();
            *done.borrow_mut() += 1;
        });
    }

    let before = lab.tasks().polls();
    lab.pass(Duration::from_secs(40));

    assert_eq!(*done.borrow(), 6);
    let polls = lab.tasks().polls() - before;
    assert!(polls < 1_000, "{polls} polls");
    assert_eq!(lab.run(client.flush()), Flush::Delivered);
    assert_eq!(lab.server().operations().len(), 6);
}

#[test]
fn a_call_that_must_not_wait_says_so() {
    let lab = Lab::new(3);
    let flash = lab.flash();
    let client = lab.client_over(flash.clone(), CONFIG, lab.transport(Lab::base_url()));
    let handle = client.handle;

    let id = handle.try_track("door_opened", props! { "number" => 0 }).unwrap();
    assert_ne!(id.as_bytes(), &[0; 16]);
    assert!(matches!(handle.try_track("No!", ()), Err(TryError::Refused(EnqueueError::EventType(_)))));

    flash.set(FlashFaults { write_us: 1_000_000, failing: 0 });
    assert_eq!(handle.try_track("door_opened", ()), Err(TryError::WouldWait));
    lab.tasks().spawn(async move {
        handle.track("door_opened", props! { "number" => 1 }).await.unwrap();
    });
    lab.pass(Duration::from_millis(500));
    assert_eq!(handle.try_track("door_opened", ()), Err(TryError::Busy));

    lab.pass(Duration::from_secs(5));
    flash.set(FlashFaults::default());
    assert_eq!(lab.run(client.flush()), Flush::Delivered);
    assert_eq!(lab.server().operations().len(), 2);
}

#[test]
fn a_call_that_must_not_wait_wakes_the_runner() {
    let lab = Lab::new(4);
    let client = lab.client(Config { flush_at: 2, ..CONFIG });
    lab.pass(Duration::from_secs(1));

    client.handle.try_track("door_opened", ()).unwrap();
    client.handle.try_track("door_opened", ()).unwrap();
    lab.pass(Duration::from_secs(1));

    assert_eq!(lab.server().operations().len(), 2);
}

#[test]
fn the_runner_says_when_it_needs_to_run() {
    let lab = Lab::new(5);
    let client = lab.client(CONFIG);
    lab.pass(Duration::from_secs(1));
    assert_eq!(client.handle.next_run(), NextRun::Resting { until: None });

    lab.run(client.track("door_opened", 0));
    lab.pass(Duration::from_millis(1));
    let NextRun::Resting { until: Some(until) } = client.handle.next_run() else { panic!() };
    let wait_ms = (until - Instant::now()).as_millis();
    assert!((7_000..=15_000).contains(&wait_ms), "{wait_ms}");
    assert!(!client.handle.next_run().is_overdue(until));
    assert!(client.handle.next_run().is_overdue(until + embassy_time::Duration::from_micros(1)));

    // It runs at that moment, and not before.
    lab.pass(Duration::from_micros((until - Instant::now()).as_micros() - 1_000));
    assert_eq!(lab.server().received().len(), 0);
    lab.pass(Duration::from_secs(1));
    assert_eq!(lab.server().received().len(), 1);
    assert_eq!(client.handle.next_run(), NextRun::Resting { until: None });
}

/// Firmware that sleeps deeply meanwhile would cut the flash off in the middle of a write.
#[test]
fn a_runner_that_waits_for_the_flash_is_not_said_to_rest() {
    let lab = Lab::new(5);
    let flash = lab.flash();
    let client = lab.client_over(flash.clone(), CONFIG, lab.transport(Lab::base_url()));
    lab.run(client.track("door_opened", 0));
    lab.pass(Duration::from_millis(1));
    let NextRun::Resting { until: Some(until) } = client.handle.next_run() else { panic!() };
    flash.set(FlashFaults { write_us: 2_000_000, ..FlashFaults::default() });

    lab.pass(Duration::from_micros((until - Instant::now()).as_micros() + 500_000));

    assert_eq!(lab.server().received().len(), 1, "what was answered is being removed");
    assert_eq!(client.handle.next_run(), NextRun::Running);
    lab.pass(Duration::from_secs(10));
    assert_eq!(client.handle.next_run(), NextRun::Resting { until: None });
}

#[test]
fn a_request_that_is_out_says_when_it_ends() {
    let lab = Lab::new(6);
    let client = hanging(&lab);

    let NextRun::Sending { until: Some(until) } = client.handle.next_run() else { panic!() };
    let left_ms = (until - Instant::now()).as_millis();
    assert!((28_000..=29_000).contains(&left_ms), "{left_ms}");

    // What is said meanwhile makes no other promise.
    lab.run(client.track("door_opened", 1));
    lab.pass(Duration::from_millis(1));
    assert_eq!(client.handle.next_run(), NextRun::Sending { until: Some(until) });
}

#[test]
fn pause_returns_once_no_request_is_out() {
    let lab = Lab::new(7);
    let client = lab.client(CONFIG);
    lab.server().script(|_| Answer::status(202).after(Act::Wait(3000)));
    lab.run(client.track("door_opened", 0));
    let flush = lab.run(client.handle.flush(Duration::from_secs(1)));
    assert_eq!(flush, Flush::TimedOut);

    let (took, ()) = lab.run(timed(client.handle.pause()));
    assert!((1_900_000..2_100_000).contains(&took), "{took}");
    assert!(matches!(client.handle.next_run(), NextRun::Resting { .. } | NextRun::Running));
    assert_eq!(lab.server().received().len(), 1);

    // Calls go on; nothing is sent, whatever is owed and however long it takes.
    lab.run(client.handle.identify(Identify::new("user_1"))).unwrap();
    lab.pass(Duration::from_secs(3600));
    assert_eq!(lab.server().received().len(), 1);
    assert_eq!(client.handle.next_run(), NextRun::Resting { until: None });
    assert_eq!(lab.run(client.flush()), Flush::Paused);
    let (took, ()) = lab.run(timed(client.handle.pause()));
    assert!(took < 1000, "{took}");

    lab.run(client.handle.resume());
    lab.pass(Duration::from_secs(4));
    assert_eq!(lab.server().received().len(), 2);
}

#[test]
fn a_hanging_request_holds_a_pause_up_for_its_time_and_no_longer() {
    let lab = Lab::new(8);
    let client = hanging(&lab);

    let (took, ()) = lab.run(timed(client.handle.pause()));

    assert!((28_000_000..29_100_000).contains(&took), "{took}");
}

#[test]
fn every_way_a_flush_can_end_is_told() {
    for (answer, limit_s, expected) in [
        (Answer::status(202), 10, Flush::Delivered),
        (Answer::status(403), 10, Flush::AuthRefused),
        (Answer::status(503), 300, Flush::RetryExhausted),
        (Answer::silence().then(Act::Hang), 10, Flush::TimedOut),
    ] {
        let lab = Lab::new(9);
        let client = lab.client(CONFIG);
        lab.server().script(move |_| answer.clone());
        lab.run(client.track("door_opened", 0));

        let (took, flush) = lab.run(timed(client.handle.flush(Duration::from_secs(limit_s))));

        assert_eq!(flush, expected);
        assert!(took <= limit_s * 1_000_000 + 1_000, "{expected:?}: {took}");
    }
    let lab = Lab::new(9);
    let client = lab.client(CONFIG);
    assert_eq!(lab.run(client.handle.flush(Duration::MAX)), Flush::Delivered);
    lab.run(async {
        client.track("door_opened", 0).await;
        client.handle.stop().await;
    });
    lab.pass(Duration::from_secs(1));
    assert_eq!(lab.run(client.handle.flush(Duration::MAX)), Flush::Closed);
    assert_eq!(client.handle.next_run(), NextRun::Resting { until: None });
    lab.run(client.handle.pause());
}

#[test]
fn a_refused_key_is_tried_again_when_it_is_said_to_be_another() {
    let lab = Lab::new(10);
    let client = lab.client(CONFIG);
    lab.server().script(|_| Answer::status(401));
    lab.run(client.track("door_opened", 0));
    assert_eq!(lab.run(client.flush()), Flush::AuthRefused);
    assert_eq!(client.notices().first().map(Notice::kind), Some(NoticeKind::Auth));

    lab.server().script(|_| Answer::status(202));
    lab.run(client.handle.retry_auth());
    lab.pass(Duration::from_secs(1));

    assert_eq!(lab.server().operations().len(), 1);
}

#[test]
fn a_key_in_a_cell_is_replaced_while_the_transport_uses_it() {
    let lab = Lab::new(12);
    let key: &KeyCell = leak(KeyCell::new("wrk_old").unwrap());
    let server = Server::with_key_cell(key).unwrap().base_url(Lab::base_url().leak()).unwrap();
    let transport = HttpTransport::new(lab.device(), leak(TcpBuffers::<1024, 512>::new()), server).unwrap();
    let client = lab.client_over(lab.flash(), CONFIG, transport);
    lab.server().script(|_| Answer::status(401));
    lab.run(client.track("door_opened", 0));
    assert_eq!(lab.run(client.flush()), Flush::AuthRefused);

    lab.server().script(|_| Answer::status(202));
    assert_eq!(key.set("wrk new"), Err(KeyError::NotAscii { at: 3 }));
    key.set("wrk_new").unwrap();
    lab.run(client.handle.retry_auth());
    assert_eq!(lab.run(client.flush()), Flush::Delivered);

    let received = lab.server().received();
    let keys: Vec<_> = received.iter().filter_map(|request| request.header("authorization")).collect();
    assert_eq!(keys, ["Bearer wrk_old", "Bearer wrk_new"]);
    assert_eq!(format!("{key:?}"), "wrk_…");
}

#[test]
fn opting_out_gives_a_request_up() {
    let lab = Lab::new(11);
    let client = hanging(&lab);
    let (took, opted_out) = lab.run(timed(client.handle.opt_out()));

    assert_eq!((took < 1_000, opted_out), (true, Ok(())));
    lab.pass(Duration::from_millis(1));
    assert_eq!(client.handle.next_run(), NextRun::Resting { until: None });
    assert!(lab.run(client.handle.is_opted_out()));
    assert_eq!(lab.run(client.handle.track("door_opened", ())).unwrap().as_bytes(), &[0; 16]);
    lab.pass(Duration::from_secs(100));
    assert_eq!(lab.server().received().len(), 1);
    lab.run(client.handle.opt_in()).unwrap();
    assert!(!lab.run(client.handle.is_opted_out()));
}

#[test]
fn a_runner_that_was_dropped_in_a_request_goes_on_where_it_was() {
    let lab = Lab::new(12);
    let clock = leak(EmbassyClock::new());
    clock.set_utc(UTC);
    let mut entropy = lab.chance();
    let options = Options::new(Device::new("lab")).config(CONFIG);
    let opening = open(
        leak(Resources::new()),
        leak(RecordBuffers::<1024>::new()),
        lab.flash(),
        &*clock,
        &options,
        &mut entropy,
    );
    let (handle, mut runner): (whisperr_embassy::Handle<'static, Flash>, _) =
        lab.run(opening.unwrap().finish()).unwrap();
    let mut transport = lab.transport(Lab::base_url());
    lab.server().script(|_| Answer::silence().then(Act::Hang));

    lab.run(async {
        handle.identify(Identify::new("user_1")).await.unwrap();
        let run = runner.run(&mut transport, |_| {});
        let _cut_off = embassy_futures::select::select(run, Timer::after_secs(5)).await;
    });
    assert_eq!(lab.server().received().len(), 1);
    assert_eq!(handle.next_run(), NextRun::Resting { until: None });
    // Nobody runs: a flush waits in vain, a pause for nothing.
    assert_eq!(lab.run(handle.flush(Duration::from_secs(1))), Flush::TimedOut);
    lab.run(handle.pause());
    lab.run(handle.resume());

    lab.server().script(|_| Answer::status(202));
    let before = lab.tasks().polls();
    lab.run(async {
        let run = runner.run(&mut transport, |_| {});
        let _ran = embassy_futures::select::select(run, Timer::after_secs(60)).await;
    });
    assert_eq!(lab.server().operations().len(), 1);
    assert_eq!(lab.run(handle.status()).owed, 0);
    assert!(lab.tasks().polls() - before < 2_000);
}

#[test]
fn an_operation_larger_than_the_buffers_is_refused_with_their_size() {
    let lab = Lab::new(13);
    let client = lab.client(CONFIG);
    let long = "x".repeat(1024);

    let refused = lab.run(client.handle.track("door_opened", props! { "note" => long.as_str() }));

    assert!(matches!(refused, Err(EnqueueError::Record(_))), "{refused:?}");
    assert!(lab.run(client.handle.has_room()));
}

#[test]
fn a_setting_outside_its_range_is_refused_by_name() {
    let lab = Lab::new(14);
    let options = Options::new(Device::new("lab")).config(Config { flush_at: 0, ..CONFIG });
    let clock: &'static EmbassyClock = leak(EmbassyClock::new());
    let mut entropy = lab.chance();
    let opening = open::<_, _, embassy_sync::blocking_mutex::raw::NoopRawMutex, 256>(
        leak(Resources::new()),
        leak(RecordBuffers::new()),
        lab.flash(),
        clock,
        &options,
        &mut entropy,
    );

    let Err(error) = opening else { panic!() };
    assert!(error.to_string().contains("flush_at"), "{error}");
}

#[test]
fn what_happened_before_the_date_was_known_is_dated_when_it_is() {
    let lab = Lab::new(15);
    let clock: &'static EmbassyClock = leak(EmbassyClock::new());
    lab.pass(Duration::from_secs(5));
    let mut entropy = lab.chance();
    let options = Options::new(Device::new("lab")).config(CONFIG);
    let opening = open(
        leak(Resources::new()),
        leak(RecordBuffers::<1024>::new()),
        lab.flash(),
        clock,
        &options,
        &mut entropy,
    );
    let (handle, mut runner): (whisperr_embassy::Handle<'static, Flash>, _) =
        lab.run(opening.unwrap().finish()).unwrap();
    let mut transport = lab.transport(Lab::base_url());
    lab.tasks().spawn(async move { runner.run(&mut transport, |_| {}).await });
    lab.run(handle.track("door_opened", ())).unwrap();
    lab.pass(Duration::from_secs(100));
    assert_eq!(lab.server().received().len(), 0);

    clock.set_utc(UtcMillis::new(UTC.get() + 100_000));
    let flush = lab.run(handle.flush(Duration::from_secs(10)));

    assert_eq!(flush, Flush::Delivered);
    assert_eq!(lab.server().operations()[0]["occurred_at"], "2026-05-31T12:00:00.000Z");
}

/// The future of a call is built on the stack of whoever makes it, and every future around another one copies it there
/// once more: firmware has a few kilobytes for all of it.
#[test]
fn calls_are_small_enough_for_the_stack_of_firmware() {
    let lab = Lab::new(1);
    let client = lab.client(Config::DEFAULT);
    let handle = client.handle;

    // A little more than they are on a 64-bit host; on a microcontroller they have about half.
    let sizes = [
        ("track", 1700, size_of_val(&handle.track("door_opened", props! { "door" => 3 }))),
        ("identify", 3600, size_of_val(&handle.identify(Identify::new("user_1")))),
        ("launch", 2700, size_of_val(&handle.launch("1.0.0", "1"))),
        ("background", 2700, size_of_val(&handle.background())),
        ("opt_out", 2000, size_of_val(&handle.opt_out())),
        ("flush", 256, size_of_val(&handle.flush(Duration::from_secs(1)))),
    ];

    for (call, most, bytes) in sizes {
        assert!(bytes <= most, "{call}: {bytes} bytes, at most {most}");
    }
}
