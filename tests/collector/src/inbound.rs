use http_body_util::BodyExt;
use hyper::Request;
use hyper::body::{Body, Incoming};

use crate::endpoint::Endpoint;
use crate::json;
use crate::seen::{Seen, SeenBody, SeenHeaders};

/// A request as it came off the wire.
#[derive(Debug, Clone)]
pub(crate) struct Inbound {
    /// `None` for a path that is not an ingestion endpoint.
    pub(crate) endpoint: Option<Endpoint>,
    /// What is recorded of it.
    pub(crate) seen: Seen,
    /// Why the body is not JSON, if it is not.
    pub(crate) not_json: Option<String>,
}

/// Where and when a request came in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin {
    pub(crate) connection: u64,
    pub(crate) at_ms: u64,
}

impl Inbound {
    /// Puts a request and its body together.
    pub(crate) fn new(head: &Request<()>, body: Received, origin: Origin) -> Self {
        let mut not_json = None;
        let body = match body {
            Received::Whole(bytes) => match json::parse(&bytes) {
                Ok(value) => SeenBody::Json(value),
                Err(error) => {
                    not_json = Some(error.to_string());
                    SeenBody::Raw(bytes)
                }
            },
            Received::TooLarge => SeenBody::TooLarge,
            Received::Broken => SeenBody::Broken,
        };
        Self {
            endpoint: Endpoint::from_path(head.uri().path()),
            seen: Seen {
                method: head.method().to_string(),
                path: head.uri().path_and_query().map_or_else(|| head.uri().to_string(), ToString::to_string),
                headers: SeenHeaders::from_map(head.headers()),
                body,
                status: None,
                at_ms: origin.at_ms,
                connection: origin.connection,
                operations: Vec::new(),
            },
            not_json,
        }
    }

    /// Whether the request carries an event of this type, valid or not.
    pub(crate) fn carries(&self, event_type: &str) -> bool {
        let Some(body) = self.seen.body.json() else {
            return false;
        };
        let is_of_type = |event: &serde_json::Value| {
            event.get("event_type").and_then(serde_json::Value::as_str) == Some(event_type)
        };
        match self.endpoint {
            Some(Endpoint::EventsBatch) => body
                .get("events")
                .and_then(serde_json::Value::as_array)
                .is_some_and(|events| events.iter().any(is_of_type)),
            Some(Endpoint::EventsTrack) => is_of_type(body),
            Some(Endpoint::Identify) | None => false,
        }
    }
}

/// A request body, never more of it than its limit.
#[derive(Debug)]
pub(crate) enum Received {
    Whole(Vec<u8>),
    TooLarge,
    /// The connection ended first.
    Broken,
}

impl Received {
    /// Reads a body of at most `bytes_max` bytes.
    ///
    /// Of a larger body the rest is read and forgotten, up to [`DISCARDED_BYTES_MAX`]: closing a
    /// connection with unread bytes resets it, and the client might never see the 413.
    pub(crate) async fn read(mut body: Incoming, bytes_max: usize) -> Self {
        let mut bytes = Vec::new();
        let announced = body.size_hint().lower();
        let mut discarding = announced > u64::try_from(bytes_max).unwrap_or(u64::MAX);
        let mut discarded = 0_usize;
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else {
                return Self::Broken;
            };
            // Trailers are no part of the body.
            let Ok(data) = frame.into_data() else {
                continue;
            };
            if !discarding && bytes.len().saturating_add(data.len()) <= bytes_max {
                bytes.extend_from_slice(&data);
                continue;
            }
            discarding = true;
            bytes = Vec::new();
            discarded = discarded.saturating_add(data.len());
            if discarded > DISCARDED_BYTES_MAX {
                break;
            }
        }
        if discarding { Self::TooLarge } else { Self::Whole(bytes) }
    }
}

/// Most bytes of a body above the limit that are read for the sake of the reply.
const DISCARDED_BYTES_MAX: usize = 64 * 1024 * 1024;
