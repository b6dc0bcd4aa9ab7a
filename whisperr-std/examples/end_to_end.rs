//! The main job on real input: a file of this machine becomes events, the server is down, the
//! program ends, the server comes back and misbehaves, and everything arrives in order.
//!
//! `cargo run --example end_to_end [-- PATH]`; without a path it reads the package
//! manager's log, or a few lines of one that come with the example.
#![expect(clippy::print_stdout, reason = "an example talks to a person")]

use core::error::Error;
use core::time::Duration;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use whisperr_collector::{Collector, Endpoint, Fault};
use whisperr_std::{Builder, Flush, Identify, Whisperr, props};

const PACKAGE_LOG: &str = "/var/log/dpkg.log";
const SAMPLE: &str = include_str!("packages.log");

/// Most lines read: the queue bound of this example.
const LINES_MAX: u32 = 50_000;

fn main() -> Result<(), Box<dyn Error>> {
    let (name, text) = input()?;
    let directory = tempfile::tempdir()?;
    // A free port: whoever had it is down from here on.
    let collector = Collector::start()?;
    let (url, address) = (collector.url(), collector.addr());
    drop(collector);
    println!("input      {name}");
    println!("server     {url} (down)");

    let whisperr = client(&url, directory.path()).build()?;
    let start = Instant::now();
    whisperr.identify(Identify::new("this_machine").traits(props! { "source" => name.as_str() }))?;
    let mut said = 0_u32;
    for line in text.lines().filter(|line| !line.trim().is_empty()).take(LINES_MAX as usize) {
        say(&whisperr, line)?;
        said = said.saturating_add(1);
    }
    let each = start.elapsed().checked_div(said).unwrap_or_default();
    println!("said       1 identify, {said} events, {each:?} each, all on disk");
    println!(
        "flush      {:?}, {} operations owed",
        whisperr.flush(Duration::from_secs(1)),
        whisperr.status().owed
    );
    drop(whisperr);
    println!("           the program ends and starts again");

    let whisperr = client(&url, directory.path()).build()?;
    println!("restart    {} operations owed", whisperr.status().owed);
    let collector = Collector::builder().bind(address).start()?;
    // The first batch is processed and its reply lost; then the server is busy for a second.
    collector.fault(Fault::LoseReply.once().at(Endpoint::EventsBatch));
    collector.fault(Fault::status(503).retry_after("1").once());
    println!("server     up again: it loses one reply and answers one 503 with Retry-After: 1");
    let start = Instant::now();
    let flush = whisperr.flush(Duration::from_secs(60));
    println!(
        "flush      {flush:?} after {:.1} s, {} operations owed",
        start.elapsed().as_secs_f64(),
        whisperr.status().owed
    );
    summary(&collector);
    let arrived = collector.events().len();
    if flush != Flush::Delivered || arrived != said as usize || !collector.conflicts().is_empty() {
        return Err(format!("{arrived} of {said} events arrived").into());
    }
    Ok(())
}

fn client(url: &str, directory: &Path) -> Builder {
    Whisperr::builder("wrk_example")
        .base_url(url)
        .queue_dir(directory.join("queue"))
        .max_queue_size(LINES_MAX.saturating_add(1))
        .max_retries(2)
        .retry_base_delay(Duration::from_millis(100))
}

fn input() -> Result<(String, String), Box<dyn Error>> {
    let given = std::env::args_os().nth(1).map(PathBuf::from);
    let path = given.clone().unwrap_or_else(|| PACKAGE_LOG.into());
    match std::fs::read(&path) {
        Ok(bytes) if given.is_some() || !bytes.is_empty() => {
            Ok((path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned()))
        }
        Err(error) if given.is_some() => Err(format!("{}: {error}", path.display()).into()),
        _ => Ok(("the sample of the example".into(), SAMPLE.into())),
    }
}

/// A line of a package log is `DATE TIME ACTION …`; any other line is an event of its own kind.
fn say(whisperr: &Whisperr, line: &str) -> Result<(), whisperr_std::Error> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        [_date, time, "status", status, package, version] if time.contains(':') => {
            let properties = props! { "status" => *status, "package" => *package, "version" => *version };
            whisperr.track("package_status", properties)?;
        }
        [
            _date,
            time,
            action @ ("install" | "upgrade" | "remove" | "configure" | "purge"),
            package,
            from,
            to,
        ] if time.contains(':') => {
            let event_type = format!("package_{action}");
            whisperr.track(&event_type, props! { "package" => *package, "from" => *from, "to" => *to })?;
        }
        _ => {
            let text: String = line.chars().take(200).collect();
            whisperr.track("line_read", props! { "text" => text.as_str(), "words" => words.len() })?;
        }
    }
    Ok(())
}

fn summary(collector: &Collector) {
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for event in collector.events() {
        let kind = event.get("event_type").and_then(|kind| kind.as_str()).unwrap_or_default();
        let count = kinds.entry(kind.to_owned()).or_default();
        *count = count.saturating_add(1);
    }
    println!();
    println!("arrived    {} identify, {} events", collector.identifies().len(), collector.events().len());
    for (kind, count) in kinds {
        println!("           {count:>6}  {kind}");
    }
    println!("requests   {}", collector.requests().len());
    println!(
        "repeated   {} events came twice and were told apart by their message ids",
        collector.duplicates()
    );
    println!("conflicts  {} message ids with two contents", collector.conflicts().len());
}
