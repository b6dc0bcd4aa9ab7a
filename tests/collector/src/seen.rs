use hyper::HeaderMap;
use serde_json::{Value, json};

/// An operation the collector accepted.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "the contract has these two, and a test matches on both")]
pub enum Operation {
    /// An event, as it was on the wire.
    Track(Value),
    /// An identify body, as it was on the wire.
    Identify(Value),
}

impl Operation {
    pub(crate) fn to_json(&self) -> Value {
        match self {
            Self::Track(event) => json!({ "track": event }),
            Self::Identify(body) => json!({ "identify": body }),
        }
    }
}

/// A request the collector received, with what it did about it.
///
/// Requests to the control surface are not among them; requests to unknown paths are.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Seen {
    /// The method, such as `POST`.
    pub method: String,
    /// The path of the request line, with its query if there is one.
    pub path: String,
    /// The headers a client of the contract sets.
    pub headers: SeenHeaders,
    /// The body.
    pub body: SeenBody,
    /// The status replied; `None` while a [`Fault::Delay`](crate::Fault::Delay) lasts and when no
    /// reply was given.
    pub status: Option<u16>,
    /// When the body was complete, in milliseconds since the collector started.
    pub at_ms: u64,
    /// The TCP connection it came on, counted from 1.
    pub connection: u64,
    /// What this request added to [`Collector::operations`](crate::Collector::operations); known
    /// message ids add nothing.
    pub operations: Vec<Operation>,
}

/// The headers of a [`Seen`] request that concern the contract, verbatim.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SeenHeaders {
    /// `Authorization`.
    pub authorization: Option<String>,
    /// `X-API-Key`.
    pub x_api_key: Option<String>,
    /// `X-Whisperr-Sdk`.
    pub x_whisperr_sdk: Option<String>,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Content-Length`; a chunked body has none.
    pub content_length: Option<String>,
}

/// The body of a [`Seen`] request.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum SeenBody {
    /// JSON, whether or not it kept the rules.
    Json(Value),
    /// Anything else; empty without a body.
    Raw(Vec<u8>),
    /// Above the body limit: what was read is not kept.
    TooLarge,
    /// The connection ended before the body did.
    Broken,
}

impl SeenBody {
    /// The body as JSON, if it was.
    #[must_use]
    pub const fn json(&self) -> Option<&Value> {
        match self {
            Self::Json(value) => Some(value),
            Self::Raw(_) | Self::TooLarge | Self::Broken => None,
        }
    }
}

impl Seen {
    pub(crate) fn to_json(&self) -> Value {
        let body = match &self.body {
            SeenBody::Json(value) => value.clone(),
            SeenBody::Raw(bytes) if bytes.is_empty() => Value::Null,
            SeenBody::Raw(bytes) => String::from_utf8_lossy(bytes).into(),
            SeenBody::TooLarge => "(above the body limit)".into(),
            SeenBody::Broken => "(broken off)".into(),
        };
        json!({
            "method": self.method,
            "path": self.path,
            "headers": {
                "authorization": self.headers.authorization.as_deref().map(masked_authorization),
                "x-api-key": self.headers.x_api_key.as_deref().map(masked),
                "x-whisperr-sdk": self.headers.x_whisperr_sdk,
                "content-type": self.headers.content_type,
                "content-length": self.headers.content_length,
            },
            "body": body,
            "status": self.status,
            "at_ms": self.at_ms,
            "connection": self.connection,
            "operations": self.operations.iter().map(Operation::to_json).collect::<Vec<_>>(),
        })
    }
}

impl SeenHeaders {
    pub(crate) fn from_map(headers: &HeaderMap) -> Self {
        let text = |name: &str| {
            let value = headers.get(name)?;
            Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        Self {
            authorization: text("authorization"),
            x_api_key: text("x-api-key"),
            x_whisperr_sdk: text("x-whisperr-sdk"),
            content_type: text("content-type"),
            content_length: text("content-length"),
        }
    }

    /// The keys the request gives, in either header.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        let bearer = self.authorization.as_deref().and_then(|value| {
            let (scheme, key) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(key)
        });
        [bearer, self.x_api_key.as_deref()].into_iter().flatten().map(str::trim).filter(|key| !key.is_empty())
    }
}

fn masked_authorization(value: &str) -> String {
    match value.split_once(' ') {
        Some((scheme, key)) => format!("{scheme} {}", masked(key)),
        None => masked(value),
    }
}

// The key is publishable, but what a script prints ends up in logs.
fn masked(key: &str) -> String {
    let shown = key.chars().count().min(8) / 2;
    key.chars().take(shown).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_from_either_header() {
        for (authorization, x_api_key, expected) in [
            (Some("Bearer wrk_a"), None, vec!["wrk_a"]),
            (Some("bearer  wrk_a "), None, vec!["wrk_a"]),
            (None, Some("wrk_b"), vec!["wrk_b"]),
            (Some("Bearer wrk_a"), Some("wrk_b"), vec!["wrk_a", "wrk_b"]),
            (Some("Basic wrk_a"), None, vec![]),
            (Some("Bearer"), None, vec![]),
            (Some("Bearer "), Some(" "), vec![]),
            (Some("wrk_a"), None, vec![]),
            (None, None, vec![]),
        ] {
            let headers = SeenHeaders {
                authorization: authorization.map(str::to_owned),
                x_api_key: x_api_key.map(str::to_owned),
                ..SeenHeaders::default()
            };

            assert_eq!(headers.keys().collect::<Vec<_>>(), expected, "{authorization:?} {x_api_key:?}");
        }
    }

    #[test]
    fn keys_are_never_shown_whole() {
        assert_eq!(masked_authorization("Bearer wrk_secret"), "Bearer wrk_…");
        assert_eq!(masked_authorization("wrk_secret"), "wrk_…");
        assert_eq!(masked("wrk_secret"), "wrk_…");
        assert_eq!(masked("wrk_"), "wr…");
    }
}
