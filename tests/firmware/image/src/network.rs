//! The network of the kiosk: a card, a stack, and the collector on the host.

use core::fmt::Write;

use embassy_executor::Spawner;
use embassy_net::{Config, Ipv4Address, Ipv4Cidr, Runner, Stack, StackResources, StaticConfigV4};
use heapless::String;
use static_cell::{ConstStaticCell, StaticCell};
use whisperr_embassy::net::Server;

use crate::board::ethernet::Ethernet;
use crate::board::psram;
use crate::layout::PORT;

const DEVICE: Ipv4Address = Ipv4Address::new(10, 0, 2, 15);
/// QEMU's user network: the loopback of the host.
const HOST: Ipv4Address = Ipv4Address::new(10, 0, 2, 2);
/// One for requests and one for the look-up of names.
const SOCKETS: usize = 2;

/// Starts the stack and its task. What that needs of the stack is not needed for ever.
#[inline(never)]
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
#[cfg(not(feature = "tls"))]
pub(crate) type Way = whisperr_embassy::net::HttpTransport<'static>;
/// The way to the collector.
#[cfg(feature = "tls")]
pub(crate) type Way = whisperr_embassy::net::Tls<'static, crate::chance::Chance>;

/// The way to the collector: without TLS where nobody else is on the line.
#[cfg(not(feature = "tls"))]
pub(crate) fn transport(stack: Stack<'static>, _seed: u32) -> Way {
    use whisperr_embassy::net::TcpBuffers;
    static BUFFERS: ConstStaticCell<TcpBuffers> = ConstStaticCell::new(TcpBuffers::new());
    Way::new(stack, BUFFERS.take(), server("http")).expect("a plain server")
}

/// The way to the collector, whose certificate must come from the authority that the host named.
#[cfg(feature = "tls")]
pub(crate) fn transport(stack: Stack<'static>, seed: u32) -> Way {
    use crate::layout::{CA, CA_BYTES, CA_LENGTH};
    use whisperr_embassy::net::TlsBuffers;
    static BUFFERS: ConstStaticCell<TlsBuffers<4736>> = ConstStaticCell::new(TlsBuffers::new());
    static AUTHORITY: ConstStaticCell<[u8; CA_BYTES as usize]> = ConstStaticCell::new([0; CA_BYTES as usize]);
    static ROOTS: StaticCell<[&[u8]; 1]> = StaticCell::new();
    let der = AUTHORITY.take();
    for (at, word) in (CA..).step_by(4).zip(der.chunks_exact_mut(4)) {
        word.copy_from_slice(&psram::load(at).to_le_bytes());
    }
    let roots = ROOTS.init([der.get(..psram::load(CA_LENGTH) as usize).expect("an authority that fits")]);
    // Good enough in a test: the host draws another seed for every life.
    let entropy = crate::chance::Chance::new(seed, 300);
    Way::new(stack, BUFFERS.take(), server("https"), roots, entropy).expect("a server with TLS")
}

fn server(scheme: &str) -> Server<'static> {
    static URL: ConstStaticCell<String<40>> = ConstStaticCell::new(String::new());
    let url = URL.take();
    write!(url, "{scheme}://{HOST}:{}", psram::load(PORT)).expect("a short address");
    Server::new("wrk_kiosk").and_then(|server| server.base_url(url)).expect("a server")
}
