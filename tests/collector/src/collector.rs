use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use serde_json::Value;
use tokio::sync::oneshot;

use crate::fault::FaultRule;
use crate::ingest::{Clock, Settings};
use crate::rules::Window;
use crate::seen::{Operation, Seen};
use crate::server::Server;
use crate::store::{Store, View};
use crate::timestamp::UtcMs;

/// Most bytes of a request body, unless [`Builder::body_limit`] says otherwise.
///
/// The contract has no number; this is 8 KiB for each event of a full batch.
pub const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A running stand-in for the ingestion server.
///
/// It serves on a thread of its own. Dropping it closes the port and every connection, also those
/// whose reply is still owed, and returns once the thread has ended.
#[derive(Debug)]
pub struct Collector {
    addr: SocketAddr,
    server: Arc<Server>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Collector {
    /// Starts one on a free port of 127.0.0.1 that takes any ingestion key.
    ///
    /// # Errors
    /// Those of binding the port and of starting a thread.
    pub fn start() -> io::Result<Self> {
        Self::builder().start()
    }

    /// Starts from the defaults, one setting at a time.
    pub fn builder() -> Builder {
        Builder {
            addr: (Ipv4Addr::LOCALHOST, 0).into(),
            settings: Settings {
                api_key: None,
                window: Some(Window::default()),
                body_bytes_max: BODY_BYTES_MAX,
                clock: Clock(Arc::new(UtcMs::now)),
            },
        }
    }

    /// The base URL for a client: `http://127.0.0.1:4801`, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The address it listens on.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The accepted events in order of acceptance, each message id once.
    #[must_use]
    pub fn events(&self) -> Vec<Value> {
        self.store().read(|state| state.events())
    }

    /// The accepted identify bodies in order of acceptance.
    #[must_use]
    pub fn identifies(&self) -> Vec<Value> {
        self.store().read(|state| state.identifies())
    }

    /// The accepted operations, tracks and identifies in one order.
    #[must_use]
    pub fn operations(&self) -> Vec<Operation> {
        self.store().read(|state| state.operations.clone())
    }

    /// Every request to anything but the control surface, in order of arrival.
    #[must_use]
    pub fn requests(&self) -> Vec<Seen> {
        self.store().read(|state| state.requests())
    }

    /// How many events came again under a known message id, changed or not.
    #[must_use]
    pub fn duplicates(&self) -> usize {
        self.store().read(|state| state.duplicates)
    }

    /// Why a known message id was wrong to come again: the event was another. A client that keeps
    /// the contract leaves this empty.
    #[must_use]
    pub fn conflicts(&self) -> Vec<String> {
        self.store().read(|state| state.conflicts.clone())
    }

    /// Queues a fault: a [`Fault`](crate::Fault), until it is cleared, or a [`FaultRule`].
    pub fn fault(&self, fault: impl Into<FaultRule>) {
        let rule = fault.into();
        self.store().update(|state| state.faults.push(rule));
    }

    /// Clears every fault that is queued or standing. Requests that already met one keep it.
    pub fn clear_faults(&self) {
        self.store().update(|state| state.faults.clear());
    }

    /// Forgets everything that was recorded, the known message ids too. The faults stay.
    pub fn clear(&self) {
        self.store().update(|state| state.clear());
    }

    /// Blocks until `predicate` holds or `deadline` has passed, and tells whether it held.
    ///
    /// The predicate is asked at once and after every change. It may call the collector.
    pub fn wait_for(&self, deadline: Duration, predicate: impl FnMut(&View) -> bool) -> bool {
        self.store().wait_for(deadline, predicate)
    }

    fn store(&self) -> &Store {
        &self.server.store
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the server has already been printed by its thread.
            let _ = thread.join();
        }
    }
}

/// The settings of a [`Collector`], from [`Collector::builder`].
#[derive(Debug)]
#[must_use = "nothing listens before `start`"]
pub struct Builder {
    addr: SocketAddr,
    settings: Settings,
}

impl Builder {
    /// Takes only this ingestion key; any other gets 401. Default: every key that is not empty.
    pub fn api_key(mut self, key: &str) -> Self {
        self.settings.api_key = Some(key.to_owned());
        self
    }

    /// Sets how far `occurred_at` may lie from the clock; `None` takes any date.
    pub const fn window(mut self, window: Option<Window>) -> Self {
        self.settings.window = window;
        self
    }

    /// Sets the largest body that is not answered with 413. Default [`BODY_BYTES_MAX`].
    pub const fn body_limit(mut self, bytes: usize) -> Self {
        self.settings.body_bytes_max = bytes;
        self
    }

    /// Sets where the date comes from, for the window and for the `Date` of replies.
    pub fn clock(mut self, clock: impl Fn() -> UtcMs + Send + Sync + 'static) -> Self {
        self.settings.clock = Clock(Arc::new(clock));
        self
    }

    /// Sets the address to listen on. Port 0 is a free one. Default 127.0.0.1:0.
    pub const fn bind(mut self, addr: SocketAddr) -> Self {
        self.addr = addr;
        self
    }

    /// Starts to listen. Once this returns, clients can connect.
    ///
    /// # Errors
    /// Those of binding the port and of starting a thread.
    pub fn start(self) -> io::Result<Collector> {
        let listener = TcpListener::bind(self.addr)?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        let server =
            Arc::new(Server { settings: self.settings, store: Store::default(), started: Instant::now() });
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = Arc::clone(&server);
        let thread = thread::Builder::new().name("whisperr-collector".into()).spawn(move || {
            runtime.spawn(serving.accept(listener));
            // An error is the sender being dropped, which is how it stops. Dropping the
            // runtime then drops every connection, whatever it waits for.
            let _ = runtime.block_on(stopped);
        })?;
        Ok(Collector { addr, server, stop: Some(stop), thread: Some(thread) })
    }
}
