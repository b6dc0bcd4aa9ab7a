//! The command line.

use std::io::{self, Write};
use std::path::PathBuf;

use lexopt::prelude::{Long, Short, ValueExt};

const HELP: &str = "\
Kills the kiosk in QEMU and holds what arrived against what was acknowledged

Usage: whisperr-firmware-harness [options]

  --kills N          lives that end by a kill or a power cut at random (default 50)
  --cuts N           cut points of the scripted run, evenly spread (default 50)
  --every-cut        every cut point of the scripted run, with every kind of tear in turn
  --seed N           where chance begins (default 1)
  --tls              the same over TLS 1.3, and servers that are not who they should be
  --forget           erases the flash behind a kill, to see whether that is found out: the run must fail
  --firmware PATH    an image that is built already
  -h, --help         print this

Builds the image first when none is named. Says SKIPPED and ends well without QEMU or the tools to build.
";

/// What was asked for.
#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) kills: u32,
    /// `None` is every one.
    pub(crate) cuts: Option<u32>,
    pub(crate) seed: u64,
    pub(crate) forget: bool,
    pub(crate) tls: bool,
    pub(crate) firmware: Option<PathBuf>,
}

impl Arguments {
    /// Reads them; `None` when only help was asked for.
    pub(crate) fn read() -> crate::Result<Option<Self>> {
        let mut arguments =
            Self { kills: 50, cuts: Some(50), seed: 1, forget: false, tls: false, firmware: None };
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("kills") => arguments.kills = parser.value()?.parse()?,
                Long("cuts") => arguments.cuts = Some(parser.value()?.parse()?),
                Long("every-cut") => arguments.cuts = None,
                Long("seed") => arguments.seed = parser.value()?.parse()?,
                Long("tls") => arguments.tls = true,
                Long("forget") => arguments.forget = true,
                Long("firmware") => arguments.firmware = Some(parser.value()?.into()),
                Long("help") | Short('h') => {
                    io::stdout().write_all(HELP.as_bytes())?;
                    return Ok(None);
                }
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(Some(arguments))
    }
}
