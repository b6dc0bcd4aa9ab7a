//! A network that answers what a script says, when the script says so.

use core::cell::RefCell;
use core::convert::Infallible;
use core::fmt;
use core::future::poll_fn;
use core::task::Poll;
use std::rc::Rc;

use embedded_io_async::{ErrorType, Write};
use whisperr_core::{Body, Clock, Instant, Reply, Request, Transport};

use crate::clock::SimClock;

/// What happens to one request.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "scripts build it")]
pub struct Answer {
    /// Whether the server processes the request.
    pub processed: bool,
    /// The reply; `None` for a connection that breaks.
    pub reply: Option<Reply>,
    /// How long it takes, in milliseconds.
    pub after_ms: u64,
}

/// The server processes the request when the status is 2xx, and answers after 20 ms.
#[must_use]
pub fn reply(status: u16) -> Answer {
    Answer { processed: (200..300).contains(&status), reply: Some(Reply::new(status)), after_ms: 20 }
}

/// An answer with a `Retry-After`.
#[must_use]
pub fn retry_after(status: u16, value: &str) -> Answer {
    Answer { reply: Some(Reply::new(status).retry_after(value.as_bytes())), ..reply(status) }
}

/// The connection breaks before the request arrives.
#[must_use]
pub const fn no_reply() -> Answer {
    Answer { processed: false, reply: None, after_ms: 20 }
}

/// The server processes the request and its reply is lost.
#[must_use]
pub const fn lost_reply() -> Answer {
    Answer { processed: true, reply: None, after_ms: 20 }
}

/// One request as the network saw it.
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_structs, reason = "a plain fact for assertions")]
pub struct Exchange {
    /// When it was sent.
    pub at: Instant,
    /// Where it went.
    pub path: &'static str,
    /// Its whole body.
    pub body: Vec<u8>,
    /// The status answered, if any.
    pub status: Option<u16>,
    /// How long the answer took, in milliseconds.
    pub after_ms: u64,
}

type Script = Box<dyn FnMut(&Request, &[u8]) -> Answer>;
type Deliver = Box<dyn FnMut(&Request, &[u8])>;

/// The network of a world.
#[derive(Clone)]
pub struct Network(Rc<RefCell<Inner>>);

struct Inner {
    script: Script,
    deliver: Deliver,
    exchanges: Vec<Exchange>,
    /// When the answer under way arrives.
    due: Option<Instant>,
    /// Requests whose answer the client got and has not been asked about, by their place in
    /// `requests`, which counts from the last start of the client.
    answered: Vec<usize>,
    requests: usize,
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").field("exchanges", &self.0.borrow().exchanges.len()).finish_non_exhaustive()
    }
}

impl Network {
    /// A network that delivers to `deliver` and answers 202.
    pub fn new(deliver: impl FnMut(&Request, &[u8]) + 'static) -> Self {
        let script: Script = Box::new(|_, _| reply(202));
        let deliver: Deliver = Box::new(deliver);
        Self(Rc::new(RefCell::new(Inner {
            script,
            deliver,
            exchanges: Vec::new(),
            due: None,
            answered: Vec::new(),
            requests: 0,
        })))
    }

    /// Replaces the script.
    pub fn script(&self, script: impl FnMut(&Request, &[u8]) -> Answer + 'static) {
        self.0.borrow_mut().script = Box::new(script);
    }

    /// Everything sent so far.
    #[must_use]
    pub fn exchanges(&self) -> Vec<Exchange> {
        self.0.borrow().exchanges.clone()
    }

    /// Which requests the client got an answer to since this was asked last, counted from the last
    /// start of the client.
    #[must_use]
    pub fn take_answered(&self) -> Vec<usize> {
        core::mem::take(&mut self.0.borrow_mut().answered)
    }

    /// The client starts anew: requests count from 0 again.
    pub(crate) fn restarted(&self) {
        let inner = &mut *self.0.borrow_mut();
        inner.answered.clear();
        inner.requests = 0;
    }

    /// When the answer under way arrives.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.0.borrow().due
    }
}

/// The transport over the network.
#[derive(Debug, Clone)]
pub struct SimTransport {
    /// The network.
    network: Network,
    clock: SimClock,
}

impl SimTransport {
    /// A transport over a network.
    #[must_use]
    pub const fn new(network: Network, clock: SimClock) -> Self {
        Self { network, clock }
    }
}

/// The connection broke.
#[derive(Debug, Clone, Copy)]
pub struct Broken;

/// Collects a body.
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

/// Takes the due time away when the request is dropped.
struct Due<'a>(&'a Network);

impl Drop for Due<'_> {
    fn drop(&mut self) {
        self.0.0.borrow_mut().due = None;
    }
}

impl Transport for SimTransport {
    type Error = Broken;

    async fn send<B: Body>(&mut self, request: Request, body: &mut B) -> Result<Reply, Broken> {
        let mut bytes = Bytes(Vec::with_capacity(body.bytes()));
        body.write_to(&mut bytes).await.map_err(|_| Broken)?;
        assert_eq!(bytes.0.len(), body.bytes(), "the length announced is the length written");
        let now = self.clock.now();
        let index;
        let answer = {
            let inner = &mut *self.network.0.borrow_mut();
            let answer = (inner.script)(&request, &bytes.0);
            index = inner.requests;
            inner.requests = index.saturating_add(1);
            let status = answer.reply.map(|reply| reply.status());
            inner.exchanges.push(Exchange {
                at: now,
                path: request.path,
                body: bytes.0.clone(),
                status,
                after_ms: answer.after_ms,
            });
            answer
        };
        let due = now.after(core::time::Duration::from_millis(answer.after_ms));
        self.network.0.borrow_mut().due = Some(due);
        let _due = Due(&self.network);
        poll_fn(|_| if self.clock.now() >= due { Poll::Ready(()) } else { Poll::Pending }).await;
        if answer.processed {
            (self.network.0.borrow_mut().deliver)(&request, &bytes.0);
        }
        self.network.0.borrow_mut().answered.push(index);
        answer.reply.ok_or(Broken)
    }
}
