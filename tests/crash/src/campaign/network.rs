//! Networks that lose what was said: every event arrives, once for each message id.

use core::time::Duration;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Stdio};
use std::thread;
use std::time::Instant;

use serde_json::Value;
use whisperr_std::Fsync;

use super::{Context, Place, Ran, Stop};
use crate::options::{BESIDE, Victim};
use crate::report::Row;
use crate::tool::network::{End, Network, SERVER};
use crate::tool::{Running, need, need_root};

/// A collector at the other end of the cable.
#[derive(Debug)]
struct Server {
    _running: Running,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
    url: String,
}

/// What it says.
#[derive(Debug, Default)]
struct Seen {
    numbers: Vec<u64>,
    requests: u64,
    duplicates: u64,
    conflicts: Vec<String>,
}

impl Server {
    fn start(network: &Network, program: &Path) -> io::Result<Self> {
        let mut command = network.command(End::Server, program);
        command.args(["serve", &format!("{SERVER}:0")]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut running = Running::start(&mut command)?;
        let (ask, answers) = (running.0.stdin.take(), running.0.stdout.take());
        let (Some(ask), Some(answers)) = (ask, answers) else {
            return Err(io::Error::other("no pipes to the server"));
        };
        let mut server =
            Self { _running: running, ask, answers: BufReader::new(answers), url: String::new() };
        server.url = server.line()?;
        Ok(server)
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }

    fn port(&self) -> &str {
        self.url.rsplit_once(':').map_or("", |(_, port)| port)
    }

    fn seen(&mut self) -> io::Result<Seen> {
        self.ask.write_all(b"\n")?;
        let told: Value = serde_json::from_str(&self.line()?)?;
        let number = |name: &str| told.get(name).and_then(Value::as_u64).unwrap_or(0);
        let list = |name: &str| told.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
        Ok(Seen {
            numbers: list("numbers").iter().filter_map(Value::as_u64).collect(),
            requests: number("requests"),
            duplicates: number("duplicates"),
            conflicts: list("conflicts").iter().map(Value::to_string).collect(),
        })
    }
}

/// What is done to the cable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    LostReplies,
    Drops,
    Resets,
    HalfRequests,
    HalfReplies,
}

impl Trouble {
    /// The rules, for packets with data to or from this port.
    fn rules(self, port: &str) -> Vec<(End, String)> {
        let sent = format!("tcp dport {port} meta length > 60");
        let answered = format!("tcp sport {port} meta length > 60");
        match self {
            Self::LostReplies => vec![(End::Server, format!("{answered} drop"))],
            Self::Drops => vec![
                (End::Client, "numgen random mod 100 < 25 drop".into()),
                (End::Server, "numgen random mod 100 < 25 drop".into()),
            ],
            Self::Resets => vec![
                (End::Client, format!("{sent} numgen random mod 100 < 10 reject with tcp reset")),
                (End::Server, format!("{answered} numgen random mod 100 < 40 reject with tcp reset")),
            ],
            Self::HalfRequests => vec![(End::Client, format!("{sent} quota over 12000 bytes drop"))],
            Self::HalfReplies => vec![(End::Server, format!("{answered} quota over 150 bytes drop"))],
        }
    }
}

pub(super) fn lost_replies(context: &Context) -> Ran {
    run(context, "lost", &[Trouble::LostReplies], 3)
}

pub(super) fn bad_network(context: &Context) -> Ran {
    run(context, "bad", &[Trouble::Drops, Trouble::Resets, Trouble::HalfRequests, Trouble::HalfReplies], 1)
}

fn run(context: &Context, name: &str, troubles: &[Trouble], rounds: usize) -> Ran {
    need_root("makes networks")?;
    need(&["ip", "nft"])?;
    let network = Network::new(name).map_err(|error| Stop::Skip(error.to_string()))?;
    let mut row = Row::default();
    let mut requests = 0_u64;
    for round in 0..rounds.saturating_mul(context.scale) {
        for trouble in troubles {
            let mut server = Server::start(&network, &context.program)?;
            let how = format!("round {round}, {trouble:?}");
            one(context, &network, &mut server, *trouble, round, &how, &mut row)?;
            requests = requests.saturating_add(server.seen()?.requests);
        }
    }
    row.note(format!("{requests} requests; {troubles:?}"));
    Ok(row)
}

/// How long the cable is disturbed, and the attempts of the client.
const DISTURBED: Duration = Duration::from_millis(1200);
const TIMEOUT: Duration = Duration::from_millis(250);

fn one(
    context: &Context,
    network: &Network,
    server: &mut Server,
    trouble: Trouble,
    round: usize,
    how: &str,
    row: &mut Row,
) -> Result<(), Stop> {
    let place = Place::new()?;
    network.mend();
    network.short_segments(if trouble == Trouble::HalfReplies { 88 } else { 1460 })?;
    let fsync = if round.is_multiple_of(2) { BESIDE } else { Fsync::Always };
    let mut victim = Victim::client(&place.queue, &place.journal, &server.url).ops(200).fsync(fsync);
    victim.pace = Duration::from_millis(5);
    victim.text = 300;
    victim.timeout = TIMEOUT;
    victim.deliver = Duration::from_secs(30);
    let mut command = network.command(End::Client, &context.program);
    command.args(victim.args()).env("NO_PROXY", "*");
    let start = Instant::now();
    let mut running = Running::start(command.stdin(Stdio::null()).stdout(Stdio::null()))?;
    // The first identify passes: what is lost next is a batch of events.
    thread::sleep(Duration::from_millis(250));
    for (end, rule) in trouble.rules(server.port()) {
        network.disturb(end, &rule).map_err(|error| {
            // Only the kernel's refusal is one of the machine.
            let kernel = error.to_string().contains("process rule");
            if kernel { Stop::Skip(error.to_string()) } else { error.into() }
        })?;
    }
    thread::sleep(DISTURBED);
    if trouble == Trouble::LostReplies && server.seen()?.duplicates == 0 {
        row.breaks(format!("{how}: the server saw nothing again, so no reply was lost"));
    }
    network.mend();
    match running.wait(Duration::from_secs(60))? {
        Some(status) if status.success() => {}
        status => row.breaks(format!("{how}: the client ended with {status:?} after {:?}", start.elapsed())),
    }
    let seen = server.seen()?;
    let mut verdict = context.check_arrived(seen.numbers, &place.said()?);
    verdict.duplicates = seen.duplicates;
    verdict.broken.extend(seen.conflicts);
    row.add(verdict, how);
    Ok(())
}
