use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::client::{Client, IDENTIFY, identify};

const PROGRAM: &str = env!("CARGO_BIN_EXE_whisperr-collector");

#[test]
fn the_program_prints_its_url_and_serves() {
    let mut program = Running(
        Command::new(PROGRAM)
            .args(["--port", "0", "--key", "wrk_other"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut line = String::new();
    BufReader::new(program.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let addr = line.trim_end().strip_prefix("http://").unwrap();

    let mut client = Client::connect(addr.parse().unwrap());

    assert_eq!(client.exchange("GET", "/health").status, 200);
    assert_eq!(client.post(IDENTIFY, &identify("u")).status, 401);
}

#[test]
fn wrong_usage_ends_with_2_and_says_why() {
    for (args, expected) in [
        (["--prot", "1"], "whisperr-collector: invalid option '--prot'"),
        (["--port", "65536"], "whisperr-collector: cannot parse argument \"65536\""),
        (["--key", ""], "whisperr-collector: --key is empty"),
    ] {
        let output = Command::new(PROGRAM).args(args).output().unwrap();

        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(output.stdout.is_empty(), "{args:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.starts_with(expected), "{text}");
        assert!(text.ends_with("Try --help.\n"), "{text}");
    }
}

#[test]
fn help_names_every_option() {
    let output = Command::new(PROGRAM).arg("--help").output().unwrap();

    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    for option in ["--host", "--port", "--key", "--body-limit", "--no-window"] {
        assert!(text.contains(option), "{option}");
    }
}

#[test]
fn a_port_that_is_taken_ends_with_1() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();

    let output = Command::new(PROGRAM).args(["--port", &port.to_string()]).output().unwrap();

    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.starts_with(&format!("whisperr-collector: cannot listen on 127.0.0.1 port {port}: ")),
        "{text}"
    );
}

/// Stops the program also when the test fails.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
