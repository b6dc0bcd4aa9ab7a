//! From the server's name to a connection.

use embassy_net::dns::DnsQueryType;
use embassy_net::tcp::TcpSocket;
use embassy_net::{IpAddress, Stack, dns};

use super::error::HttpError;
use super::server::Server;

/// Connects `socket`, which must be closed. The name is looked up every time: where a server has several addresses,
/// they come in another order, and one that does not answer is not the only one tried.
pub(super) async fn connect(
    stack: Stack<'_>,
    socket: &mut TcpSocket<'_>,
    server: &Server<'_>,
) -> Result<(), HttpError> {
    let found = look_up(stack, server.url.host()).await.map_err(HttpError::Name)?;
    let address = found.ok_or(HttpError::NoAddress)?;
    socket.connect((address, server.url.port())).await.map_err(HttpError::Connect)
}

/// The first address of a name; an address is its own name.
pub(super) async fn look_up(stack: Stack<'_>, name: &str) -> Result<Option<IpAddress>, dns::Error> {
    Ok(stack.dns_query(name, DnsQueryType::A).await?.first().copied())
}
