//! A collector in a process of its own, for a network of its own.

use core::net::SocketAddr;
use std::io::{self, BufRead, Write};

use serde_json::json;
use whisperr_collector::Collector;

use crate::Result;

/// Serves until standard input ends. Says its URL, and for every line it reads what arrived so far.
pub(crate) fn run(addr: SocketAddr) -> Result<()> {
    let collector = Collector::builder().bind(addr).start()?;
    let mut out = io::stdout();
    writeln!(out, "{}", collector.url())?;
    for line in io::stdin().lock().lines() {
        line?;
        let numbers: Vec<u64> = numbers(&collector);
        let told = json!({
            "numbers": numbers,
            "duplicates": collector.duplicates(),
            "conflicts": collector.conflicts(),
            "requests": collector.requests().len(),
        });
        writeln!(out, "{told}")?;
    }
    Ok(())
}

/// The numbers of the events that arrived, in order, each message id once.
pub(crate) fn numbers(collector: &Collector) -> Vec<u64> {
    let events = collector.events();
    events.iter().filter_map(|event| event.get("properties")?.get("n")?.as_u64()).collect()
}
