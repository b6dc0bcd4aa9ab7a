//! Between a request and the connection that carries it, which outlives it: both are futures of one task.

use core::convert::Infallible;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Waker};

use embassy_futures::select::{Either, select};
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::pipe::Pipe;
use embassy_sync::signal::Signal;
use embedded_io_async::{ErrorType, Write};
use whisperr_core::{Body, BodyError, Reply, Request, Transport};

use crate::net::error::HttpError;
use crate::net::exchange::Exactly;

/// Bytes of a body on their way.
const BODY_BYTES: usize = 256;

/// What the two tell each other.
pub(super) struct Link {
    /// A request is to be sent.
    pub(super) request: Signal<NoopRawMutex, Request>,
    pub(super) body: Pipe<NoopRawMutex, BODY_BYTES>,
    /// How it ended.
    pub(super) ended: Signal<NoopRawMutex, Result<Reply, Ended>>,
    /// Nobody waits for the reply any more.
    pub(super) hang_up: Signal<NoopRawMutex, ()>,
}

/// Why there is no reply.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ended {
    /// The connection was kept from an earlier request and had ended meanwhile: another may do.
    Stale,
    Failed(HttpError),
}

impl Link {
    pub(super) const fn new() -> Self {
        Self { request: Signal::new(), body: Pipe::new(), ended: Signal::new(), hang_up: Signal::new() }
    }
}

/// The connection as a future that never ends.
type Connection<'a> = Pin<&'a mut (dyn Future<Output = Infallible> + 'a)>;

/// The transport on the side of the requests.
pub(super) struct Linked<'a> {
    link: &'a Link,
    connection: Connection<'a>,
}

impl<'a> Linked<'a> {
    pub(super) fn new(link: &'a Link, connection: Connection<'a>) -> Self {
        Self { link, connection }
    }
}

impl Transport for Linked<'_> {
    type Error = HttpError;

    async fn send<B: Body>(&mut self, request: Request, body: &mut B) -> Result<Reply, HttpError> {
        let mut attempt = Attempt { transport: self, is_armed: true };
        let mut ended = attempt.make(request, body).await;
        if let Err(Ended::Stale) = ended {
            // As in the plain transport: not counted, since nothing is wrong with the server.
            ended = attempt.make(request, body).await;
        }
        attempt.is_armed = false;
        ended.map_err(|ended| match ended {
            Ended::Stale => HttpError::Connection,
            Ended::Failed(error) => error,
        })
    }
}

/// One attempt, which ends the connection when it is dropped before its end.
struct Attempt<'t, 'a> {
    transport: &'t mut Linked<'a>,
    is_armed: bool,
}

impl Attempt<'_, '_> {
    async fn make<B: Body>(&mut self, request: Request, body: &mut B) -> Result<Reply, Ended> {
        let link = self.transport.link;
        link.body.clear();
        link.ended.reset();
        link.hang_up.reset();
        link.request.signal(request);
        let exchange = async {
            let mut sink = Sink(&link.body);
            let mut out = Exactly { connection: &mut sink, left: request.body_bytes };
            let body = async {
                let written = body.write_to(&mut out).await;
                (written.is_ok() && out.left == 0).then_some(())
            };
            // The reply may come before the body was wanted to its end.
            match select(link.ended.wait(), body).await {
                Either::First(ended) => ended,
                Either::Second(Some(())) => link.ended.wait().await,
                Either::Second(None) => {
                    link.hang_up.signal(());
                    Err(Ended::Failed(HttpError::Body))
                }
            }
        };
        match select(self.transport.connection.as_mut(), exchange).await {
            Either::First(never) => match never {},
            Either::Second(ended) => ended,
        }
    }
}

impl Drop for Attempt<'_, '_> {
    fn drop(&mut self) {
        if self.is_armed {
            self.transport.link.hang_up.signal(());
        }
        // A last look: the connection ends now, and not when there is something to send again.
        let mut context = Context::from_waker(Waker::noop());
        let _never_ends = self.transport.connection.as_mut().poll(&mut context);
    }
}

/// The end of the pipe into which the body is written.
struct Sink<'a>(&'a Pipe<NoopRawMutex, BODY_BYTES>);

impl ErrorType for Sink<'_> {
    type Error = Infallible;
}

impl Write for Sink<'_> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        Ok(self.0.write(bytes).await)
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// The body as the connection sees it.
pub(super) struct Piped<'a> {
    pub(super) link: &'a Link,
    pub(super) bytes: usize,
}

impl Body for Piped<'_> {
    fn bytes(&self) -> usize {
        self.bytes
    }

    async fn write_to<W: Write>(&mut self, writer: &mut W) -> Result<(), BodyError<W::Error>> {
        let mut left = self.bytes;
        let mut piece = [0; BODY_BYTES / 2];
        while left > 0 {
            let wanted = left.min(piece.len());
            let count = self.link.body.read(piece.get_mut(..wanted).unwrap_or_default()).await;
            let mut bytes = piece.get(..count).unwrap_or_default();
            left = left.saturating_sub(count);
            while !bytes.is_empty() {
                let written = writer.write(bytes).await.map_err(BodyError::Writer)?;
                bytes = bytes.get(written..).unwrap_or_default();
            }
        }
        Ok(())
    }
}
