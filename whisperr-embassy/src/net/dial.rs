//! From the server's name to a connection.

use embassy_net::dns::DnsQueryType;
use embassy_net::tcp::TcpSocket;
use embassy_net::{IpAddress, Stack};

use super::error::HttpError;
use super::server::Server;

/// Looks names up and connects.
pub(super) struct Dial<'d> {
    stack: Stack<'d>,
    /// Which of the server's addresses is next: one that does not answer must not be the only one tried.
    turn: usize,
}

impl<'d> Dial<'d> {
    pub(super) const fn new(stack: Stack<'d>) -> Self {
        Self { stack, turn: 0 }
    }

    /// Connects `socket`, which must be closed, to the server.
    pub(super) async fn connect(
        &mut self,
        socket: &mut TcpSocket<'_>,
        server: &Server<'_>,
    ) -> Result<(), HttpError> {
        let address = self.address(server.url.host()).await?;
        // Counted before the wait: a dropped future is a failure, too.
        self.turn = self.turn.wrapping_add(1);
        socket.connect((address, server.url.port())).await.map_err(HttpError::Connect)?;
        self.turn = self.turn.wrapping_sub(1);
        Ok(())
    }

    async fn address(&self, host: &str) -> Result<IpAddress, HttpError> {
        let found = self.stack.dns_query(host, DnsQueryType::A).await.map_err(HttpError::Name)?;
        let at = self.turn.checked_rem(found.len()).ok_or(HttpError::NoAddress)?;
        found.get(at).copied().ok_or(HttpError::NoAddress)
    }
}
