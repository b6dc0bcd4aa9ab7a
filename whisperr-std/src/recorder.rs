//! A transport for the tests of an application.

use core::convert::Infallible;
use core::time::Duration;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use whisperr_core::{Body, Reply, Request, Transport};

use crate::body::body_bytes;
use crate::error::BuildError;
use crate::handle::Whisperr;

/// Takes every request instead of a server, so that an application can assert what it said.
///
/// ```
/// use whisperr_std::{Recorder, props};
///
/// let (whisperr, recorder) = Recorder::client()?;
/// whisperr.track("door_opened", props! { "door" => 3 }).unwrap();
///
/// let events = recorder.events(&whisperr);
/// assert_eq!(events[0]["event_type"], "door_opened");
/// assert_eq!(events[0]["properties"]["door"], 3);
/// # Ok::<(), whisperr_std::BuildError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Recorder {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    requests: Vec<Recorded>,
    status: Option<u16>,
}

/// One request that a [`Recorder`] took.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Recorded {
    /// Where it went: `/v1/events/batch` or `/v1/identify`.
    pub path: &'static str,
    /// Its body.
    pub body: Value,
    /// The status it was answered with.
    pub status: u16,
}

impl Recorder {
    /// A recorder that answers 202.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A client in memory, and the recorder it delivers to.
    ///
    /// # Errors
    /// [`BuildError`] when the system gives no thread or no randomness.
    pub fn client() -> Result<(Whisperr, Self), BuildError> {
        let recorder = Self::new();
        let builder = Whisperr::builder("wrk_test").enable_persistence(false).max_queue_bytes(1 << 20);
        Ok((builder.build_with_transport(recorder.clone())?, recorder))
    }

    /// Answers with this status from here on.
    pub fn set_status(&self, status: u16) {
        self.lock().status = Some(status);
    }

    /// Every request taken so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        self.lock().requests.clone()
    }

    /// Has `whisperr` deliver what it owes and returns every event acknowledged so far, in order.
    #[must_use]
    pub fn events(&self, whisperr: &Whisperr) -> Vec<Value> {
        let taken = self.delivered(whisperr, "/v1/events/batch");
        let events = taken.into_iter().filter_map(|mut body| match body.get_mut("events")?.take() {
            Value::Array(events) => Some(events),
            _ => None,
        });
        events.flatten().collect()
    }

    /// Has `whisperr` deliver what it owes and returns every identify acknowledged so far, in order.
    #[must_use]
    pub fn identifies(&self, whisperr: &Whisperr) -> Vec<Value> {
        self.delivered(whisperr, "/v1/identify")
    }

    fn delivered(&self, whisperr: &Whisperr, path: &str) -> Vec<Value> {
        // A recorder answers at once; a flush that ends otherwise was told to refuse, or to pause.
        let _ended = whisperr.flush(Duration::from_secs(5));
        let requests = self.requests().into_iter();
        let taken = requests.filter(|request| request.path == path && (200..300).contains(&request.status));
        taken.map(|request| request.body).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Transport for Recorder {
    type Error = Infallible;

    async fn send<B: Body>(&mut self, request: Request, body: &mut B) -> Result<Reply, Infallible> {
        let Some(bytes) = body_bytes(body).await else { return Ok(Reply::new(500)) };
        let mut inner = self.lock();
        let status = inner.status.unwrap_or(202);
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        inner.requests.push(Recorded { path: request.path, body, status });
        Ok(Reply::new(status))
    }
}
