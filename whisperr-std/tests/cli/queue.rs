//! Queue directories: shared, in use, unusable.

use core::time::Duration;
use std::process::Stdio;
use std::time::Instant;

use whisperr_collector::Fault;
use whisperr_std::Whisperr;

use crate::support::{World, answers, lines, run, wait};

#[test]
fn commands_at_the_same_time_all_succeed() {
    let world = World::new();
    let children: Vec<_> = (0..6)
        .map(|n| {
            let mut command = world.command(&format!("track door_opened n:={n}"));
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();

    for child in children {
        let done = wait(child);
        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
    }
    let mut numbers = world.numbers();
    numbers.sort_unstable();
    assert_eq!(numbers, [0, 1, 2, 3, 4, 5]);
}

#[test]
fn two_at_the_same_time_succeed_while_the_server_hangs() {
    let world = World::new();
    world.collector.fault(Fault::Hang);
    let children = [(); 2].map(|()| {
        let mut command = world.command("track door_opened");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    });

    for child in children {
        let done = wait(child);
        assert_eq!(done.code, Some(0), "{done:?}");
    }
    assert_eq!(world.owed(), 2);
}

#[test]
fn a_directory_in_use_is_named_after_a_while() {
    let world = World::new();
    let holder = Whisperr::builder("wrk_test")
        .base_url(world.collector.url())
        .queue_dir(world.queue())
        .build()
        .unwrap();

    let start = Instant::now();
    let done = world.run("track a");

    assert_eq!((done.code, done.stdout.as_str()), (Some(1), ""));
    let expected = format!("whisperr: queue_dir: {} is locked by another process\n", world.queue().display());
    assert_eq!(done.stderr, expected);
    assert!(start.elapsed() > Duration::from_secs(2), "{:?}", start.elapsed());
    drop(holder);
    assert_eq!(world.run("track a").code, Some(0));
}

#[test]
fn a_directory_that_cannot_be_used_is_named() {
    let world = World::new();
    std::fs::write(world.queue(), "a file").unwrap();

    for args in ["track a", "identify u", "reset", "flush", "status", "pipe"] {
        let done = world.run(args);
        assert_eq!((done.code, done.stdout.as_str()), (Some(1), ""), "{args}: {done:?}");
        assert!(done.stderr.contains(world.queue().to_str().unwrap()), "{args}: {done:?}");
        assert!(done.stderr.contains("is not a directory"), "{args}: {done:?}");
    }
    assert_eq!(std::fs::read_to_string(world.queue()).unwrap(), "a file");
}

#[test]
fn track_evicts_at_the_bound_and_says_so() {
    let world = World::new();
    for n in 0..3 {
        assert_eq!(world.run(&format!("track door_opened n:={n} --timeout 0 --max-queue 3")).code, Some(0));
    }

    let done = world.run("track door_opened n:=3 --timeout 0 --max-queue 3");

    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.stderr.contains("whisperr: dropped: 1 event evicted"), "{done:?}");
    assert_eq!(world.run("flush").code, Some(0));
    assert_eq!(world.numbers(), [1, 2, 3]);
}

#[test]
fn pipe_refuses_lines_rather_than_evict() {
    let world = World::new();
    let start = Instant::now();
    let done = world.pipe_offline(
        "--max-queue 5 --timeout 0.4",
        lines(0..5) + "{\"identify\":\"u1\"}\n" + &lines(6..200),
    );

    assert_eq!(done.code, Some(1));
    let answers = answers(&done);
    assert_eq!(answers.len(), 200);
    for (at, answer) in answers.iter().enumerate() {
        assert_eq!(answer["ok"], at < 5, "{answer}");
    }
    assert_eq!(answers[5]["error"], "the queue is full");
    assert!(!done.stderr.contains("evicted"), "{}", done.stderr);
    assert!(done.stderr.ends_with("whisperr: 5 operations still owed\n"), "{}", done.stderr);
    // The stall is waited for once, and not for every line; the delivery at the end once more.
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());

    assert_eq!(world.run("flush").code, Some(0));
    assert_eq!(world.numbers(), [0, 1, 2, 3, 4]);
}

#[test]
fn pipe_waits_for_room_while_it_delivers() {
    let world = World::new();
    for max_queue in [1, 7, 50] {
        world.collector.clear();
        let done = world.pipe(&format!("--max-queue {max_queue} --timeout 30"), lines(0..300));

        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{max_queue}");
        assert_eq!(world.numbers(), (0..300).collect::<Vec<_>>(), "{max_queue}");
    }
}

#[test]
fn pipe_waits_out_a_key_that_is_refused_for_a_moment() {
    let world = World::new();
    world.collector.fault(Fault::status(401).once());

    let done = world.pipe("--max-queue 5 --timeout 20", lines(0..20));

    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.stderr.contains("whisperr: auth: "), "{}", done.stderr);
    assert_eq!(world.numbers(), (0..20).collect::<Vec<_>>());
}

#[test]
fn the_bound_of_another_command_evicts_nothing_by_itself() {
    let world = World::new();
    assert_eq!(world.pipe_offline("--timeout 0", lines(0..30)).code, Some(0));

    let done = run(world.command("flush --max-queue 1"), b"");

    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(world.numbers(), (0..30).collect::<Vec<_>>());
}
