//! The floor: serialise and post, promise nothing.

use core::error::Error;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use serde::Serialize;

use crate::event::{BURST, EVENT_TYPE, Properties, USER};
use crate::measure::{Stopwatch, peak_memory_mb, print_percentiles};

#[derive(Serialize)]
struct Context {
    #[serde(rename = "$message_id")]
    message_id: String,
}

#[derive(Serialize)]
struct Event {
    external_user_id: &'static str,
    event_type: &'static str,
    occurred_at: &'static str,
    properties: Properties,
    context: Context,
}

#[derive(Serialize)]
struct Batch {
    events: Vec<Event>,
}

/// The floor of a call that ends on file: one bare write of as many bytes as an event takes there.
pub(crate) fn write(directory: &Path) -> Result<(), Box<dyn Error>> {
    const BYTES: [u8; 125] = [7; 125];
    let mut file = File::create(directory.join("floor"))?;
    let mut nanos = Vec::with_capacity(BURST as usize);
    for _ in 0..BURST {
        let start = Instant::now();
        file.write_all(&BYTES)?;
        nanos.push(u32::try_from(start.elapsed().as_nanos())?);
    }
    print_percentiles(nanos);
    Ok(())
}

pub(crate) fn run(url: &str) -> Result<(), Box<dyn Error>> {
    rustls::crypto::ring::default_provider().install_default().map_err(|_| "a provider is set already")?;
    let client = reqwest::Client::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let url = format!("{url}/v1/events/batch");
    let watch = Stopwatch::start();
    let mut bytes = 0_usize;
    for start in (0..BURST).step_by(500) {
        let events = (start..start.saturating_add(500)).map(|n| Event {
            external_user_id: USER,
            event_type: EVENT_TYPE,
            occurred_at: "2026-05-31T12:00:00.123Z",
            properties: Properties::new(n),
            context: Context { message_id: format!("00000000-0000-8000-8000-{n:012x}") },
        });
        let body = serde_json::to_vec(&Batch { events: events.collect() })?;
        bytes = bytes.saturating_add(body.len());
        let posted = client.post(&url).header("content-type", "application/json").body(body).send();
        runtime.block_on(async { posted.await?.bytes().await })?;
    }
    let (wall, cpu) = watch.read();
    println!("events_per_second={}", f64::from(BURST) / wall);
    println!("cpu_ns_per_event={}", cpu / f64::from(BURST));
    println!("wire_bytes_per_event={}", bytes as f64 / f64::from(BURST));
    println!("peak_mb={}", peak_memory_mb());
    Ok(())
}
