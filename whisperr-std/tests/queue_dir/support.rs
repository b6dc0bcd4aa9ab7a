//! Queue directories, and what is delivered from them.

use core::time::Duration;
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use serde_json::Value;
use whisperr_std::{
    Body, BuildError, Builder, Flush, Fsync, Notice, OpenError, Reply, Request, Transport, Whisperr,
    body_bytes,
};

/// Longer than anything here takes: only a hang comes to its end.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// A client of this directory. The page cache is enough: nobody cuts the power here.
pub(crate) fn builder(queue: &Path) -> Builder {
    Whisperr::builder("wrk_test")
        .queue_dir(queue)
        .fsync(Fsync::Never)
        .flush_interval(Duration::from_secs(3600))
        .flush_at(10_000_000)
        .retry_base_delay(Duration::from_millis(10))
        // Whoever drops it opens the queue again: the thread that holds it must have ended.
        .shutdown_timeout(SOON)
}

/// A child shares the lock of every queue that is open, until it runs a program of its own: no queue
/// is opened while one is on its way.
static STARTING: RwLock<()> = RwLock::new(());

/// Starts a program and waits until it shows that it runs.
pub(crate) fn alone<T>(starting: impl FnOnce() -> T) -> T {
    let _nobody_opens = STARTING.write().unwrap_or_else(PoisonError::into_inner);
    starting()
}

/// Opens a queue in some way.
pub(crate) fn undisturbed<T>(opening: impl FnOnce() -> T) -> T {
    let _nobody_starts = STARTING.read().unwrap_or_else(PoisonError::into_inner);
    opening()
}

/// Opens a client.
pub(crate) fn try_open(builder: Builder, server: &Server) -> Result<Whisperr, BuildError> {
    undisturbed(|| builder.build_with_transport(server.clone()))
}

/// Opens a client, which must succeed.
pub(crate) fn open(builder: Builder, server: &Server) -> Whisperr {
    try_open(builder, server).unwrap()
}

/// Why the directory cannot be used.
pub(crate) fn refusal(queue: &Path) -> OpenError {
    match try_open(builder(queue), &Server::default()) {
        Err(BuildError::QueueDir(error)) => error,
        other => panic!("{}: {other:?}", queue.display()),
    }
}

/// Opens the queue, delivers everything, and returns it.
pub(crate) fn deliver(queue: &Path) -> Vec<Value> {
    let server = Server::default();
    let whisperr = open(builder(queue), &server);
    assert_eq!(whisperr.flush(SOON), Flush::Delivered);
    server.operations()
}

/// Tracks events with these numbers, which stay in the queue.
pub(crate) fn owe(queue: &Path, numbers: impl IntoIterator<Item = u64>) {
    let whisperr = open(builder(queue), &Server::default());
    whisperr.pause();
    for n in numbers {
        whisperr.track("door_opened", serde_json::json!({ "n": n })).unwrap();
    }
    assert_eq!(whisperr.flush(SOON), Flush::Paused);
}

/// The `n` of events.
pub(crate) fn numbers(operations: &[Value]) -> Vec<u64> {
    operations.iter().map(|operation| operation["properties"]["n"].as_u64().unwrap()).collect()
}

/// Takes everything and remembers it in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Server {
    operations: Arc<Mutex<Vec<Value>>>,
}

impl Server {
    /// Identify bodies, and events one by one.
    pub(crate) fn operations(&self) -> Vec<Value> {
        self.operations.lock().unwrap().clone()
    }
}

impl Transport for Server {
    type Error = &'static str;

    async fn send<B: Body>(&mut self, _request: Request, body: &mut B) -> Result<Reply, &'static str> {
        let bytes = body_bytes(body).await.ok_or("the queue could not be read")?;
        let mut taken: Value = serde_json::from_slice(&bytes).unwrap();
        let mut operations = self.operations.lock().unwrap();
        match taken.get_mut("events").map(Value::take) {
            Some(Value::Array(events)) => operations.extend(events),
            _ => operations.push(taken),
        }
        Ok(Reply::new(202))
    }
}

/// Notices, as `on_error` is told them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notices(Arc<Mutex<Vec<Notice>>>);

impl Notices {
    pub(crate) fn listen(&self, builder: Builder) -> Builder {
        let told = Arc::clone(&self.0);
        builder.on_error(move |notice| told.lock().unwrap().push(*notice))
    }

    pub(crate) fn all(&self) -> Vec<Notice> {
        self.0.lock().unwrap().clone()
    }
}

/// A directory that holds these files and nothing else.
pub(crate) fn lay(queue: &Path, files: &BTreeMap<PathBuf, Vec<u8>>) {
    match fs::remove_dir_all(queue) {
        Err(error) if error.kind() != ErrorKind::NotFound => panic!("{error}"),
        _ => fs::DirBuilder::new().mode(0o700).create(queue).unwrap(),
    }
    for (name, bytes) in files {
        fs::write(queue.join(name), bytes).unwrap();
    }
}

/// The files of a directory.
pub(crate) fn files(queue: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let read = |entry: fs::DirEntry| {
        let bytes = fs::read(entry.path()).ok()?;
        Some((PathBuf::from(entry.file_name()), bytes))
    };
    fs::read_dir(queue).unwrap().filter_map(|entry| read(entry.unwrap())).collect()
}

/// The segments of a queue, oldest first.
pub(crate) fn segments(queue: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    files(queue).into_iter().filter(|(name, _)| name.extension().is_some_and(|end| end == "log")).collect()
}

/// The permission bits of a file or directory.
pub(crate) fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}
