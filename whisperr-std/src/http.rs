//! Requests over reqwest.

use core::fmt;
use core::time::Duration;
use std::sync::{Arc, PoisonError, RwLock};

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response};
use whisperr_core::{
    BaseUrl, Body, IngestionKey, REPLY_BYTES_MAX, Reply, Request, SDK, SDK_HEADER, Transport,
};

use crate::body::body_bytes;

/// How long the body of a reply may take once its status is there. The status is what counts: a
/// server that drips a body for ever must not turn an acknowledgement into a retry.
const REPLY_BODY_TIMEOUT: Duration = Duration::from_secs(2);

/// A [`Transport`] over a [`reqwest::Client`].
///
/// Connections are kept alive, redirects are not followed, bodies are as large as one batch.
#[derive(Clone)]
pub struct HttpTransport {
    client: Client,
    base_url: String,
    authorization: ApiKey,
}

/// The header that carries the ingestion key. Clones are the same one.
#[derive(Clone)]
pub(crate) struct ApiKey(Arc<RwLock<HeaderValue>>);

impl ApiKey {
    fn header(key: IngestionKey<'_>) -> HeaderValue {
        let authorization = HeaderValue::from_str(&format!("Bearer {}", key.expose()));
        // A checked key is visible ASCII, which is always a header value.
        let mut authorization = authorization.unwrap_or(HeaderValue::from_static("Bearer"));
        authorization.set_sensitive(true);
        authorization
    }

    fn new(key: IngestionKey<'_>) -> Self {
        Self(Arc::new(RwLock::new(Self::header(key))))
    }

    /// Replaces the key for every request from here on.
    pub(crate) fn set(&self, key: IngestionKey<'_>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Self::header(key);
    }

    fn get(&self) -> HeaderValue {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for HttpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpTransport").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

impl HttpTransport {
    /// A transport to a server. A client of your own must not follow redirects: a redirected POST
    /// arrives without its body.
    #[must_use]
    pub fn new(client: Client, base_url: BaseUrl<'_>, key: IngestionKey<'_>) -> Self {
        Self { client, base_url: base_url.as_str().to_owned(), authorization: ApiKey::new(key) }
    }

    /// The key, to be replaced later.
    pub(crate) fn api_key(&self) -> ApiKey {
        self.authorization.clone()
    }
}

/// Why there is no reply.
#[derive(Debug)]
#[non_exhaustive]
pub enum HttpError {
    /// The queue could not be read while the body was collected.
    Body,
    /// The exchange failed.
    Exchange(reqwest::Error),
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body => f.write_str("the queue could not be read"),
            Self::Exchange(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for HttpError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Body => None,
            Self::Exchange(error) => Some(error),
        }
    }
}

impl Transport for HttpTransport {
    type Error = HttpError;

    async fn send<B: Body>(&mut self, request: Request, body: &mut B) -> Result<Reply, HttpError> {
        let bytes = body_bytes(body).await.ok_or(HttpError::Body)?;
        let url = format!("{}{}", self.base_url, request.path);
        let sent = self
            .client
            .post(url)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header(AUTHORIZATION, self.authorization.get())
            .header(HeaderName::from_bytes(SDK_HEADER.as_bytes()).unwrap_or(CONTENT_TYPE), SDK)
            .body(bytes)
            .send()
            .await;
        let response = sent.map_err(|error| {
            let error = error.without_url();
            log::debug!(target: "whisperr", "no reply: {}", chain(&error));
            HttpError::Exchange(error)
        })?;
        Ok(read_reply(response).await)
    }
}

async fn read_reply(mut response: Response) -> Reply {
    let mut reply = Reply::new(response.status().as_u16());
    if let Some(value) = response.headers().get(RETRY_AFTER) {
        reply = reply.retry_after(value.as_bytes());
    }
    if let Some(value) = response.headers().get(DATE) {
        reply = reply.date(value.as_bytes());
    }
    let mut body = Vec::new();
    let read = async {
        // To its end where that is near, so that the connection can be used again.
        while let Ok(Some(piece)) = response.chunk().await {
            body.extend_from_slice(piece.get(..REPLY_BYTES_MAX.min(piece.len())).unwrap_or_default());
            if body.len() > REPLY_BYTES_MAX {
                break;
            }
        }
    };
    // Whatever came in time is read; the rest says nothing that counts.
    let _late = tokio::time::timeout(REPLY_BODY_TIMEOUT, read).await;
    reply.body(&body)
}

/// An error and its causes, which reqwest keeps apart.
fn chain(error: &dyn core::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
