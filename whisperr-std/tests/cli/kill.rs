//! `kill -9` in the middle of everything.

use core::time::Duration;
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use serde_json::Value;
use whisperr_collector::Fault;

use crate::chance::Chance;
use crate::support::{World, feed, lines};

const RUNS: u64 = 40;
const LINES: u64 = 300;
const SEED: u64 = 8842;

#[test]
fn every_acknowledged_line_arrives_after_40_kills() {
    let world = World::new();
    let mut chance = Chance(SEED);
    let mut acknowledged: Vec<(u64, String)> = Vec::new();
    for run in 0..RUNS {
        if chance.below(4) == 0 {
            world.collector.fault(Fault::LoseReply.once());
        }
        acknowledged.extend(killed_run(&world, run * LINES, &mut chance));
    }
    world.collector.clear_faults();
    assert_eq!(world.run("flush --timeout 60").code, Some(0));

    let events = world.collector.events();
    let numbers = world.numbers();
    assert_eq!(numbers.len(), events.len());
    assert!(numbers.is_sorted_by(|earlier, later| earlier < later), "out of order, or twice");
    assert!(acknowledged.len() > 1000, "only {} lines were acknowledged", acknowledged.len());
    for (n, message_id) in &acknowledged {
        let at = numbers.binary_search(n).unwrap_or_else(|_| panic!("{n} was lost (seed {SEED})"));
        assert_eq!(events[at]["context"]["$message_id"], *message_id);
    }
    assert_eq!(world.collector.conflicts(), [""; 0]);
    let mut ids: Vec<&str> =
        events.iter().filter_map(|event| event["context"]["$message_id"].as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), events.len());
}

/// Feeds `pipe` and kills it at some point; returns the numbers and ids it acknowledged.
fn killed_run(world: &World, first: u64, chance: &mut Chance) -> Vec<(u64, String)> {
    let mut command = world.command("pipe");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let input = feed(child.stdin.take().unwrap(), lines(first..first + LINES).into_bytes());
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut answers = String::new();
    // Half of the kills come while lines are read, the others during the delivery at the end.
    if chance.below(2) == 0 {
        for _ in 0..chance.below(LINES) {
            output.read_line(&mut answers).unwrap();
        }
    } else {
        let before = world.collector.requests().len();
        drop(input.join().unwrap());
        // Before a request, between it and its reply, between the reply and the removal, or behind it all.
        let (requests, late) = (before + chance.below(3) as usize, chance.below(2) as usize);
        let patience = Duration::from_millis(50 + chance.below(250));
        world
            .collector
            .wait_for(patience, |view| view.requests >= requests && view.replies + late >= requests);
        child.kill().unwrap();
        return acknowledged(first, answers, output, &mut child);
    }
    child.kill().unwrap();
    drop(input.join().unwrap());
    acknowledged(first, answers, output, &mut child)
}

/// What was acknowledged up to the kill; an answer that it cut off is none.
fn acknowledged(
    first: u64,
    mut answers: String,
    mut output: impl Read,
    child: &mut std::process::Child,
) -> Vec<(u64, String)> {
    output.read_to_string(&mut answers).unwrap();
    child.wait().unwrap();
    let whole = answers.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    let acknowledged = whole.map(|line| {
        let answer: Value = serde_json::from_str(line).unwrap();
        assert_eq!(answer["ok"], true, "{answer}");
        (first + answer["line"].as_u64().unwrap() - 1, answer["message_id"].as_str().unwrap().to_owned())
    });
    acknowledged.collect()
}
