use core::fmt;
use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use crate::control::{CONTROL_BYTES_MAX, Control};
use crate::endpoint::Endpoint;
use crate::inbound::{Inbound, Origin, Received};
use crate::ingest::{self, Outcome, Settings, Step};
use crate::reply::ReplyBody;
use crate::store::Store;

/// What every connection needs.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) settings: Settings,
    pub(crate) store: Store,
    pub(crate) started: Instant,
}

impl Server {
    /// Serves every connection until it is dropped.
    pub(crate) async fn accept(self: Arc<Self>, listener: TcpListener) {
        let mut connection = 0_u64;
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    connection = connection.saturating_add(1);
                    tokio::spawn(Arc::clone(&self).serve(stream, connection));
                }
                // Out of descriptors, most likely: let some connections end.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    }

    async fn serve(self: Arc<Self>, stream: TcpStream, connection: u64) {
        // A reply is one small write; waiting to fill a packet only slows tests down.
        let _ = stream.set_nodelay(true);
        let service = service_fn(|request| Arc::clone(&self).answer(request, connection));
        // The error is a client that went away, or a reply withheld on purpose.
        let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    }

    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        connection: u64,
    ) -> Result<Response<ReplyBody>, Withheld> {
        let (head, body) = request.into_parts();
        let head = Request::from_parts(head, ());
        if let Some(control) = Control::from_path(head.uri().path()) {
            let body = Received::read(body, CONTROL_BYTES_MAX).await;
            let reply = control.answer(&self.store, head.method().as_str(), &body);
            return Ok(reply.into_response(self.settings.clock.now()));
        }

        let body = Received::read(body, self.body_bytes_max(head.uri().path())).await;
        let at_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let inbound = Inbound::new(&head, body, Origin { connection, at_ms });
        let outcome = match ingest::arrive(&self.store, &self.settings, &inbound) {
            Step::Done(outcome) => outcome,
            Step::Later { ms, id } => {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                ingest::resume(&self.store, &self.settings, &inbound, id)
            }
        };
        match outcome {
            Outcome::Reply(reply) => Ok(reply.into_response(self.settings.clock.now())),
            Outcome::Hang => core::future::pending().await,
            Outcome::Close => Err(Withheld),
        }
    }

    fn body_bytes_max(&self, path: &str) -> usize {
        let own = self.settings.body_bytes_max;
        Endpoint::from_path(path)
            .and_then(|endpoint| self.store.read(|state| state.faults.body_limit(endpoint)))
            .map_or(own, |rule| rule.min(own))
    }
}

/// Makes hyper close the connection without a reply.
#[derive(Debug)]
struct Withheld;

impl fmt::Display for Withheld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("reply withheld")
    }
}

impl core::error::Error for Withheld {}
