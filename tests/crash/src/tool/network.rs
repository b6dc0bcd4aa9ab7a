//! Two machines and a cable: network namespaces that go away.

use std::io;
use std::path::Path;
use std::process::{Command, id};

use super::{run, try_run};

/// One end of the cable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Client,
    Server,
}

/// Where the server listens, in a network that only the two know.
pub(crate) const SERVER: &str = "10.99.0.2";

/// The namespaces, deleted when this is dropped, with the cable.
#[derive(Debug)]
pub(crate) struct Network {
    client: String,
    server: String,
}

impl Network {
    /// Makes both ends and connects them.
    pub(crate) fn new(name: &str) -> io::Result<Self> {
        let network = Self {
            client: format!("whisperr-{name}-{}-client", id()),
            server: format!("whisperr-{name}-{}-server", id()),
        };
        let (client, server) = (network.client.as_str(), network.server.as_str());
        run(Command::new("ip").args(["netns", "add", client]))?;
        run(Command::new("ip").args(["netns", "add", server]))?;
        let cable = ["link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", server];
        run(Command::new("ip").args(["-n", client]).args(cable))?;
        for (end, address) in [(client, "10.99.0.1"), (server, SERVER)] {
            // One packet on the cable for each segment: a rule then sees what the wire sees.
            run(Command::new("ip").args(["-n", end, "link", "set", "cable", "gso_max_segs", "1", "up"]))?;
            let address = format!("{address}/24");
            run(Command::new("ip").args(["-n", end, "address", "add", &address, "dev", "cable"]))?;
        }
        Ok(network)
    }

    fn name(&self, end: End) -> &str {
        match end {
            End::Client => &self.client,
            End::Server => &self.server,
        }
    }

    /// A program at one end.
    pub(crate) fn command(&self, end: End, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", self.name(end)]).arg(program);
        command
    }

    /// The client says how long the segments it wants are.
    pub(crate) fn short_segments(&self, bytes: u32) -> io::Result<()> {
        let bytes = bytes.to_string();
        let route = ["route", "change", "10.99.0.0/24", "dev", "cable", "advmss", &bytes];
        run(Command::new("ip").args(["-n", &self.client]).args(route))
    }

    /// Does this to every packet that leaves one end, until [`mend`](Self::mend).
    pub(crate) fn disturb(&self, end: End, rule: &str) -> io::Result<()> {
        let chain = format!("type filter hook output priority 0\n{rule}\n");
        let table = format!("table inet crash {{\nchain leaving {{\n{chain}}}\n}}");
        run(Command::new("ip").args(["netns", "exec", self.name(end), "nft", &table]))
    }

    /// All packets pass again.
    pub(crate) fn mend(&self) {
        for end in [&self.client, &self.server] {
            // Where there is no table, there is nothing to mend.
            try_run("ip", &["netns", "exec", end, "nft", "delete", "table", "inet", "crash"]);
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for end in [&self.client, &self.server] {
            try_run("ip", &["netns", "delete", end]);
        }
    }
}
