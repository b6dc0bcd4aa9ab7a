//! HTTP/1.1 over plain TCP.

use core::fmt;
use core::pin::pin;

use embassy_futures::select::{Either, select};
use embassy_net::Stack;
use embassy_net::tcp::{Error as TcpError, State, TcpSocket};
use embassy_time::{Duration, Instant};
use embedded_io_async::{ErrorType, Read, Write};
use whisperr_core::{Body, Reply, Request, Transport, apart};

use super::dial::connect;
use super::error::HttpError;
use super::exchange::exchange;
use super::server::{Server, ServerError};
use crate::logging;

/// Longer than this a connection is not kept for another request: servers and address translators forget idle
/// ones, often without a word, and a request that is sent into the void costs a whole `request_timeout`.
pub(super) const IDLE_MAX: Duration = Duration::from_secs(60);

/// The buffers of a TCP socket: `TX` bytes to send, `RX` received.
///
/// A larger `TX` lets more of a request be on its way at once; 512 of `RX` are enough for any reply.
#[derive(Debug)]
pub struct TcpBuffers<const TX: usize = 1024, const RX: usize = 512> {
    pub(super) tx: [u8; TX],
    pub(super) rx: [u8; RX],
}

impl<const TX: usize, const RX: usize> TcpBuffers<TX, RX> {
    /// Empty buffers, for a static.
    #[must_use]
    pub const fn new() -> Self {
        Self { tx: [0; TX], rx: [0; RX] }
    }
}

impl<const TX: usize, const RX: usize> Default for TcpBuffers<TX, RX> {
    fn default() -> Self {
        Self::new()
    }
}

/// A [`Transport`] over plain TCP, for servers in a network you trust.
///
/// It holds one TCP socket of the stack as long as it lives: `StackResources` needs room for that one, beside the one
/// of the stack's DNS and, with DHCP, another. The connection is kept for the next request, up to a minute; when
/// the server closed it meanwhile, a new one is made. Names are looked up for every connection.
///
/// Dropping the future of a request, as the core does when its time is over, ends the connection.
pub struct HttpTransport<'d> {
    stack: Stack<'d>,
    socket: TcpSocket<'d>,
    server: Server<'d>,
    /// Since when an open connection waits for another request.
    idle_since: Option<Instant>,
}

impl fmt::Debug for HttpTransport<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpTransport").field("server", &self.server).finish_non_exhaustive()
    }
}

impl<'d> HttpTransport<'d> {
    /// A transport to a server. No connection is made before there is something to send.
    ///
    /// # Errors
    /// [`ServerError::NoTls`] for an `https` base URL, which the default one is.
    pub fn new<const TX: usize, const RX: usize>(
        stack: Stack<'d>,
        buffers: &'d mut TcpBuffers<TX, RX>,
        server: Server<'d>,
    ) -> Result<Self, ServerError> {
        if server.url.is_secure() {
            return Err(ServerError::NoTls);
        }
        let socket = socket(stack, &mut buffers.rx, &mut buffers.tx);
        Ok(Self { stack, socket, server, idle_since: None })
    }

    /// Whether the connection is there, and nothing came on it since the last reply: what a server says unasked,
    /// such as 408 before it closes, is not the reply to the next request.
    fn is_idle(&self) -> bool {
        let is_fresh = self.idle_since.is_some_and(|since| since.elapsed() < IDLE_MAX);
        is_fresh && self.socket.state() == State::Established && !self.socket.can_recv()
    }
}

impl Transport for HttpTransport<'_> {
    type Error = HttpError;

    async fn send<B: Body>(&mut self, request: Request, body: &mut B) -> Result<Reply, HttpError> {
        let mut was_kept = self.is_idle();
        self.idle_since = None;
        let mut connection = HangUp { socket: &mut self.socket, is_armed: true };
        loop {
            if !was_kept {
                connection.socket.abort();
                apart(pin!(connect(self.stack, connection.socket, &self.server))).await?;
            }
            match exchange(&mut connection, &self.server, request, body).await {
                Ok(done) => {
                    connection.is_armed = !done.is_reusable;
                    self.idle_since = done.is_reusable.then(Instant::now);
                    return Ok(done.reply);
                }
                // The server closed the connection while nobody looked, and the request met its end. It may have
                // arrived all the same; the same message ids make that harmless. Not counted as a failed attempt:
                // nothing is wrong with the server.
                Err(failed) if was_kept && !failed.was_answered && !failed.error.is_own() => {
                    was_kept = false;
                }
                Err(failed) => {
                    logging::debug("no reply", &failed.error);
                    return Err(failed.error);
                }
            }
        }
    }
}

/// A socket for requests.
pub(super) fn socket<'d>(stack: Stack<'d>, rx: &'d mut [u8], tx: &'d mut [u8]) -> TcpSocket<'d> {
    let mut socket = TcpSocket::new(stack, rx, tx);
    // The end of a request would wait for the acknowledgement of what is before it, which servers hold back in the
    // hope of more: tens of milliseconds of radio for nothing.
    socket.set_nagle_enabled(false);
    socket
}

/// A connection that ends with the request, unless it is disarmed.
pub(super) struct HangUp<'a, 'd> {
    pub(super) socket: &'a mut TcpSocket<'d>,
    pub(super) is_armed: bool,
}

impl Drop for HangUp<'_, '_> {
    fn drop(&mut self) {
        if self.is_armed {
            self.socket.abort();
        }
    }
}

impl ErrorType for HangUp<'_, '_> {
    type Error = TcpError;
}

impl Read for HangUp<'_, '_> {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, TcpError> {
        self.socket.read(buffer).await
    }
}

impl Write for HangUp<'_, '_> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, TcpError> {
        let (reader, mut writer) = self.socket.split();
        // A server that answers before it has the whole request may not read the rest of it.
        match select(writer.write(bytes), reader.wait_read_ready()).await {
            Either::First(count) => count,
            Either::Second(()) => Err(TcpError::ConnectionReset),
        }
    }

    async fn flush(&mut self) -> Result<(), TcpError> {
        // The stack sends by itself; the reply says that it arrived.
        Ok(())
    }
}
