//! Runs every scenario a few times and prints the medians beside the targets.

use core::error::Error;
use std::collections::BTreeMap;
use std::env::current_exe;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

type Figures = BTreeMap<String, f64>;

/// Ends the sink when the report is done, or fails.
struct Sink(Child);

impl Drop for Sink {
    fn drop(&mut self) {
        // A sink that is gone already is as good.
        let _killed = self.0.kill();
        let _ended = self.0.wait();
    }
}

pub(crate) fn run(runs: usize) -> Result<(), Box<dyn Error>> {
    let child =
        Command::new(current_exe()?).arg("sink").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut sink = Sink(child);
    let mut url = String::new();
    BufReader::new(sink.0.stdout.take().ok_or("the sink has no output")?).read_line(&mut url)?;
    let url = url.trim();
    let mut all: BTreeMap<&str, Vec<Figures>> = BTreeMap::new();
    for _ in 0..runs.max(1) {
        // Interleaved, so that a noisy minute of the machine hits every scenario alike.
        for name in ["floor", "write", "track-memory", "track-file", "burst-memory", "burst-file"] {
            all.entry(name).or_default().push(scenario(name, url)?);
        }
    }
    let figure = |name: &str, key: &str| median(all.get(name).into_iter().flatten(), key);
    let floor_rate = figure("floor", "events_per_second");
    let floor_cpu = figure("floor", "cpu_ns_per_event");
    let wire = figure("floor", "wire_bytes_per_event");
    println!("median of {runs} runs; floor: {floor_rate:.0} events/s, {floor_cpu:.0} ns CPU per event\n");
    println!("| what | in memory | on file | bare write | target |");
    println!("|---|---|---|---|---|");
    for (what, key, target) in [
        ("`track()` p50, ns", "p50_ns", "400 / 1000"),
        ("`track()` p99, ns", "p99_ns", "-"),
        ("`track()` p99.9, ns", "p999_ns", "10000 / 10000"),
    ] {
        let (memory, file) = (figure("track-memory", key), figure("track-file", key));
        println!("| {what} | {memory:.0} | {file:.0} | {:.0} | {target} |", figure("write", key));
    }
    let row = |what: &str, key: &str, unit: f64, target: &str| {
        let (memory, file) = (figure("burst-memory", key) / unit, figure("burst-file", key) / unit);
        println!("| {what} | {memory:.2} | {file:.2} | - | {target} |");
    };
    row("CPU per delivered event, times the floor's", "cpu_ns_per_event", floor_cpu, "at most 4");
    row("events/s of a burst, times the floor's", "events_per_second", floor_rate, "at least 0.5");
    row("events/s of a burst, thousands", "events_per_second", 1000.0, "-");
    row("peak memory of a burst, MB", "peak_mb", 1.0, "at most 20");
    let file = figure("track-file", "file_bytes_per_event");
    println!(
        "| bytes per event on file, of the event's JSON ({wire:.0} bytes) | - | {:.2} | - | at most 0.5 |",
        file / wire
    );
    Ok(())
}

fn scenario(name: &str, url: &str) -> Result<Figures, Box<dyn Error>> {
    let output =
        Command::new(current_exe()?).args(["scenario", name, url]).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("scenario {name} failed").into());
    }
    let text = String::from_utf8(output.stdout)?;
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    Ok(pairs.filter_map(|(key, value)| Some((key.to_owned(), value.parse().ok()?))).collect())
}

fn median<'a>(figures: impl Iterator<Item = &'a Figures>, key: &str) -> f64 {
    let mut values: Vec<f64> = figures.filter_map(|figures| figures.get(key).copied()).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
