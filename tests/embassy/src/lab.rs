//! A device and a server on one wire.

use core::fmt;
use core::future::Future;
use core::time::Duration;
use std::sync::Arc;

use embassy_net::{
    Config, ConfigV4, ConfigV6, Ipv4Address, Ipv4Cidr, Ipv6Address, Ipv6Cidr, Stack, StackResources,
    StaticConfigV4, StaticConfigV6,
};
use embassy_net_driver_channel as ch;
use embassy_time::Timer;
use rustls::ServerConfig;
use whisperr_virtual_time::Tasks;

use crate::chance::Chance;
use crate::names::Names;
use crate::server::{LISTENERS, Server};
use crate::wire::{MTU, Wire};

/// The server's address.
pub const SERVER: Ipv4Address = Ipv4Address::new(10, 0, 0, 1);

/// The server's other address.
pub const SERVER_V6: Ipv6Address = Ipv6Address::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);

/// The number of the server on the wire, and the last part of its addresses.
const SERVER_NUMBER: u8 = 1;

/// The same of the device.
const DEVICE_NUMBER: u8 = 2;

/// Which kinds of address a device has. The server has both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reach {
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
    /// Both.
    Both,
}

/// The port of the server's HTTP.
pub const PORT: u16 = 4801;

/// The port of its HTTP over TLS.
pub const TLS_PORT: u16 = 4802;

/// Sockets of the device: one for requests, one for the look-up of names, one for SNTP, and not one more.
const DEVICE_SOCKETS: usize = 3;

/// Sockets of the server: for HTTP, names, time and TLS.
const SERVER_SOCKETS: usize = 2 * LISTENERS + 3;

/// Two stacks, the wire between them, a server on one, and time.
pub struct Lab {
    tasks: Tasks,
    wire: Wire,
    server: Server,
    names: Names,
    device: Stack<'static>,
    peer: Stack<'static>,
    chance: Chance,
}

impl fmt::Debug for Lab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lab").field("server", &self.server).finish_non_exhaustive()
    }
}

/// For as long as the process lives: what the embassy way calls a static.
pub fn leak<T>(value: T) -> &'static mut T {
    Box::leak(Box::new(value))
}

impl Lab {
    /// A lab on a wire that works. The seed decides everything that chance does in it.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::reaching(seed, Reach::V4)
    }

    /// The same with a device that has these kinds of address.
    #[must_use]
    pub fn reaching(seed: u64, reach: Reach) -> Self {
        let chance = Chance::new(seed);
        let tasks = Tasks::new();
        let wire = Wire::new(chance.clone());
        let (device, device_frames) = stack::<DEVICE_SOCKETS>(&tasks, DEVICE_NUMBER, reach, &chance);
        let (peer, peer_frames) = stack::<SERVER_SOCKETS>(&tasks, SERVER_NUMBER, Reach::Both, &chance);
        tasks.spawn(wire.clone().carry(device_frames.1, peer_frames.0));
        tasks.spawn(wire.clone().carry(peer_frames.1, device_frames.0));
        let server = Server::new();
        server.start(&tasks, peer, PORT, None);
        let names = Names::new();
        names.start(&tasks, peer);
        Self { tasks, wire, server, names, device, peer, chance }
    }

    /// The tasks of everything in it.
    #[must_use]
    pub const fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// The wire, to make it bad.
    #[must_use]
    pub const fn wire(&self) -> &Wire {
        &self.wire
    }

    /// The server, to script it and to see what arrived.
    #[must_use]
    pub const fn server(&self) -> &Server {
        &self.server
    }

    /// Lets the server speak TLS, too, at [`TLS_PORT`].
    pub fn start_tls(&self, config: &Arc<ServerConfig>) {
        self.server.start(&self.tasks, self.peer, TLS_PORT, Some(config));
    }

    /// The name server beside it.
    #[must_use]
    pub const fn names(&self) -> &Names {
        &self.names
    }

    /// The device's stack.
    #[must_use]
    pub const fn device(&self) -> Stack<'static> {
        self.device
    }

    /// The server's stack, for another service on it.
    #[must_use]
    pub const fn peer(&self) -> Stack<'static> {
        self.peer
    }

    /// The lab's chance.
    #[must_use]
    pub fn chance(&self) -> Chance {
        self.chance.clone()
    }

    /// Runs until `main` is done.
    pub fn run<T>(&self, main: impl Future<Output = T>) -> T {
        self.tasks.run_until(main)
    }

    /// Lets time pass.
    pub fn pass(&self, time: Duration) {
        self.run(Timer::after_micros(u64::try_from(time.as_micros()).unwrap_or(u64::MAX)));
    }
}

type Frames = (ch::RxRunner<'static, MTU>, ch::TxRunner<'static, MTU>);

/// A stack with so many sockets, and the ends of its wire.
fn stack<const SOCKETS: usize>(
    tasks: &Tasks,
    number: u8,
    reach: Reach,
    chance: &Chance,
) -> (Stack<'static>, Frames) {
    let mac = [2, 0, 0, 0, 0, number];
    let state = leak(ch::State::<MTU, 16, 16>::new());
    let (runner, device) = ch::new(state, ch::driver::HardwareAddress::Ethernet(mac));
    let (link, rx, tx) = runner.split();
    link.set_link_state(ch::driver::LinkState::Up);
    let mut config = Config::default();
    if reach != Reach::V6 {
        config.ipv4 = ConfigV4::Static(StaticConfigV4 {
            address: Ipv4Cidr::new(Ipv4Address::new(10, 0, 0, number), 24),
            gateway: None,
            dns_servers: core::iter::once(SERVER).collect(),
        });
    }
    if reach != Reach::V4 {
        let address = Ipv6Address::new(0xfd00, 0, 0, 0, 0, 0, 0, number.into());
        config.ipv6 = ConfigV6::Static(StaticConfigV6 {
            address: Ipv6Cidr::new(address, 64),
            gateway: None,
            dns_servers: core::iter::once(SERVER_V6).collect(),
        });
    }
    let resources = leak(StackResources::<SOCKETS>::new());
    let (stack, runner) = embassy_net::new(device, config, resources, chance.draw());
    let runner = leak(runner);
    tasks.spawn(async move { runner.run().await });
    (stack, (rx, tx))
}
