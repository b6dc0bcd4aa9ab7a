//! An HTTP/1.1 client that sends what it is told, also what is wrong.
#![expect(clippy::unwrap_used, reason = "a client for tests only: a broken exchange fails the test")]

use core::net::SocketAddr;
use core::time::Duration;
use std::io::{self, Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

/// Long enough to never pass on a working collector.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const BATCH: &str = "/v1/events/batch";
pub(crate) const TRACK: &str = "/v1/events/track";
pub(crate) const IDENTIFY: &str = "/v1/identify";

/// One connection.
pub(crate) struct Client {
    stream: TcpStream,
    /// Read, but not yet part of a reply.
    ahead: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Client {
    pub(crate) fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream, ahead: Vec::new() }
    }

    /// Posts JSON as a client of the contract would.
    pub(crate) fn post(&mut self, path: &str, body: &Value) -> Reply {
        self.send(path, body);
        self.reply().unwrap()
    }

    pub(crate) fn send(&mut self, path: &str, body: &Value) {
        self.send_with(path, &CONTRACT_HEADERS, body.to_string().as_bytes());
    }

    pub(crate) fn send_with(&mut self, path: &str, headers: &[&str], body: &[u8]) {
        let length = format!("Content-Length: {}", body.len());
        let headers: Vec<_> = headers.iter().copied().chain([length.as_str()]).collect();
        self.write(&head("POST", path, &headers));
        self.write_bytes(body);
    }

    pub(crate) fn exchange(&mut self, method: &str, path: &str) -> Reply {
        self.write(&head(method, path, &["Content-Length: 0"]));
        self.reply().unwrap()
    }

    pub(crate) fn write(&mut self, text: &str) {
        self.write_bytes(text.as_bytes());
    }

    pub(crate) fn write_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Reads one reply; `None` when the connection was closed without one.
    pub(crate) fn reply(&mut self) -> Option<Reply> {
        let head = self.head()?;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(0, |length| length.parse().unwrap());
        while self.ahead.len() < length {
            assert!(self.read_more().unwrap() > 0, "reply broken off");
        }
        let body: Vec<u8> = self.ahead.drain(..length).collect();
        Some(Reply { status: status(&head), head, body: String::from_utf8(body).unwrap() })
    }

    /// Reads the head of a reply only, in lower case.
    pub(crate) fn head(&mut self) -> Option<String> {
        loop {
            let end = self.ahead.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                let head = self.ahead.drain(..end.saturating_add(4)).collect();
                return Some(String::from_utf8(head).unwrap().to_lowercase());
            }
            match self.read_more() {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic(&error),
            }
        }
    }

    /// Waits for more bytes of a body; 0 at its end.
    pub(crate) fn read_more(&mut self) -> io::Result<usize> {
        let mut bytes = [0; 4096];
        let count = loop {
            match self.stream.read(&mut bytes) {
                // With a time limit set, a process that is stopped and goes on sees this (`signal(7)`).
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.ahead.extend_from_slice(bytes.get(..count).unwrap());
        Ok(count)
    }

    /// Whether nothing arrives for a moment.
    pub(crate) fn is_silent(&mut self) -> bool {
        let moment = Some(Duration::from_millis(50));
        self.stream.set_read_timeout(moment).unwrap();
        let read = self.read_more();
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        read.is_err_and(|error| matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut))
    }
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(crate) fn error(&self) -> String {
        let body = self.json();
        body.get("error").unwrap().as_str().unwrap().to_owned()
    }
}

pub(crate) const CONTRACT_HEADERS: [&str; 3] =
    ["Authorization: Bearer wrk_test", "Content-Type: application/json", "X-Whisperr-Sdk: rust/0.1.0"];

pub(crate) fn head(method: &str, path: &str, headers: &[&str]) -> String {
    let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n")
}

/// A valid event that has just happened.
pub(crate) fn event(message_id: &str, event_type: &str) -> Value {
    json!({
        "external_user_id": "user_1",
        "event_type": event_type,
        "occurred_at": whisperr_collector::UtcMs::now().to_string(),
        "properties": {},
        "context": {"$message_id": message_id},
    })
}

pub(crate) fn batch(events: &[Value]) -> Value {
    json!({ "events": events })
}

pub(crate) fn identify(user: &str) -> Value {
    json!({ "external_user_id": user })
}

fn status(head: &str) -> u16 {
    head.split(' ').nth(1).unwrap().parse().unwrap()
}

#[expect(clippy::panic, reason = "fails the test")]
fn panic(error: &io::Error) -> ! {
    panic!("{error}")
}
