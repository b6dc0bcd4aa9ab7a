//! A strict stand-in for the Whisperr ingestion server, as a program.

use std::ffi::OsString;
use std::io::{self, Write};
use std::net::ToSocketAddrs;
use std::process::ExitCode;
use std::thread;

use lexopt::prelude::{Long, Short, ValueExt};
use whisperr_collector::{BODY_BYTES_MAX, Collector};

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args_os().skip(1)) {
        Ok(Asked::Run(options)) => options,
        Ok(Asked::Help) => return say(&mut io::stdout(), &help(), ExitCode::SUCCESS),
        Err(error) => {
            let text = format!("whisperr-collector: {error}\nTry --help.\n");
            return say(&mut io::stderr(), &text, ExitCode::from(2));
        }
    };
    let collector = match options.start() {
        Ok(collector) => collector,
        Err(error) => {
            let text = format!(
                "whisperr-collector: cannot listen on {} port {}: {error}\n",
                options.host, options.port
            );
            return say(&mut io::stderr(), &text, ExitCode::FAILURE);
        }
    };
    say(&mut io::stdout(), &format!("{}\n", collector.url()), ExitCode::SUCCESS);
    loop {
        thread::park();
    }
}

fn help() -> String {
    format!(
        "\
A strict stand-in for the Whisperr ingestion server

Usage: whisperr-collector [options]

Prints its URL on one line when it listens, and serves until it is stopped.

  --host HOST         address to listen on (default {HOST})
  --port N            port, 0 for a free one (default {PORT})
  --key KEY           the only ingestion key to accept (default: any)
  --body-limit BYTES  largest request body (default {BODY_BYTES_MAX})
  --no-window         accept events of any date, not only -30 days to +5 minutes
  -h, --help          print this

What arrived:   GET /events /identifies /operations /requests /health
Start over:     DELETE /events
Faults:         POST /faults {{\"fault\":\"status\",\"code\":503,\"times\":2}}
                DELETE /faults
"
    )
}

const HOST: &str = "127.0.0.1";
const PORT: u16 = 4801;

enum Asked {
    Help,
    Run(Options),
}

#[derive(Debug, PartialEq, Eq)]
struct Options {
    host: String,
    port: u16,
    key: Option<String>,
    body_bytes_max: usize,
    any_date: bool,
}

impl Options {
    fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Asked, lexopt::Error> {
        let mut options = Self {
            host: HOST.into(),
            port: PORT,
            key: None,
            body_bytes_max: BODY_BYTES_MAX,
            any_date: false,
        };
        let mut parser = lexopt::Parser::from_args(args);
        while let Some(argument) = parser.next()? {
            match argument {
                Long("host") => options.host = parser.value()?.string()?,
                Long("port") => options.port = parser.value()?.parse()?,
                Long("key") => {
                    let key = parser.value()?.string()?;
                    if key.trim().is_empty() {
                        return Err("--key is empty".into());
                    }
                    options.key = Some(key.trim().to_owned());
                }
                Long("body-limit") => options.body_bytes_max = parser.value()?.parse()?,
                Long("no-window") => options.any_date = true,
                Long("help") | Short('h') => return Ok(Asked::Help),
                other => return Err(other.unexpected()),
            }
        }
        Ok(Asked::Run(options))
    }

    fn start(&self) -> io::Result<Collector> {
        let addr = (self.host.as_str(), self.port)
            .to_socket_addrs()?
            .next()
            .ok_or_else(|| io::Error::other("the host has no address"))?;
        let mut builder = Collector::builder().bind(addr).body_limit(self.body_bytes_max);
        if let Some(key) = &self.key {
            builder = builder.api_key(key);
        }
        if self.any_date {
            builder = builder.window(None);
        }
        builder.start()
    }
}

fn say(to: &mut impl Write, text: &str, code: ExitCode) -> ExitCode {
    // Nobody may be listening, and there is nobody else to tell.
    let _ = to.write_all(text.as_bytes()).and_then(|()| to.flush());
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_is_read() {
        let args = ["--host=::1", "--port", "0", "--key", "wrk_a", "--body-limit", "9", "--no-window"];

        let Ok(Asked::Run(options)) = parse(&args) else {
            panic!("not taken");
        };

        assert_eq!(
            options,
            Options {
                host: "::1".into(),
                port: 0,
                key: Some("wrk_a".into()),
                body_bytes_max: 9,
                any_date: true,
            }
        );
    }

    #[test]
    fn help_is_asked_for_in_two_ways() {
        for name in ["-h", "--help"] {
            assert!(matches!(parse(&[name]), Ok(Asked::Help)), "{name}");
        }
    }

    #[test]
    fn wrong_usage_is_told() {
        for args in [
            &["--prot", "1"] as &[&str],
            &["--port"],
            &["--port", "65536"],
            &["--port", "-1"],
            &["--key", " "],
            &["--body-limit", "many"],
            &["--no-window=1"],
            &["extra"],
        ] {
            assert!(parse(args).is_err(), "{args:?}");
        }
    }

    fn parse(args: &[&str]) -> Result<Asked, lexopt::Error> {
        Options::parse(args.iter().map(OsString::from))
    }
}
