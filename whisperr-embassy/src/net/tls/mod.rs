//! TLS 1.3 between the requests and the TCP connection.
//!
//! `embedded-tls` does the protocol. What it leaves to its callers is done here: the server must have shown a
//! certificate *and* proved that it holds its key before anything is sent ([`verifier`]); what certificates say
//! ([`certificate`]), whom they name ([`names`]) and who issued them ([`chain`]); and records that it cannot digest do
//! not reach it ([`records`]).

mod certificate;
mod chain;
mod der;
mod link;
mod names;
mod public_key;
mod records;
mod session;
mod verifier;

pub use chain::Distrust;

use core::convert::Infallible;
use core::fmt;
use core::pin::pin;

use embassy_net::Stack;
use embassy_sync::blocking_mutex::raw::RawMutex;
use whisperr_core::{Clock, Notice, Storage};

use super::http::TcpBuffers;
use super::server::{Server, ServerError};
use crate::entropy::Entropy;
use crate::runner::Runner;
use link::{Link, Linked};
use session::Session;

/// Bytes of the TCP socket below: a certificate arrives in two or three rounds.
const TCP_BYTES: usize = 2048;

/// The buffers of a TLS connection and the TCP socket below it.
///
/// `RX` holds one record of the server: 16,640 bytes for any. With less, the server is asked to send smaller ones
/// (`max_fragment_length`, RFC 6066): not every server does, and one that does not cannot be spoken to; 4,736 is enough
/// for records of 4 KiB. Its certificates must fit, too. `TX` holds one of the client's: at least 1 KiB.
pub struct TlsBuffers<const RX: usize = 16_640, const TX: usize = 2048> {
    tcp: TcpBuffers<TCP_BYTES, TCP_BYTES>,
    rx: [u8; RX],
    tx: [u8; TX],
}

impl<const RX: usize, const TX: usize> fmt::Debug for TlsBuffers<RX, TX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsBuffers").finish_non_exhaustive()
    }
}

impl<const RX: usize, const TX: usize> TlsBuffers<RX, TX> {
    /// Empty buffers, for a static.
    #[must_use]
    pub const fn new() -> Self {
        const { assert!(RX >= 1024 && TX >= 1024, "a TLS handshake needs at least 1 KiB of each buffer") }
        Self { tcp: TcpBuffers::new(), rx: [0; RX], tx: [0; TX] }
    }
}

impl<const RX: usize, const TX: usize> Default for TlsBuffers<RX, TX> {
    fn default() -> Self {
        Self::new()
    }
}

/// Delivery over TLS 1.3 with the server's certificate checked.
///
/// **What is checked.** The server's certificate, or one that it sends along and that leads there, must be issued by one
/// of the `roots`; name the host of the base URL among its DNS names (a `*` stands for its first label) or addresses; be
/// valid at the moment, as those between; be for servers; and those between must be allowed to issue the ones below
/// (RFC 5280, without revocation and name constraints: a certificate with a critical extension that is not looked at is
/// refused). And the server must prove that it holds the key. While the device does not know the date, validity is not
/// checked. Anything that fails ends the connection before a byte of a request is sent; the log says why ([`Distrust`]).
///
/// **Roots** are DER certificates of authorities. Keys are of P-256 all along and signatures over SHA-256; with the
/// feature `p384` also of P-384 and over SHA-384. Pin your own authority, one between it
/// and the server, or the one your server's certificates come from; give the next one along before it is needed, since
/// devices that know only an authority that has ended are out of reach.
///
/// **Entropy** makes the keys of every connection: read [`Entropy`] before choosing one.
///
/// One TCP socket of the stack is held as long as this runs. The handshake costs seconds on a small microcontroller, and
/// about 10 KB of stack with everything around it (15 KB where a key is of P-384); the connection is then kept as by the plain transport.
pub struct Tls<'d, E> {
    session: Session<'d, E>,
}

impl<E> fmt::Debug for Tls<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

impl<'d, E: Entropy> Tls<'d, E> {
    /// Delivery to a server. No connection is made before there is something to send.
    ///
    /// # Errors
    /// [`ServerError::NotSecure`] for an `http` base URL.
    pub fn new<const RX: usize, const TX: usize>(
        stack: Stack<'d>,
        buffers: &'d mut TlsBuffers<RX, TX>,
        server: Server<'d>,
        roots: &'d [&'d [u8]],
        entropy: E,
    ) -> Result<Self, ServerError> {
        if !server.url.is_secure() {
            return Err(ServerError::NotSecure);
        }
        let TlsBuffers { tcp, rx, tx } = buffers;
        Ok(Self {
            session: Session {
                stack,
                tcp_rx: &mut tcp.rx,
                tcp_tx: &mut tcp.tx,
                rx,
                tx,
                server,
                roots,
                entropy,
            },
        })
    }

    /// Runs the runner over TLS, as [`Runner::run`] does over another transport.
    ///
    /// The future may be dropped at any time, and this be called again.
    pub async fn run<S: Storage, C: Clock, M: RawMutex>(
        &mut self,
        runner: &mut Runner<'_, S, C, M>,
        notify: impl FnMut(Notice),
    ) {
        let link = Link::new();
        // The connection borrows its buffers, and lives across requests: as a future beside the runner's.
        let clock = runner.clock();
        let session = pin!(async {
            let never: Infallible = self.session.serve(&link, clock).await;
            never
        });
        runner.run(&mut Linked::new(&link, session), notify).await;
    }
}
