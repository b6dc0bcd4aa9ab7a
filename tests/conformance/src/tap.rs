//! A listener in the wire: what a client really sent, byte by byte, on its way to the server.

use core::net::{Ipv4Addr, SocketAddr};
use core::sync::atomic::{AtomicBool, Ordering};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use crate::report::Reason;

/// Forwards connections to a server and keeps what the client sent on each.
#[derive(Debug)]
pub(crate) struct Tap {
    addr: SocketAddr,
    heard: Arc<Heard>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Heard {
    /// Bytes of the client, one entry for each connection in order.
    connections: Mutex<Vec<Vec<u8>>>,
    stopped: AtomicBool,
}

/// One request as it was on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TappedRequest {
    pub(crate) method: String,
    pub(crate) path: String,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl TappedRequest {
    /// The value of a header, by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(of, _)| of == name).map(|(_, value)| value.as_str())
    }
}

impl Tap {
    /// Listens on a free port of the loopback interface.
    pub(crate) fn start(server: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let addr = listener.local_addr()?;
        let heard = Arc::<Heard>::default();
        let accepting = {
            let heard = Arc::clone(&heard);
            thread::Builder::new().name("tap".into()).spawn(move || accept(&listener, server, &heard))?
        };
        Ok(Self { addr, heard, accepting: Some(accepting) })
    }

    /// The base URL for a client.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Every request so far, connection by connection.
    pub(crate) fn requests(&self) -> Result<Vec<TappedRequest>, Reason> {
        let mut requests = Vec::new();
        for bytes in self.heard.connections().iter() {
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                let (request, after) = take_request(rest).ok_or("an unreadable request was sent")?;
                requests.push(request);
                rest = after;
            }
        }
        Ok(requests)
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.heard.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread out of its wait for a connection.
        drop(TcpStream::connect(self.addr));
        if let Some(accepting) = self.accepting.take() {
            // A panic of the thread has already been printed by it.
            let _ = accepting.join();
        }
    }
}

impl Heard {
    fn connections(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn accept(listener: &TcpListener, server: SocketAddr, heard: &Arc<Heard>) {
    for (connection, client) in listener.incoming().map_while(Result::ok).enumerate() {
        if heard.stopped.load(Ordering::SeqCst) {
            return;
        }
        heard.connections().push(Vec::new());
        let heard = Arc::clone(heard);
        thread::spawn(move || {
            // An error ends the connection, which the client sees as such.
            let _ = forward(connection, &client, server, &heard);
            let _ = client.shutdown(Shutdown::Both);
        });
    }
}

fn forward(connection: usize, mut client: &TcpStream, server: SocketAddr, heard: &Heard) -> io::Result<()> {
    let mut server = TcpStream::connect(server)?;
    server.set_nodelay(true)?;
    client.set_nodelay(true)?;
    let (mut replies, mut to_client) = (server.try_clone()?, client.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut replies, &mut to_client);
        let _ = to_client.shutdown(Shutdown::Both);
    });
    let mut piece = [0; 4096];
    loop {
        let count = client.read(&mut piece)?;
        let bytes = piece.get(..count).unwrap_or_default();
        if bytes.is_empty() {
            return server.shutdown(Shutdown::Both);
        }
        // Kept before it is passed on: once there is a reply, its request is here.
        if let Some(kept) = heard.connections().get_mut(connection) {
            kept.extend_from_slice(bytes);
        }
        server.write_all(bytes)?;
    }
}

/// Takes the first HTTP/1.1 request of a fixed length, and returns it with the bytes behind it.
fn take_request(bytes: &[u8]) -> Option<(TappedRequest, &[u8])> {
    const END: &[u8] = b"\r\n\r\n";
    let head_bytes = bytes.windows(END.len()).position(|window| window == END)?;
    let (head, rest) = bytes.split_at_checked(head_bytes)?;
    let rest = rest.strip_prefix(END)?;
    let mut lines = core::str::from_utf8(head).ok()?.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers = lines
        .map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        })
        .collect::<Option<Vec<_>>>()?;
    let mut request = TappedRequest { method, path, headers, body: Vec::new() };
    let (body, rest) = rest.split_at_checked(request.header("content-length")?.parse().ok()?)?;
    request.body = body.to_vec();
    Some((request, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_on_one_connection_are_told_apart() {
        let bytes = b"POST /a HTTP/1.1\r\nContent-Length: 2\r\nX: y z\r\n\r\n{}\
            POST /b HTTP/1.1\r\ncontent-length:0\r\n\r\n";

        let (first, rest) = take_request(bytes).unwrap();
        let (second, rest) = take_request(rest).map(|(second, rest)| (second, rest.len())).unwrap();

        assert_eq!(
            (first.method.as_str(), first.path.as_str(), first.body.as_slice()),
            ("POST", "/a", &b"{}"[..])
        );
        assert_eq!((first.header("x"), second.path.as_str(), rest), (Some("y z"), "/b", 0));
    }

    #[test]
    fn half_a_request_is_none() {
        for bytes in [
            &b"POST /a HTTP/1.1\r\nContent-Length: 2\r\n\r\n{"[..],
            b"POST /a HTTP/1.1\r\n\r\n",
            b"POST /a HTTP/1.1\r\n",
            b"",
        ] {
            assert_eq!(take_request(bytes), None);
        }
    }
}
