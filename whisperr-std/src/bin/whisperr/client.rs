//! The client behind a command.

use core::convert::Infallible;
use core::time::Duration;
use std::path::Path;
use std::thread;
use std::time::Instant;

use whisperr_std::{Body, BuildError, Builder, OpenError, Overflow, Reply, Request, Transport, Whisperr};

use crate::args::Settings;
use crate::exit::{self, Failure};

/// Most operations in the queue, unless `--max-queue` says otherwise.
const MAX_QUEUE: u32 = 100_000;

/// How long a command waits for another one to let go of the queue directory. Longer than two that
/// say one thing at a time to a server that hangs.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// How often it looks.
const LOCK_POLL: Duration = Duration::from_millis(20);

/// What a command does when things take time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Retries as every client does, and waits for room in a full queue.
    Patient,
    /// Tries once, since a script waits, and has the oldest event make room.
    Brief,
}

/// Opens a client that delivers, unless there is no time for it.
pub(crate) fn open(settings: &Settings, manner: Manner, timeout: Duration) -> Result<Whisperr, Failure> {
    let key = settings
        .key
        .as_deref()
        .ok_or_else(|| Failure::usage("the ingestion key is missing: give --key or set WHISPERR_API_KEY"))?;
    let whisperr = unlocked(|| {
        let mut builder = builder(settings, key);
        builder = match manner {
            Manner::Patient => builder.overflow(Overflow::Refuse),
            Manner::Brief => builder.max_retries(0),
        };
        if let Some(url) = &settings.base_url {
            builder = builder.base_url(url);
        }
        builder.build()
    })?;
    if timeout.is_zero() {
        whisperr.pause();
    }
    Ok(whisperr)
}

/// Opens a client that never sends anything.
pub(crate) fn open_offline(settings: &Settings) -> Result<Whisperr, Failure> {
    if settings.queue.is_none() && settings.key.is_none() {
        let text = "which queue: give --queue or set WHISPERR_QUEUE_DIR, or give the key, \
                    which names the default one";
        return Err(Failure::usage(text));
    }
    let key = settings.key.as_deref().unwrap_or_default();
    unlocked(|| builder(settings, key).build_with_transport(Offline))
}

/// Whether one command can go on with the session of another: this system tells its boots apart.
pub(crate) fn has_session() -> bool {
    Path::new("/proc/sys/kernel/random/boot_id").exists()
}

fn builder(settings: &Settings, key: &str) -> Builder {
    let builder = Whisperr::builder(key)
        .max_queue_size(settings.max_queue.unwrap_or(MAX_QUEUE))
        // Each command says itself how long it delivers.
        .shutdown_timeout(Duration::ZERO)
        .session_across_processes(has_session())
        .on_error(|notice| exit::say(&format_args!("{}: {notice}", notice.kind().as_str())));
    match &settings.queue {
        Some(queue) => builder.queue_dir(queue),
        None => builder,
    }
}

/// Builds as soon as no other process holds the queue directory.
fn unlocked(build: impl Fn() -> Result<Whisperr, BuildError>) -> Result<Whisperr, Failure> {
    let start = Instant::now();
    loop {
        match build() {
            Ok(whisperr) => return Ok(whisperr),
            Err(BuildError::QueueDir(OpenError::Locked { .. })) if start.elapsed() < LOCK_WAIT => {
                thread::sleep(LOCK_POLL);
            }
            Err(error) => return Err(failure(&error)),
        }
    }
}

fn failure(error: &BuildError) -> Failure {
    match error {
        BuildError::Key(_) | BuildError::BaseUrl(_) | BuildError::Config(_) | BuildError::NoQueueDir => {
            Failure::usage(error)
        }
        _ => Failure::refused(error),
    }
}

/// Answers nothing, and reads nothing either.
struct Offline;

impl Transport for Offline {
    type Error = Infallible;

    async fn send<B: Body>(&mut self, _: Request, _: &mut B) -> Result<Reply, Infallible> {
        core::future::pending().await
    }
}
