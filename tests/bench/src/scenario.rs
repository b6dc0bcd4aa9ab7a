//! What one process measures.

use core::error::Error;
use core::time::Duration;
use std::path::Path;
use std::time::Instant;

use whisperr_std::file::{FileOptions, FileStorage};
use whisperr_std::{Builder, Flush, Track, Whisperr};

use crate::event::{BURST, EVENT_TYPE, Properties, USER};
use crate::floor;
use crate::measure::{Stopwatch, peak_memory_mb, print_percentiles};

pub(crate) fn run(name: &str, url: &str) -> Result<(), Box<dyn Error>> {
    let directory =
        tempfile::tempdir_in(std::env::var_os("WHISPERR_BENCH_DIR").unwrap_or_else(|| ".".into()))?;
    let client = |file| builder(url, directory.path(), file);
    match name {
        "floor" => floor::run(url),
        "write" => floor::write(directory.path()),
        "track-memory" => track(client(false)),
        "track-file" => {
            track(client(true))?;
            file_bytes(directory.path())
        }
        "burst-memory" => burst(client(false)),
        "burst-file" => burst(client(true)),
        _ => Err("unknown scenario".into()),
    }
}

fn builder(url: &str, directory: &Path, file: bool) -> Builder {
    Whisperr::builder("wrk_bench")
        .base_url(url)
        .max_queue_size(BURST.saturating_mul(2))
        .queue_dir(directory.join("queue"))
        .enable_persistence(file)
        .max_queue_bytes(16 << 20)
}

fn say(whisperr: &Whisperr, n: u32) -> Result<(), whisperr_std::Error> {
    let event = Track::new(EVENT_TYPE).user(USER).properties(Properties::new(n));
    whisperr.track_event(&event).map(|_| ())
}

/// How long one call takes while nothing is being sent.
fn track(builder: Builder) -> Result<(), Box<dyn Error>> {
    let whisperr = builder.build()?;
    whisperr.pause();
    let mut nanos = Vec::with_capacity(BURST as usize);
    for n in 0..BURST {
        let start = Instant::now();
        say(&whisperr, n)?;
        nanos.push(u32::try_from(start.elapsed().as_nanos())?);
    }
    print_percentiles(nanos);
    let _owed = whisperr.shutdown(Duration::ZERO);
    Ok(())
}

/// Bytes that the events of [`track`] take on file.
fn file_bytes(directory: &Path) -> Result<(), Box<dyn Error>> {
    let storage = FileStorage::open(&directory.join("queue"), FileOptions::new())?;
    let stats = storage.stats();
    println!("file_bytes_per_event={}", stats.bytes as f64 / stats.records as f64);
    Ok(())
}

/// A burst from the first call to the last acknowledgement.
fn burst(builder: Builder) -> Result<(), Box<dyn Error>> {
    let whisperr = builder.build()?;
    let watch = Stopwatch::start();
    for n in 0..BURST {
        say(&whisperr, n)?;
    }
    let (accepted, _) = watch.read();
    if whisperr.flush(Duration::from_secs(60)) != Flush::Delivered {
        return Err("the burst was not delivered".into());
    }
    let (wall, cpu) = watch.read();
    println!("accept_seconds={accepted}");
    println!("events_per_second={}", f64::from(BURST) / wall);
    println!("cpu_ns_per_event={}", cpu / f64::from(BURST));
    println!("peak_mb={}", peak_memory_mb());
    Ok(())
}
