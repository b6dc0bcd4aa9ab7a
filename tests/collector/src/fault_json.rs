use serde_json::{Map, Value};

use crate::endpoint::Endpoint;
use crate::fault::{Fault, FaultRule};

/// The names of the faults, as `POST /faults` takes them.
const NAMES: [&str; 11] = [
    "status",
    "delay",
    "hang",
    "close",
    "lose_reply",
    "body_limit",
    "reject_event_type",
    "count_rejected",
    "endless",
    "html",
    "redirect",
];

/// Reads the body of `POST /faults`.
pub(crate) fn parse(body: Value) -> Result<FaultRule, String> {
    let Value::Object(fields) = body else {
        return Err("the body is not an object".into());
    };
    let mut fields = Fields { left: fields, known: Vec::new() };
    let name = fields
        .text("fault")?
        .ok_or_else(|| format!("fault is missing, it is one of {}", NAMES.join(", ")))?;
    let fault = match name.as_str() {
        "status" => Fault::Status {
            code: required("code", fields.status("code", 200)?)?,
            retry_after: fields.header("retry_after")?,
            body: fields.text("body")?,
        },
        "delay" => Fault::Delay { ms: required("ms", fields.number("ms")?)? },
        "hang" => Fault::Hang,
        "close" => Fault::Close,
        "lose_reply" => Fault::LoseReply,
        "body_limit" => Fault::BodyLimit {
            bytes: usize::try_from(required("bytes", fields.number("bytes")?)?).unwrap_or(usize::MAX),
        },
        "reject_event_type" => Fault::RejectEventType {
            event_type: required("event_type", fields.text("event_type")?)?,
            code: fields.status("code", 400)?.unwrap_or(400),
        },
        "count_rejected" => {
            Fault::CountRejected { event_type: required("event_type", fields.text("event_type")?)? }
        }
        "endless" => Fault::Endless,
        "html" => Fault::Html,
        "redirect" => Fault::Redirect { to: required("to", fields.header("to")?)? },
        _ => return Err(format!("fault is none of {}", NAMES.join(", "))),
    };
    let times = match fields.number("times")? {
        None => None,
        Some(times) => match u32::try_from(times) {
            Ok(times) if times > 0 => Some(times),
            _ => return Err(format!("times is not 1 to {}", u32::MAX)),
        },
    };
    let endpoint = match fields.text("path")? {
        None => None,
        Some(path) => Some(
            Endpoint::from_path(&path)
                .ok_or_else(|| format!("path is none of {}", Endpoint::ALL.map(Endpoint::path).join(", ")))?,
        ),
    };
    fields.finish(&name)?;
    Ok(FaultRule { fault, times, endpoint })
}

fn required<T>(name: &str, value: Option<T>) -> Result<T, String> {
    value.ok_or_else(|| format!("{name} is missing"))
}

/// What is left of the object, and every name that was asked for.
struct Fields {
    left: Map<String, Value>,
    known: Vec<&'static str>,
}

impl Fields {
    fn value(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        self.left.remove(name)
    }

    fn text(&mut self, name: &'static str) -> Result<Option<String>, String> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(format!("{name} is not a string")),
        }
    }

    fn header(&mut self, name: &'static str) -> Result<Option<String>, String> {
        let text = self.text(name)?;
        match &text {
            Some(value) if hyper::header::HeaderValue::from_str(value).is_err() => {
                Err(format!("{name} is not the value of a header"))
            }
            _ => Ok(text),
        }
    }

    fn number(&mut self, name: &'static str) -> Result<Option<u64>, String> {
        match self.value(name) {
            None => Ok(None),
            Some(value) => match value.as_u64() {
                Some(number) => Ok(Some(number)),
                None => Err(format!("{name} is not a whole number")),
            },
        }
    }

    fn status(&mut self, name: &'static str, lowest: u16) -> Result<Option<u16>, String> {
        match self.number(name)? {
            None => Ok(None),
            Some(code) => match u16::try_from(code) {
                Ok(code) if (lowest..=599).contains(&code) => Ok(Some(code)),
                _ => Err(format!("{name} is not {lowest} to 599")),
            },
        }
    }

    fn finish(self, fault: &str) -> Result<(), String> {
        match self.left.keys().next() {
            None => Ok(()),
            Some(name) => {
                Err(format!("{name} is not a field of {fault}, which has {}", self.known.join(", ")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_fault_has_its_json() {
        for (body, expected) in [
            (
                json!({"fault": "status", "code": 503, "retry_after": "3", "times": 2}),
                Fault::status(503).retry_after("3").times(2),
            ),
            (json!({"fault": "status", "code": 200, "body": "x"}), Fault::status(200).body("x").into()),
            (json!({"fault": "delay", "ms": 500}), Fault::Delay { ms: 500 }.into()),
            (json!({"fault": "hang", "path": "/v1/identify"}), Fault::Hang.at(Endpoint::Identify)),
            (json!({"fault": "close", "times": 1}), Fault::Close.once()),
            (json!({"fault": "lose_reply"}), Fault::LoseReply.into()),
            (json!({"fault": "body_limit", "bytes": 9}), Fault::BodyLimit { bytes: 9 }.into()),
            (json!({"fault": "reject_event_type", "event_type": "a"}), Fault::reject_event_type("a").into()),
            (
                json!({"fault": "count_rejected", "event_type": "a"}),
                Fault::CountRejected { event_type: "a".into() }.into(),
            ),
            (json!({"fault": "endless"}), Fault::Endless.into()),
            (json!({"fault": "html"}), Fault::Html.into()),
            (
                json!({"fault": "redirect", "to": "http://a/"}),
                Fault::Redirect { to: "http://a/".into() }.into(),
            ),
        ] {
            assert_eq!(parse(body.clone()), Ok(expected), "{body}");
        }
    }

    #[test]
    fn a_wrong_fault_has_its_reason() {
        for (body, expected) in [
            (json!([]), "the body is not an object"),
            (
                json!({}),
                "fault is missing, it is one of status, delay, hang, close, lose_reply, \
                 body_limit, reject_event_type, count_rejected, endless, html, redirect",
            ),
            (
                json!({"fault": "explode"}),
                "fault is none of status, delay, hang, close, lose_reply, body_limit, \
                 reject_event_type, count_rejected, endless, html, redirect",
            ),
            (json!({"fault": "status"}), "code is missing"),
            (json!({"fault": "status", "code": 199}), "code is not 200 to 599"),
            (json!({"fault": "status", "code": 600}), "code is not 200 to 599"),
            (json!({"fault": "status", "code": "503"}), "code is not a whole number"),
            (json!({"fault": "status", "code": 503, "retry_after": 3}), "retry_after is not a string"),
            (json!({"fault": "redirect", "to": "a\r\nb"}), "to is not the value of a header"),
            (json!({"fault": "hang", "ms": 1}), "ms is not a field of hang, which has fault, times, path"),
            (json!({"fault": "delay", "ms": -1}), "ms is not a whole number"),
            (json!({"fault": "hang", "times": 0}), "times is not 1 to 4294967295"),
            (
                json!({"fault": "hang", "path": "/v1"}),
                "path is none of /v1/events/batch, /v1/events/track, /v1/identify",
            ),
        ] {
            assert_eq!(parse(body.clone()), Err(expected.into()), "{body}");
        }
    }
}
