//! The command line.

use core::net::SocketAddr;
use std::ffi::OsString;

use lexopt::ValueExt;
use lexopt::prelude::{Long, Short, Value};

use crate::options::Victim;

/// Every campaign, and what it does.
pub const CAMPAIGNS: [(&str, &str); 13] = [
    ("kill", "kill -9 at random moments; needs nothing"),
    ("kill-calls", "kill -9 at every system call of the queue file"),
    ("kill-recovery", "kill -9 while a queue is opened, again and again, with torn tails"),
    ("kill-client", "kill -9 of the client while it delivers over HTTP"),
    ("errors", "EIO, ENOSPC and others from every system call, once and for ever"),
    ("short-writes", "writes that take less than they were given, and then fail"),
    ("full-disk", "a file system without room"),
    ("power-ext4", "power cuts under ext4"),
    ("power-xfs", "power cuts under XFS"),
    ("lying-sync", "a sync that fails once and then says Ok without having written"),
    ("block-replay", "every block write logged, and the disk rebuilt up to some point, the last write torn"),
    ("lost-replies", "replies dropped by the network after the server took the request"),
    ("bad-network", "packets dropped and connections reset at random, bodies cut in half"),
];

/// What a run of the harness does.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// How much of it; 1 is for CI.
    pub scale: u32,
    /// The only campaigns to run; all when empty.
    pub only: Vec<String>,
    /// The seed of everything that is random.
    pub seed: u64,
    /// Whether one operation is removed before every check.
    pub lose_one: bool,
}

/// What the command line asks.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the program does every case")]
pub enum Asked {
    /// To say how it is used.
    Help,
    /// To list the campaigns.
    List,
    /// To run campaigns.
    Run(Options),
    /// To be a victim.
    Victim(Victim),
    /// To be a server in a network of its own.
    Serve(SocketAddr),
}

impl Asked {
    /// Reads the command line.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Self, lexopt::Error> {
        let mut options = Options { scale: 1, only: Vec::new(), seed: 1, lose_one: false };
        let mut parser = lexopt::Parser::from_args(args);
        while let Some(argument) = parser.next()? {
            match argument {
                Long("scale") => options.scale = parser.value()?.parse()?,
                Long("seed") => options.seed = parser.value()?.parse()?,
                Long("only") => {
                    let name = parser.value()?.string()?;
                    if !CAMPAIGNS.iter().any(|(known, _)| *known == name) {
                        return Err(format!("no campaign is called {name}, see --list").into());
                    }
                    options.only.push(name);
                }
                Long("lose-one") => options.lose_one = true,
                Long("list") => return Ok(Self::List),
                Long("help") | Short('h') => return Ok(Self::Help),
                Value(command) if command == "victim" => return Victim::parse(&mut parser).map(Self::Victim),
                Value(command) if command == "serve" => {
                    return Ok(Self::Serve(parser.value()?.parse()?));
                }
                other => return Err(other.unexpected()),
            }
        }
        if options.scale == 0 {
            return Err("--scale is 1 or more".into());
        }
        Ok(Self::Run(options))
    }
}

/// How it is used.
#[must_use]
pub fn help() -> String {
    "\
Kills, full disks, power cuts and lying syncs against the client on a real Linux

Usage: whisperr-crash [options]

Prints one Markdown section; progress goes to standard error. Exits with 1 when
something accepted was lost or a promise was broken, with 2 for wrong usage.

  --scale N     how much: 1 (default) takes about two minutes on two cores
  --only NAME   this campaign only; may be given several times
  --seed N      other kill points and cuts (default 1)
  --lose-one    remove one accepted operation before every check: every
                campaign must then fail, which proves that the checks can
  --list        the campaigns
  -h, --help    print this

Nothing is installed. A campaign that lacks something is skipped, and says so.
Debian packages: strace gcc e2fsprogs xfsprogs qemu-utils iproute2 nftables mount
The campaigns that mount, or make networks, need root.
"
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Asked, lexopt::Error> {
        Asked::parse(args.iter().map(OsString::from))
    }

    #[test]
    fn every_option_is_read() {
        let asked = parse(&["--scale", "3", "--only", "kill", "--only=errors", "--seed", "9", "--lose-one"]);

        let only = vec!["kill".to_owned(), "errors".to_owned()];
        assert_eq!(asked.unwrap(), Asked::Run(Options { scale: 3, only, seed: 9, lose_one: true }));
    }

    #[test]
    fn wrong_usage_is_told() {
        for args in [&["--scale", "0"] as &[&str], &["--scale"], &["--only", "kil"], &["--sed", "1"], &["x"]]
        {
            assert!(parse(args).is_err(), "{args:?}");
        }
        assert_eq!(parse(&["-h"]).unwrap(), Asked::Help);
        assert_eq!(parse(&["--list"]).unwrap(), Asked::List);
    }
}
