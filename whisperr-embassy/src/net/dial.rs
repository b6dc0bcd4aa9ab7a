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
    // The first reason is told: what is tried behind it is a way out that may never have led anywhere.
    let mut reason = None;
    for family in families(stack) {
        match look_up_in(stack, server.url.host(), family).await {
            Ok(Some(address)) => match socket.connect((address, server.url.port())).await {
                Ok(()) => return Ok(()),
                Err(error) => {
                    socket.abort();
                    reason.get_or_insert(HttpError::Connect(error));
                }
            },
            Ok(None) => {}
            Err(error) => {
                reason.get_or_insert(HttpError::Name(error));
            }
        }
    }
    Err(reason.unwrap_or(HttpError::NoAddress))
}

/// The first address of a name; an address is its own name.
#[cfg(feature = "sntp")]
pub(super) async fn look_up(stack: Stack<'_>, name: &str) -> Result<Option<IpAddress>, dns::Error> {
    let mut found = Ok(None);
    for family in families(stack) {
        found = look_up_in(stack, name, family).await;
        if matches!(found, Ok(Some(_))) {
            break;
        }
    }
    found
}

async fn look_up_in(
    stack: Stack<'_>,
    name: &str,
    family: DnsQueryType,
) -> Result<Option<IpAddress>, dns::Error> {
    Ok(stack.dns_query(name, family).await?.first().copied())
}

/// The kinds of address that the device can reach: IPv4 first, over which more servers are.
#[cfg(feature = "ipv6")]
fn families(stack: Stack<'_>) -> impl Iterator<Item = DnsQueryType> {
    let v4 = stack.config_v4().map(|_| DnsQueryType::A);
    let v6 = stack.config_v6().map(|_| DnsQueryType::Aaaa);
    [v4, v6].into_iter().flatten()
}

#[cfg(not(feature = "ipv6"))]
fn families(_stack: Stack<'_>) -> [DnsQueryType; 1] {
    [DnsQueryType::A]
}
