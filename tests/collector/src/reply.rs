use core::convert::Infallible;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;

use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::{ALLOW, CONTENT_TYPE, DATE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};
use tokio::time::Interval;

use crate::timestamp::UtcMs;

/// A reply, before it is HTTP.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    content_type: &'static str,
    headers: Vec<(HeaderName, String)>,
    body: Content,
}

#[derive(Debug, Clone, PartialEq)]
enum Content {
    Text(String),
    Endless,
}

impl Reply {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::text(status, "application/json", body.to_string())
    }

    pub(crate) fn error(status: u16, reason: &str) -> Self {
        Self::json(status, &json!({ "error": reason }))
    }

    pub(crate) fn text(status: u16, content_type: &'static str, body: String) -> Self {
        Self { status, content_type, headers: Vec::new(), body: Content::Text(body) }
    }

    pub(crate) const fn endless() -> Self {
        Self { status: 200, content_type: "application/json", headers: Vec::new(), body: Content::Endless }
    }

    /// A 405 that names the methods of the path.
    pub(crate) fn method_not_allowed(allow: &str) -> Self {
        Self::error(405, &format!("the method is not {allow}")).header(ALLOW, allow)
    }

    pub(crate) fn header(mut self, name: HeaderName, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// Makes it HTTP; `now` is its `Date`. To be called on the server's runtime.
    pub(crate) fn into_response(self, now: UtcMs) -> Response<ReplyBody> {
        let body = match self.body {
            Content::Text(text) => ReplyBody::Text(Some(text.into())),
            Content::Endless => ReplyBody::Endless(tokio::time::interval(DRIP)),
        };
        let mut response = Response::new(body);
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        for (name, value) in [(DATE, now.http_date())].into_iter().chain(self.headers) {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
        response
    }
}

/// The body of a reply on its way out.
#[derive(Debug)]
pub(crate) enum ReplyBody {
    Text(Option<Bytes>),
    Endless(Interval),
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = match self.get_mut() {
            Self::Text(text) => text.take(),
            Self::Endless(interval) => {
                ready!(interval.poll_tick(context));
                // White space: whoever reads JSON reads on.
                Some(Bytes::from_static(b" "))
            }
        };
        Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Text(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Text(text) => {
                let bytes = text.as_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(u64::try_from(bytes).unwrap_or(u64::MAX))
            }
            Self::Endless(_) => SizeHint::new(),
        }
    }
}

/// Between two bytes of an endless body.
const DRIP: Duration = Duration::from_millis(50);
