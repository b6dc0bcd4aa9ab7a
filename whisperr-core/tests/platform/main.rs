//! The core on the smallest platform: a clock that stands still, a cell as the lock, a wire that keeps
//! what it got.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail")]

mod bodies;
mod consent;
mod lending;
mod limits;
mod opening;
mod values;

use core::cell::{RefCell, RefMut};
use core::convert::Infallible;
use core::future::poll_fn;
use core::task::Poll;

use embedded_io_async::{ErrorType, Write};
use whisperr_core::{
    Body, Client, Clock, Instant, Notice, Reply, Request, Shared, Storage, Transport, UtcMillis, ready, run,
};

/// 2026-05-31T12:00:00Z.
const UTC: i64 = 1_780_228_800_000;

/// A clock that stands still.
struct Stopped {
    ms: u64,
    utc: Option<i64>,
}

impl Clock for Stopped {
    fn now(&self) -> Instant {
        Instant::from_millis(self.ms)
    }

    fn utc(&self) -> Option<UtcMillis> {
        self.utc.map(UtcMillis::new)
    }
}

/// A wire that answers every request the same.
struct Wire {
    status: u16,
    /// Path and body of every request.
    sent: Vec<(&'static str, String)>,
}

impl Wire {
    const fn new(status: u16) -> Self {
        Self { status, sent: Vec::new() }
    }
}

struct Bytes(Vec<u8>);

impl ErrorType for Bytes {
    type Error = Infallible;
}

impl Write for Bytes {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

impl Transport for Wire {
    type Error = Infallible;

    async fn send<B: Body>(&mut self, request: Request, body: &mut B) -> Result<Reply, Infallible> {
        let mut bytes = Bytes(Vec::new());
        let written = body.write_to(&mut bytes).await;
        assert_eq!((written, bytes.0.len()), (Ok(()), request.body_bytes));
        self.sent.push((request.path, String::from_utf8(bytes.0).unwrap()));
        Ok(Reply::new(self.status))
    }
}

/// A client behind a cell.
struct Lock<S: Storage>(RefCell<Client<S, Vec<u8>>>);

impl<S: Storage> Shared for Lock<S> {
    type Storage = S;
    type Buffer = Vec<u8>;
    type Guard<'a>
        = RefMut<'a, Client<S, Vec<u8>>>
    where
        S: 'a;

    async fn lock(&self) -> Self::Guard<'_> {
        self.0.borrow_mut()
    }

    async fn wait(&self, _until: Option<Instant>) {
        // The clock stands still: nothing ends a wait.
        poll_fn(|_| Poll::Pending).await
    }
}

/// Flushes, and delivers as far as it goes without time passing; returns what the application is told.
fn deliver<S: Storage>(
    client: Client<S, Vec<u8>>,
    clock: &impl Clock,
    transport: &mut impl Transport,
) -> (Client<S, Vec<u8>>, Vec<Notice>) {
    let lock = Lock(RefCell::new(client));
    let _ticket = lock.0.borrow_mut().flush();
    let mut notices = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    assert_eq!(ready(run(&lock, clock, transport, &mut buffer, |notice| notices.push(notice))), None);
    (lock.0.into_inner(), notices)
}
