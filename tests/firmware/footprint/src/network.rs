//! The network stack, with and without the client on it.

use core::hint::black_box;
use core::task::Context;

use embassy_net::dns::DnsQueryType;
use embassy_net::tcp::TcpSocket;
use embassy_net::{Config, Stack, StackResources};
use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, RxToken, TxToken};

struct Card([u8; 64]);

struct Frame<'a>(&'a mut [u8]);

impl RxToken for Frame<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, use_it: F) -> R {
        use_it(self.0)
    }
}

impl TxToken for Frame<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, _bytes: usize, fill: F) -> R {
        fill(self.0)
    }
}

impl Driver for Card {
    type RxToken<'a> = Frame<'a>;
    type TxToken<'a> = Frame<'a>;

    fn receive(&mut self, _: &mut Context<'_>) -> Option<(Frame<'_>, Frame<'_>)> {
        let (left, right) = self.0.split_at_mut(black_box(32));
        black_box(Some((Frame(left), Frame(right))))
    }

    fn transmit(&mut self, _: &mut Context<'_>) -> Option<Frame<'_>> {
        black_box(Some(Frame(&mut self.0)))
    }

    fn link_state(&mut self, _: &mut Context<'_>) -> LinkState {
        black_box(LinkState::Up)
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = 1514;
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet([2; 6])
    }
}

pub(crate) async fn run() {
    let mut resources = StackResources::<3>::new();
    let config = Config::ipv4_static(embassy_net::StaticConfigV4 {
        address: embassy_net::Ipv4Cidr::new(black_box(embassy_net::Ipv4Address::new(10, 0, 2, 15)), 24),
        gateway: None,
        dns_servers: Default::default(),
    });
    let (stack, mut runner) = embassy_net::new(Card([0; 64]), config, &mut resources, black_box(1));
    exchange(stack).await;
    #[cfg(feature = "http")]
    crate::sdk::over(stack).await;
    runner.run().await;
}

/// What any firmware does that speaks to a server.
async fn exchange(stack: Stack<'_>) {
    let (mut rx, mut tx) = ([0; 64], [0; 64]);
    let found = stack.dns_query(black_box("host"), DnsQueryType::A).await;
    let Some(address) = found.ok().and_then(|found| found.first().copied()) else { return };
    let mut socket = TcpSocket::new(stack, &mut rx, &mut tx);
    if socket.connect((address, black_box(80))).await.is_ok() {
        let mut piece = [0; 64];
        black_box(socket.write(black_box(b"GET / HTTP/1.0\r\n\r\n")).await.is_ok());
        black_box(socket.flush().await.is_ok());
        black_box(socket.read(&mut piece).await.is_ok());
    }
    socket.abort();
}
