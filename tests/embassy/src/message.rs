//! Requests as the server reads them, and what it answers.

use serde_json::Value;

/// One request, whole.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a plain fact for assertions")]
pub struct Received {
    /// Which connection of the server it came on, from 0.
    pub connection: usize,
    /// When it was whole, in microseconds.
    pub at_us: u64,
    /// The method.
    pub method: String,
    /// The path, with its prefix.
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// The status it was answered with; `None` without an answer.
    pub status: Option<u16>,
}

impl Received {
    /// The value of a header, by its name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(of, _)| of == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON; null for anything else.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// Takes the first request out of the bytes of a connection, once it is whole.
    pub(crate) fn take(bytes: &mut Vec<u8>) -> Option<Self> {
        const END: &[u8] = b"\r\n\r\n";
        let head_bytes = bytes.windows(END.len()).position(|window| window == END)?;
        let head = String::from_utf8_lossy(bytes.get(..head_bytes)?).into_owned();
        let mut lines = head.split("\r\n");
        let mut first = lines.next()?.split(' ');
        let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
        let headers: Vec<_> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let mut request =
            Self { connection: 0, at_us: 0, method, path, headers, body: Vec::new(), status: None };
        let length: usize = request.header("content-length")?.parse().ok()?;
        let start = head_bytes.checked_add(END.len())?;
        let end = start.checked_add(length)?;
        request.body = bytes.get(start..end)?.to_vec();
        bytes.drain(..end);
        Some(request)
    }
}

/// What the server does about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "scripts build it")]
pub struct Answer {
    /// What it does, in order.
    pub acts: Vec<Act>,
    /// Whether the operations of the request are taken.
    pub is_processed: bool,
}

/// One thing the server does.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "scripts build it")]
pub enum Act {
    /// Sends bytes, in packets of their own.
    Send(Vec<u8>),
    /// Lets so many milliseconds pass.
    Wait(u64),
    /// Closes the connection in order.
    Close,
    /// Resets it.
    Reset,
    /// Never does anything again on this connection.
    Hang,
}

impl Answer {
    /// A reply with this status that keeps the connection. A 2xx counts what the request carried as taken.
    #[must_use]
    pub fn status(status: u16) -> Self {
        let reply =
            format!("{}{}", head(status, "Content-Length: 29\r\n"), r#"{"accepted": 1, "rejected":0}"#);
        Self::raw(reply.as_bytes(), status)
    }

    /// These very bytes, for a request that counts as answered with `status`.
    #[must_use]
    pub fn raw(bytes: &[u8], status: u16) -> Self {
        Self { acts: vec![Act::Send(bytes.to_vec())], is_processed: (200..300).contains(&status) }
    }

    /// Nothing yet.
    #[must_use]
    pub const fn silence() -> Self {
        Self { acts: Vec::new(), is_processed: false }
    }

    /// The same, and another thing behind it.
    #[must_use]
    pub fn then(mut self, act: Act) -> Self {
        self.acts.push(act);
        self
    }

    /// The same, with another thing before it.
    #[must_use]
    pub fn after(mut self, act: Act) -> Self {
        self.acts.insert(0, act);
        self
    }

    /// The same for a request whose operations are taken, whatever is answered.
    #[must_use]
    pub const fn processed(mut self) -> Self {
        self.is_processed = true;
        self
    }

    /// The status that is sent first.
    pub(crate) fn first_status(&self) -> Option<u16> {
        self.acts.iter().find_map(|act| match act {
            Act::Send(bytes) => {
                let line = String::from_utf8_lossy(bytes);
                line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok())
            }
            _ => None,
        })
    }
}

/// A reply's head with these header lines.
#[must_use]
pub fn head(status: u16, headers: &str) -> String {
    format!("HTTP/1.1 {status} Said\r\n{headers}\r\n")
}
