//! Connections, one after another, each for as many requests as it carries.

use core::convert::Infallible;
use core::pin::pin;

use embassy_futures::select::select;
use embassy_net::Stack;
use embassy_net::tcp::{Error as TcpError, TcpSocket};
use embassy_time::Instant;
use embedded_io_async::{ErrorType, Read, Write};
use embedded_tls::{MaxFragmentLength, TlsConfig, TlsConnection, TlsContext, TlsError};
use whisperr_core::{Clock, Now, Request, apart, ready};

use super::chain::{Distrust, Expected};
use super::link::{Ended, Link, Piped};
use super::records::Records;
use super::verifier::Provider;
use crate::entropy::Entropy;
use crate::logging;
use crate::net::dial::connect;
use crate::net::error::HttpError;
use crate::net::exchange::exchange;
use crate::net::http::{HangUp, IDLE_MAX, socket};
use crate::net::server::Server;

/// What every connection needs.
pub(super) struct Session<'d, E> {
    pub(super) stack: Stack<'d>,
    pub(super) tcp_rx: &'d mut [u8],
    pub(super) tcp_tx: &'d mut [u8],
    pub(super) rx: &'d mut [u8],
    pub(super) tx: &'d mut [u8],
    pub(super) server: Server<'d>,
    pub(super) roots: &'d [&'d [u8]],
    pub(super) entropy: E,
}

/// A record is this much longer than what it carries, at most.
const RECORD_OVERHEAD: usize = 256;

impl<E: Entropy> Session<'_, E> {
    /// Makes connections for requests, for ever.
    pub(super) async fn serve(&mut self, link: &Link, clock: &impl Clock) -> Infallible {
        let Self { stack, tcp_rx, tcp_tx, rx, tx, server, roots, entropy } = self;
        let mut socket = socket(*stack, tcp_rx, tcp_tx);
        let mut line = Line { stack: *stack, rx, tx, server, roots, entropy };
        loop {
            let first = link.request.wait().await;
            // However it ends, and when nobody waits for the reply any more, the socket is free again.
            let carried = pin!(line.carry(&mut socket, link, clock, first));
            let _whichever = select(carried, link.hang_up.wait()).await;
        }
    }
}

/// What a connection borrows.
struct Line<'a, E> {
    stack: Stack<'a>,
    rx: &'a mut [u8],
    tx: &'a mut [u8],
    server: &'a Server<'a>,
    roots: &'a [&'a [u8]],
    entropy: &'a mut E,
}

impl<E: Entropy> Line<'_, E> {
    /// Makes a connection for a request and carries it, and those after it, until the connection ends.
    async fn carry(&mut self, socket: &mut TcpSocket<'_>, link: &Link, clock: &impl Clock, first: Request) {
        socket.abort();
        let mut connection = HangUp { socket, is_armed: true };
        let connected = { apart(pin!(connect(self.stack, connection.socket, self.server))).await };
        if let Err(error) = connected {
            return refuse(link, error);
        }
        let mut config = TlsConfig::new().with_server_name(self.server.url.host());
        if let Some(length) = fragment_length(self.rx.len()) {
            config = config.with_max_fragment_length(length);
        }
        let records = Records::new(Below(&mut connection));
        let mut tls = TlsConnection::new(records, self.rx, self.tx);
        let opened = {
            let expected =
                Expected { roots: self.roots, host: self.server.url.host(), utc: Now::read(clock).utc };
            let mut provider = Provider::new(expected, &mut *self.entropy);
            let opened = { apart(pin!(tls.open(TlsContext::new(&config, &mut provider)))).await };
            (opened, provider.trust())
        };
        if let Some(error) = refusal(opened.0, opened.1) {
            return refuse(link, error);
        }
        let mut request = first;
        let mut is_first = true;
        loop {
            let mut body = Piped { link, bytes: request.body_bytes };
            let exchanged = { apart(pin!(exchange(&mut tls, self.server, request, &mut body))).await };
            match exchanged {
                Ok(done) => {
                    link.ended.signal(Ok(done.reply));
                    if !done.is_reusable {
                        return;
                    }
                }
                Err(failed) if !is_first && !failed.was_answered && !failed.error.is_own() => {
                    return link.ended.signal(Err(Ended::Stale));
                }
                Err(failed) => return refuse(link, failed.error),
            }
            is_first = false;
            let idle_since = Instant::now();
            request = link.request.wait().await;
            // Whatever comes unasked, the end of the connection included, is not the next reply.
            let is_silent = ready(tls.read(&mut [0])).is_none();
            if idle_since.elapsed() >= IDLE_MAX || !is_silent {
                return link.ended.signal(Err(Ended::Stale));
            }
        }
    }
}

/// Why nothing is sent, by how the handshake ended and whether the server is believed.
const fn refusal(opened: Result<(), TlsError>, trust: Result<(), Distrust>) -> Option<HttpError> {
    match (opened, trust) {
        (Ok(()), Ok(())) => None,
        // A handshake with anybody may end well: `embedded-tls` does not ask for the proof.
        (Ok(()) | Err(TlsError::InvalidCertificate | TlsError::InvalidSignature), Err(distrust)) => {
            Some(HttpError::Distrust(distrust))
        }
        (Err(error), _) => Some(HttpError::Tls(error)),
    }
}

fn refuse(link: &Link, error: HttpError) {
    logging::debug("no reply", &error);
    link.ended.signal(Err(Ended::Failed(error)));
}

/// What to ask a server for so that its records fit, if it must be asked.
const fn fragment_length(buffer_bytes: usize) -> Option<MaxFragmentLength> {
    match buffer_bytes.saturating_sub(RECORD_OVERHEAD) {
        16_384.. => None,
        4096.. => Some(MaxFragmentLength::Bits12),
        2048.. => Some(MaxFragmentLength::Bits11),
        1024.. => Some(MaxFragmentLength::Bits10),
        _ => Some(MaxFragmentLength::Bits9),
    }
}

/// The TCP connection below TLS.
struct Below<'a, 's, 'd>(&'a mut HangUp<'s, 'd>);

impl ErrorType for Below<'_, '_, '_> {
    type Error = TcpError;
}

impl Read for Below<'_, '_, '_> {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, TcpError> {
        self.0.socket.read(buffer).await
    }
}

impl Write for Below<'_, '_, '_> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, TcpError> {
        self.0.socket.write(bytes).await
    }

    async fn flush(&mut self) -> Result<(), TcpError> {
        // The stack sends by itself; the reply says that it arrived.
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    /// Whoever reads the log learns what is wrong with the server, and not that TLS failed.
    #[test]
    fn a_server_that_is_not_believed_is_refused_with_the_reason() {
        let name = Err(Distrust::Name);
        for (opened, trust, expected) in [
            (Ok(()), Ok(()), None),
            (
                Err(TlsError::InvalidCertificate),
                name,
                Some("TLS: the server's certificate names other hosts"),
            ),
            (
                Err(TlsError::InvalidSignature),
                Err(Distrust::NotProved),
                Some("TLS: the server did not prove that it has the key of its certificate"),
            ),
            (Ok(()), name, Some("TLS: the server's certificate names other hosts")),
            (Err(TlsError::IoError), name, Some("TLS: IoError")),
            (Err(TlsError::InvalidSignature), Ok(()), Some("TLS: InvalidSignature")),
        ] {
            let said = refusal(opened, trust).map(|error| error.to_string());
            assert_eq!(said.as_deref(), expected, "{opened:?} {trust:?}");
        }
    }

    /// RFC 6066 knows four lengths; a record is up to 256 bytes longer (RFC 8446, section 5.2).
    #[test]
    fn a_server_is_asked_for_records_that_fit() {
        for (buffer_bytes, bits) in [
            (16_640, None),
            (16_639, Some(12)),
            (4352, Some(12)),
            (4351, Some(11)),
            (2304, Some(11)),
            (2303, Some(10)),
            (1280, Some(10)),
            (1279, Some(9)),
            (0, Some(9)),
        ] {
            let asked = fragment_length(buffer_bytes).map(|length| match length {
                MaxFragmentLength::Bits9 => 9,
                MaxFragmentLength::Bits10 => 10,
                MaxFragmentLength::Bits11 => 11,
                MaxFragmentLength::Bits12 => 12,
            });
            assert_eq!(asked, bits, "{buffer_bytes}");
        }
    }
}
