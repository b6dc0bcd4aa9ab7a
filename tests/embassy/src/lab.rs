//! A device and a server on one wire.

use core::fmt;
use core::future::Future;
use core::time::Duration;
use std::sync::Arc;

use embassy_net::{Config, Ipv4Address, Ipv4Cidr, Stack, StackResources, StaticConfigV4};
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

/// The device's address.
const DEVICE: Ipv4Address = Ipv4Address::new(10, 0, 0, 2);

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
        let chance = Chance::new(seed);
        let tasks = Tasks::new();
        let wire = Wire::new(chance.clone());
        let (device, device_frames) = stack::<DEVICE_SOCKETS>(&tasks, DEVICE, 2, &chance);
        let (peer, peer_frames) = stack::<SERVER_SOCKETS>(&tasks, SERVER, 1, &chance);
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
    address: Ipv4Address,
    number: u8,
    chance: &Chance,
) -> (Stack<'static>, Frames) {
    let mac = [2, 0, 0, 0, 0, number];
    let state = leak(ch::State::<MTU, 16, 16>::new());
    let (runner, device) = ch::new(state, ch::driver::HardwareAddress::Ethernet(mac));
    let (link, rx, tx) = runner.split();
    link.set_link_state(ch::driver::LinkState::Up);
    let config = Config::ipv4_static(StaticConfigV4 {
        address: Ipv4Cidr::new(address, 24),
        gateway: None,
        dns_servers: core::iter::once(SERVER).collect(),
    });
    let resources = leak(StackResources::<SOCKETS>::new());
    let (stack, runner) = embassy_net::new(device, config, resources, chance.draw());
    let runner = leak(runner);
    tasks.spawn(async move { runner.run().await });
    (stack, (rx, tx))
}
