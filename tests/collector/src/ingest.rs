use core::fmt;
use std::sync::Arc;

use hyper::header::{LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use serde_json::{Value, json};

use crate::endpoint::Endpoint;
use crate::fault::Fault;
use crate::inbound::Inbound;
use crate::reply::Reply;
use crate::rules::{self, Event, Rules, Window};
use crate::seen::{Operation, SeenBody};
use crate::store::{RequestId, State, Store};
use crate::timestamp::UtcMs;

/// How strict the collector is.
#[derive(Debug)]
pub(crate) struct Settings {
    /// `None` takes any key.
    pub(crate) api_key: Option<String>,
    pub(crate) window: Option<Window>,
    pub(crate) body_bytes_max: usize,
    pub(crate) clock: Clock,
}

/// Where the collector reads the date.
#[derive(Clone)]
pub(crate) struct Clock(pub(crate) Arc<dyn Fn() -> UtcMs + Send + Sync>);

impl Clock {
    pub(crate) fn now(&self) -> UtcMs {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// What becomes of a request.
#[derive(Debug)]
pub(crate) enum Outcome {
    Reply(Reply),
    /// Keep the connection, say nothing.
    Hang,
    /// Close the connection, say nothing.
    Close,
}

/// What the server does about a request that came in.
#[derive(Debug)]
pub(crate) enum Step {
    Done(Outcome),
    /// Wait, then call [`resume`].
    Later {
        ms: u64,
        id: RequestId,
    },
}

/// Records a request and decides about it.
pub(crate) fn arrive(store: &Store, settings: &Settings, inbound: &Inbound) -> Step {
    // Outside of the lock: the clock is the caller's.
    let case = Case::new(settings, inbound);
    store.update(|state| {
        let id = state.record(inbound.seen.clone());
        let Some(case) = case else {
            let reply = Reply::error(404, "the path is not an endpoint of the contract");
            return Step::Done(settle(state, id, Outcome::Reply(reply), Vec::new()));
        };
        if inbound.seen.body == SeenBody::Broken {
            return Step::Done(Outcome::Close);
        }
        let fault = state.faults.take(case.endpoint, |event_type| inbound.carries(event_type));
        if let Some(Fault::Delay { ms }) = fault {
            return Step::Later { ms, id };
        }
        let (outcome, operations) = case.decide(state, fault);
        Step::Done(settle(state, id, outcome, operations))
    })
}

/// Decides about a request whose delay is over.
pub(crate) fn resume(store: &Store, settings: &Settings, inbound: &Inbound, id: RequestId) -> Outcome {
    let Some(case) = Case::new(settings, inbound) else {
        return Outcome::Close;
    };
    store.update(|state| {
        let (outcome, operations) = case.decide(state, None);
        settle(state, id, outcome, operations)
    })
}

fn settle(state: &mut State, id: RequestId, outcome: Outcome, operations: Vec<Operation>) -> Outcome {
    let status = match &outcome {
        Outcome::Reply(reply) => Some(reply.status),
        Outcome::Hang | Outcome::Close => None,
    };
    state.settle(id, status, operations);
    outcome
}

/// A request to an ingestion endpoint, and what it is judged by.
#[derive(Debug, Clone, Copy)]
struct Case<'a> {
    settings: &'a Settings,
    endpoint: Endpoint,
    rules: Rules,
    inbound: &'a Inbound,
}

impl<'a> Case<'a> {
    /// `None` for a path that is not an ingestion endpoint.
    fn new(settings: &'a Settings, inbound: &'a Inbound) -> Option<Self> {
        Some(Self {
            settings,
            endpoint: inbound.endpoint?,
            rules: Rules { now: settings.clock.now(), window: settings.window },
            inbound,
        })
    }

    fn decide(&self, state: &mut State, fault: Option<Fault>) -> (Outcome, Vec<Operation>) {
        // Whatever stands in front of the server answers without it.
        let in_front = match &fault {
            Some(Fault::Status { code, retry_after, body }) => {
                Some(Outcome::Reply(status_reply(*code, retry_after.as_deref(), body.as_deref())))
            }
            Some(Fault::Html) => Some(Outcome::Reply(Reply::text(200, "text/html", PORTAL.to_owned()))),
            Some(Fault::Redirect { to }) => {
                Some(Outcome::Reply(Reply::error(302, "fault").header(LOCATION, to)))
            }
            Some(Fault::Hang) => Some(Outcome::Hang),
            Some(Fault::Close) => Some(Outcome::Close),
            _ => None,
        };
        if let Some(outcome) = in_front {
            return (outcome, Vec::new());
        }

        let (reply, operations) = match self.check(state) {
            Err(refusal) => (refusal, Vec::new()),
            Ok(Checked::Identify(body)) => {
                let operation = state.accept_identify(body);
                (accepted(1, 0), vec![operation])
            }
            Ok(Checked::Events(events)) => {
                let received = events.len();
                let kept: Vec<_> =
                    events.into_iter().filter(|event| !counts_as_rejected(fault.as_ref(), event)).collect();
                let reply = accepted(kept.len(), received.saturating_sub(kept.len()));
                let operations = kept.into_iter().filter_map(|event| state.accept_event(event)).collect();
                (reply, operations)
            }
        };
        let outcome = match fault {
            Some(Fault::LoseReply) => Outcome::Close,
            Some(Fault::Endless) if reply.status == 202 => Outcome::Reply(Reply::endless()),
            _ => Outcome::Reply(reply),
        };
        (outcome, operations)
    }

    /// Everything the server checks, in its order; the error is the refusal.
    fn check(&self, state: &mut State) -> Result<Checked, Reply> {
        let Self { settings, endpoint, rules, inbound } = *self;
        let seen = &inbound.seen;
        if seen.method != "POST" {
            return Err(Reply::method_not_allowed("POST"));
        }
        let key_fits = |key: &str| settings.api_key.as_deref().is_none_or(|own| own == key);
        if !seen.headers.keys().any(key_fits) {
            return Err(Reply::error(401, "the ingestion key is missing or not accepted")
                .header(WWW_AUTHENTICATE, "Bearer"));
        }
        if !seen.headers.content_type.as_deref().is_some_and(is_json) {
            return Err(Reply::error(415, "content-type is not application/json"));
        }
        if seen.body == SeenBody::TooLarge {
            let rule = state.faults.body_limit(endpoint);
            let limit = rule.map_or(settings.body_bytes_max, |rule| rule.min(settings.body_bytes_max));
            if limit < settings.body_bytes_max {
                state.faults.spend_body_limit(endpoint);
            }
            return Err(Reply::error(413, &format!("the body exceeds the limit of {limit} bytes")));
        }
        let sdk = seen.headers.x_whisperr_sdk.as_deref();
        if !sdk.is_none_or(is_name_and_version) {
            return Err(Reply::error(400, "x-whisperr-sdk is not <name>/<version>"));
        }
        let Some(body) = seen.body.json() else {
            let why = inbound.not_json.as_deref().unwrap_or("empty");
            return Err(Reply::error(400, &format!("the body is not JSON: {why}")));
        };
        let rejection = state.faults.take_rejection(endpoint, |event_type| inbound.carries(event_type));
        if let Some((event_type, code)) = rejection {
            return Err(Reply::error(
                final_status(code),
                &format!("event_type {event_type} is not accepted"),
            ));
        }
        let checked = match endpoint {
            Endpoint::EventsBatch => rules.batch(body).map(Checked::Events),
            Endpoint::EventsTrack => rules.event(body).map(|event| Checked::Events(vec![event])),
            Endpoint::Identify => rules::identify(body).map(|()| Checked::Identify(body.clone())),
        };
        checked.map_err(|reason| Reply::error(400, &reason))
    }
}

enum Checked {
    Events(Vec<Event>),
    Identify(Value),
}

fn accepted(accepted: usize, rejected: usize) -> Reply {
    Reply::json(202, &json!({ "accepted": accepted, "rejected": rejected }))
}

fn counts_as_rejected(fault: Option<&Fault>, event: &Event) -> bool {
    matches!(fault, Some(Fault::CountRejected { event_type }) if *event_type == event.event_type)
}

fn status_reply(code: u16, retry_after: Option<&str>, body: Option<&str>) -> Reply {
    let code = final_status(code);
    let reply = match body {
        Some(body) => Reply::text(code, "application/json", body.to_owned()),
        None => Reply::error(code, "fault"),
    };
    match retry_after {
        Some(value) => reply.header(RETRY_AFTER, value),
        None => reply,
    }
}

// A 1xx would leave the client waiting for the reply proper.
const fn final_status(code: u16) -> u16 {
    if code >= 200 && code <= 599 { code } else { 500 }
}

fn is_json(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case("application/json")
}

fn is_name_and_version(sdk: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte))
    };
    sdk.split_once('/').is_some_and(|(name, version)| is_part(name) && is_part(version))
}

/// What a captive portal says.
const PORTAL: &str = "<!doctype html><title>Sign in</title><p>Accept the terms to go online.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sdk_header_is_a_name_and_a_version() {
        for (sdk, fits) in [
            ("rust/0.1.0", true),
            ("whisperr-rust/1.0.0-rc.1+5", true),
            ("rust", false),
            ("rust/", false),
            ("/0.1.0", false),
            ("rust/0.1.0/x", false),
            ("rust/0.1 0", false),
            ("", false),
        ] {
            assert_eq!(is_name_and_version(sdk), fits, "{sdk}");
        }
    }

    #[test]
    fn json_is_told_by_its_media_type() {
        for (content_type, fits) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/jsonp", false),
            ("text/json", false),
            ("", false),
        ] {
            assert_eq!(is_json(content_type), fits, "{content_type}");
        }
    }

    #[test]
    fn only_final_statuses_are_replied() {
        for (code, replied) in [(0, 500), (199, 500), (200, 200), (599, 599), (600, 500)] {
            assert_eq!(final_status(code), replied, "{code}");
        }
    }
}
