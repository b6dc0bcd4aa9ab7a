//! `kill -9` of a program that tracks.

use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;
use whisperr_collector::Collector;
use whisperr_std::{Builder, Flush};

use crate::chance::Chance;
use crate::support::{SOON, alone, builder, undisturbed};

const RUNS: u64 = 10;
const EVENTS: u64 = 2000;
const SEED: u64 = 8842;

/// Set for the child: its queue directory, the server, and its first number.
const QUEUE: &str = "WHISPERR_TEST_QUEUE";
const SERVER: &str = "WHISPERR_TEST_SERVER";
const FIRST: &str = "WHISPERR_TEST_FIRST";

fn client(queue: &Path, server: &str) -> Builder {
    builder(queue).base_url(server).max_queue_size(1_000_000)
}

/// The child of the test below: it tracks until it is killed. On its own it has nothing to do.
#[test]
fn child() {
    let (Some(queue), Ok(server)) = (env::var_os(QUEUE), env::var(SERVER)) else { return };
    let first: u64 = env::var(FIRST).unwrap().parse().unwrap();
    // It delivers while it tracks, so that kills also come between a reply and the removal.
    let whisperr = client(Path::new(&queue), &server).flush_at(50).build().unwrap();
    for n in first..first + EVENTS {
        whisperr.track("door_opened", json!({ "n": n })).unwrap();
        writeln!(io::stdout(), "\naccepted {n}").unwrap();
    }
    // Until the kill, or the end of who would have killed it.
    io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

/// Runs the child and kills it at some point; returns the numbers that it said were accepted.
fn killed_run(queue: &Path, server: &str, first: u64, chance: &mut Chance) -> Vec<u64> {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["kill::child", "--exact", "--nocapture"]);
    command.env(QUEUE, queue).env(SERVER, server).env(FIRST, first.to_string());
    command.env("NO_PROXY", "127.0.0.1");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut said = String::new();
    let (mut child, mut output) = alone(|| {
        let mut child = command.spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut said).unwrap();
        (child, output)
    });
    for _ in 0..chance.below(2 * EVENTS) {
        output.read_line(&mut said).unwrap();
    }
    child.kill().unwrap();
    output.read_to_string(&mut said).unwrap();
    child.wait().unwrap();
    let whole = said.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    whole.filter_map(|line| line.strip_prefix("accepted ")?.parse().ok()).collect()
}

#[test]
fn every_accepted_event_is_delivered_after_a_kill() {
    let root = tempfile::tempdir().unwrap();
    let collector = Collector::start().unwrap();
    let mut chance = Chance(SEED);
    let mut total = 0;
    for run in 0..RUNS {
        let accepted = killed_run(root.path(), &collector.url(), run * EVENTS, &mut chance);
        total += accepted.len();

        // The lock went with the process.
        let next = undisturbed(|| client(root.path(), &collector.url()).build()).unwrap();
        assert_eq!(next.flush(SOON), Flush::Delivered);
        let counters = next.status().counters;
        assert_eq!((counters.damaged, counters.evicted), (0, 0), "run {run}, seed {SEED}");
        drop(next);

        let events = collector.events();
        let arrived: Vec<u64> =
            events.iter().map(|event| event["properties"]["n"].as_u64().unwrap()).collect();
        assert!(arrived.is_sorted_by(|earlier, later| earlier < later), "out of order, or twice");
        for n in accepted {
            assert!(arrived.binary_search(&n).is_ok(), "{n} was lost in run {run}, seed {SEED}");
        }
    }
    assert!(total > 1000, "only {total} events were accepted");
}
