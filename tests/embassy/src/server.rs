//! A server that reads requests and does what a script says.

use core::cell::RefCell;
use core::fmt;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

use embassy_net::Stack;
use embassy_net::tcp::TcpSocket;
use embassy_time::{Duration, Timer};
use rustls::ServerConfig;
use serde_json::Value;
use whisperr_virtual_time::{Tasks, now_us};

use crate::line::{Line, TlsLine};
use crate::message::{Act, Answer, Received};

type Script = Box<dyn FnMut(&Received) -> Answer>;
type Early = Box<dyn FnMut(&[u8]) -> Option<Answer>>;

/// The server. Clones are the same server.
#[derive(Clone)]
pub struct Server(Rc<RefCell<Inner>>);

struct Inner {
    script: Script,
    early: Early,
    received: Vec<Received>,
    connections: usize,
    ended: usize,
    operations: Vec<Value>,
    /// Message ids of events and whole bodies of identifies that are known.
    known: BTreeSet<String>,
    duplicates: usize,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("received", &self.0.borrow().received.len()).finish_non_exhaustive()
    }
}

/// Sockets that listen: a connection that hangs must not keep the next one out.
pub(crate) const LISTENERS: usize = 4;

impl Server {
    pub(crate) fn new() -> Self {
        Self(Rc::new(RefCell::new(Inner {
            script: Box::new(|_| Answer::status(202)),
            early: Box::new(|_| None),
            received: Vec::new(),
            connections: 0,
            ended: 0,
            operations: Vec::new(),
            known: BTreeSet::new(),
            duplicates: 0,
        })))
    }

    /// Replaces the script. The default answers 202 to everything.
    pub fn script(&self, script: impl FnMut(&Received) -> Answer + 'static) {
        self.0.borrow_mut().script = Box::new(script);
    }

    /// Answers the next request so, and 202 to all behind it.
    pub fn answer_once(&self, answer: Answer) {
        let mut once = Some(answer);
        self.script(move |_| once.take().unwrap_or_else(|| Answer::status(202)));
    }

    /// Looks at the bytes of a request that is not whole yet, and answers it all the same when it wants to.
    pub fn answer_early(&self, early: impl FnMut(&[u8]) -> Option<Answer> + 'static) {
        self.0.borrow_mut().early = Box::new(early);
    }

    /// Every whole request so far, in order.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.0.borrow().received.clone()
    }

    /// How many connections were made so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.0.borrow().connections
    }

    /// How many connections there are.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        let inner = self.0.borrow();
        inner.connections.saturating_sub(inner.ended)
    }

    /// The operations that were taken, each message id once, in order: events, and the bodies of identifies.
    #[must_use]
    pub fn operations(&self) -> Vec<Value> {
        self.0.borrow().operations.clone()
    }

    /// The types of the events that were taken, in order.
    #[must_use]
    pub fn event_types(&self) -> Vec<String> {
        let types = self.operations().into_iter();
        types.filter_map(|operation| Some(operation.get("event_type")?.as_str()?.to_owned())).collect()
    }

    /// How many events came again under a known message id.
    #[must_use]
    pub fn duplicates(&self) -> usize {
        self.0.borrow().duplicates
    }

    pub(crate) fn start(
        &self,
        tasks: &Tasks,
        stack: Stack<'static>,
        port: u16,
        tls: Option<&Arc<ServerConfig>>,
    ) {
        for _ in 0..LISTENERS {
            tasks.spawn(self.clone().listen(stack, port, tls.cloned()));
        }
    }

    async fn listen(self, stack: Stack<'static>, port: u16, tls: Option<Arc<ServerConfig>>) {
        let (mut rx, mut tx) = (vec![0; 2048], vec![0; 2048]);
        loop {
            let mut socket = TcpSocket::new(stack, &mut rx, &mut tx);
            // A client whose last word was lost is gone all the same.
            socket.set_keep_alive(Some(Duration::from_secs(20)));
            socket.set_timeout(Some(Duration::from_secs(60)));
            if socket.accept(port).await.is_err() {
                continue;
            }
            let connection = {
                let mut inner = self.0.borrow_mut();
                let connection = inner.connections;
                inner.connections = connection.saturating_add(1);
                connection
            };
            match &tls {
                Some(config) => {
                    if let Some(mut line) = TlsLine::new(&mut socket, config) {
                        self.serve(&mut line, connection).await;
                    }
                }
                None => self.serve(&mut socket, connection).await,
            }
            {
                let mut inner = self.0.borrow_mut();
                inner.ended = inner.ended.saturating_add(1);
            }
            socket.abort();
            let _reset_sent = socket.flush().await;
        }
    }

    /// Serves a connection until it ends.
    async fn serve(&self, socket: &mut impl Line, connection: usize) {
        let mut bytes = Vec::new();
        let mut piece = [0; 512];
        loop {
            while let Some(mut request) = Received::take(&mut bytes) {
                request.connection = connection;
                request.at_us = now_us();
                let answer = self.decide(request);
                if !act(socket, &answer).await {
                    return;
                }
            }
            if !bytes.is_empty() {
                let early = (self.0.borrow_mut().early)(&bytes);
                if let Some(answer) = early
                    && !act(socket, &answer).await
                {
                    return;
                }
            }
            match socket.read(&mut piece).await {
                Ok(0) => return socket.close().await,
                Ok(count) => bytes.extend_from_slice(piece.get(..count).unwrap_or_default()),
                Err(_) => return,
            }
        }
    }

    fn decide(&self, mut request: Received) -> Answer {
        let inner = &mut *self.0.borrow_mut();
        let answer = (inner.script)(&request);
        request.status = answer.first_status();
        if answer.is_processed {
            inner.take(&request.json());
        }
        inner.received.push(request);
        answer
    }
}

impl Inner {
    fn take(&mut self, body: &Value) {
        let events = match body.get("events") {
            Some(Value::Array(events)) => events.clone(),
            _ => vec![body.clone()],
        };
        for operation in events {
            let id = operation
                .pointer("/context/$message_id")
                .map_or_else(|| operation.to_string(), Value::to_string);
            if self.known.insert(id) {
                self.operations.push(operation);
            } else {
                self.duplicates = self.duplicates.saturating_add(1);
            }
        }
    }
}

/// Does what the answer says; whether the connection goes on.
async fn act(socket: &mut impl Line, answer: &Answer) -> bool {
    for act in &answer.acts {
        match act {
            Act::Send(bytes) => {
                if socket.send(bytes).await.is_err() {
                    return false;
                }
            }
            Act::Wait(ms) => Timer::after_millis(*ms).await,
            Act::Close => {
                socket.close().await;
                return false;
            }
            Act::Reset => return false,
            Act::Hang => {
                while socket.read(&mut [0; 64]).await.is_ok_and(|count| count > 0) {}
                return false;
            }
        }
    }
    true
}
