//! The network of the kiosk: a card, a stack, and the collector on the host.

use core::fmt::Write;

use embassy_executor::Spawner;
use embassy_net::{Config, Ipv4Address, Ipv4Cidr, Runner, Stack, StackResources, StaticConfigV4};
use heapless::String;
use static_cell::{ConstStaticCell, StaticCell};
use whisperr_embassy::net::{HttpTransport, Server, TcpBuffers};

use crate::board::ethernet::Ethernet;
use crate::board::psram;
use crate::layout::PORT;

const DEVICE: Ipv4Address = Ipv4Address::new(10, 0, 2, 15);
/// QEMU's user network: the loopback of the host.
const HOST: Ipv4Address = Ipv4Address::new(10, 0, 2, 2);
/// One for requests and one for the look-up of names.
const SOCKETS: usize = 2;

/// Starts the stack and its task.
pub(crate) fn start(spawner: Spawner, seed: u64) -> Stack<'static> {
    static CARD: ConstStaticCell<Ethernet> = ConstStaticCell::new(Ethernet::new());
    static RESOURCES: StaticCell<StackResources<SOCKETS>> = StaticCell::new();
    let card = CARD.take();
    card.start();
    let config = Config::ipv4_static(StaticConfigV4 {
        address: Ipv4Cidr::new(DEVICE, 24),
        gateway: Some(HOST),
        dns_servers: heapless::Vec::new(),
    });
    let (stack, runner) = embassy_net::new(card, config, RESOURCES.init(StackResources::new()), seed);
    spawner.spawn(run(runner).expect("one network task"));
    stack
}

#[embassy_executor::task]
async fn run(mut runner: Runner<'static, &'static mut Ethernet>) {
    runner.run().await
}

/// The way to the collector.
pub(crate) fn transport(stack: Stack<'static>) -> HttpTransport<'static> {
    static BUFFERS: ConstStaticCell<TcpBuffers> = ConstStaticCell::new(TcpBuffers::new());
    static URL: ConstStaticCell<String<40>> = ConstStaticCell::new(String::new());
    let url = URL.take();
    write!(url, "http://{HOST}:{}", psram::load(PORT)).expect("a short address");
    let server = Server::new("wrk_kiosk").and_then(|server| server.base_url(url)).expect("a server");
    HttpTransport::new(stack, BUFFERS.take(), server).expect("a plain server")
}
