use core::time::Duration;

use serde_json::{Map, Value};

use crate::timestamp::UtcMs;

/// Most events in one batch (contract, section 1).
pub const BATCH_EVENTS_MAX: usize = 500;

/// Most characters of an `anonymous_id` (contract, section 2).
pub const ANONYMOUS_ID_CHARS_MAX: usize = 128;

/// How far `occurred_at` may lie from the collector's clock; both ends are inside.
///
/// Default: 30 days back, 5 minutes ahead (contract, section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// How far back.
    pub past: Duration,
    /// How far ahead.
    pub future: Duration,
}

impl Default for Window {
    fn default() -> Self {
        Self { past: Duration::from_secs(30 * 24 * 60 * 60), future: Duration::from_secs(5 * 60) }
    }
}

/// Why a body is refused: the field as on the wire, the rule, the number.
pub(crate) type Reason = String;

/// An event that kept every rule.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    pub(crate) message_id: String,
    pub(crate) event_type: String,
    pub(crate) value: Value,
}

/// The rules for bodies, at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) now: UtcMs,
    /// `None` takes any date.
    pub(crate) window: Option<Window>,
}

impl Rules {
    /// Checks the body of `POST /v1/events/batch`.
    pub(crate) fn batch(&self, body: &Value) -> Result<Vec<Event>, Reason> {
        let envelope = Fields::new("the body", "", body)?;
        envelope.only(&["events"])?;
        let Some(Value::Array(events)) = envelope.value("events") else {
            return Err("events is not an array".into());
        };
        if !(1..=BATCH_EVENTS_MAX).contains(&events.len()) {
            return Err(format!("events has {} events, not 1 to {BATCH_EVENTS_MAX}", events.len()));
        }
        events
            .iter()
            .enumerate()
            .map(|(index, event)| self.event_at(&format!("events[{index}]"), event))
            .collect()
    }

    /// Checks the body of `POST /v1/events/track`.
    pub(crate) fn event(&self, body: &Value) -> Result<Event, Reason> {
        self.event_at("", body)
    }

    fn event_at(&self, place: &str, value: &Value) -> Result<Event, Reason> {
        let event = Fields::at(place, value)?;
        event.only(&[
            "external_user_id",
            "anonymous_id",
            "event_type",
            "occurred_at",
            "properties",
            "context",
        ])?;
        match (event.value("external_user_id"), event.value("anonymous_id")) {
            (Some(_), Some(_)) => {
                return Err(event.wrong("anonymous_id", "stands beside external_user_id"));
            }
            (Some(_), None) => event.trimmed("external_user_id")?,
            (None, Some(_)) => event.anonymous_id()?,
            (None, None) => {
                return Err(event.wrong("external_user_id", "is missing, and so is anonymous_id"));
            }
        };
        let event_type = event.text("event_type")?;
        if let Err(byte) = snake_case(event_type) {
            return Err(event.wrong("event_type", &format!("is not snake_case at byte {byte}")));
        }
        self.occurred_at(&event)?;
        event.object("properties")?;
        let context = event.object("context")?;
        let message_id = match context.get("$message_id") {
            Some(Value::String(id)) if !id.is_empty() => id.clone(),
            Some(Value::String(_)) => return Err(event.wrong("context.$message_id", "is empty")),
            Some(_) => return Err(event.wrong("context.$message_id", "is not a string")),
            None => return Err(event.wrong("context.$message_id", "is missing")),
        };
        Ok(Event { message_id, event_type: event_type.to_owned(), value: value.clone() })
    }

    fn occurred_at(&self, event: &Fields<'_>) -> Result<(), Reason> {
        let Some(at) = UtcMs::parse(event.text("occurred_at")?) else {
            return Err(
                event.wrong("occurred_at", "is not RFC 3339 in UTC with three fractional digits and Z")
            );
        };
        let Some(window) = self.window else {
            return Ok(());
        };
        if at < UtcMs(self.now.0.saturating_sub(ms(window.past))) {
            return Err(
                event.wrong("occurred_at", &format!("is more than {} s in the past", window.past.as_secs()))
            );
        }
        if at > UtcMs(self.now.0.saturating_add(ms(window.future))) {
            return Err(event
                .wrong("occurred_at", &format!("is more than {} s in the future", window.future.as_secs())));
        }
        Ok(())
    }
}

/// Checks the body of `POST /v1/identify`.
pub(crate) fn identify(body: &Value) -> Result<(), Reason> {
    let identify = Fields::at("", body)?;
    identify.only(&["external_user_id", "anonymous_id", "traits", "preferred_channel", "channels"])?;
    identify.trimmed("external_user_id")?;
    if identify.value("anonymous_id").is_some() {
        identify.anonymous_id()?;
    }
    if identify.value("traits").is_some() && identify.object("traits")?.is_empty() {
        return Err(identify.wrong("traits", "is empty, not omitted"));
    }
    identify.one_of("preferred_channel", CHANNELS)?;
    match identify.value("channels") {
        None => Ok(()),
        Some(Value::Array(channels)) if channels.is_empty() => {
            Err(identify.wrong("channels", "is empty, not omitted"))
        }
        Some(Value::Array(channels)) => channels
            .iter()
            .enumerate()
            .try_for_each(|(index, channel)| check_channel(&format!("channels[{index}]"), channel)),
        Some(_) => Err(identify.wrong("channels", "is not an array")),
    }
}

fn check_channel(place: &str, value: &Value) -> Result<(), Reason> {
    let item = Fields::at(place, value)?;
    item.only(&["channel", "address", "opted_in", "verified", "kind", "platform", "push_env"])?;
    let channel = item.text("channel")?;
    item.one_of("channel", CHANNELS)?;
    item.trimmed("address")?;
    for (name, required) in [("opted_in", true), ("verified", false)] {
        match item.value(name) {
            Some(Value::Bool(_)) => {}
            None if !required => {}
            None => return Err(item.wrong(name, "is missing")),
            Some(_) => return Err(item.wrong(name, "is not a boolean")),
        }
    }
    for (name, values) in [
        ("kind", &["fcm", "apns", "expo", "onesignal_sub"] as &[_]),
        ("platform", &["ios", "android", "web"]),
        ("push_env", &["production", "sandbox"]),
    ] {
        if item.value(name).is_some() && channel != "push" {
            return Err(item.wrong(name, &format!("stands on a channel {channel}, not push")));
        }
        item.one_of(name, values)?;
    }
    Ok(())
}

const CHANNELS: &[&str] = &["email", "sms", "push"];

/// An object of the wire with fixed fields, and where it stands.
struct Fields<'a> {
    prefix: String,
    fields: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    fn at(place: &str, value: &'a Value) -> Result<Self, Reason> {
        if place.is_empty() {
            Self::new("the body", "", value)
        } else {
            Self::new(place, &format!("{place}."), value)
        }
    }

    fn new(what: &str, prefix: &str, value: &'a Value) -> Result<Self, Reason> {
        let Value::Object(fields) = value else {
            return Err(format!("{what} is not an object"));
        };
        Ok(Self { prefix: prefix.to_owned(), fields })
    }

    fn value(&self, name: &str) -> Option<&'a Value> {
        self.fields.get(name)
    }

    fn wrong(&self, name: &str, rule: &str) -> Reason {
        format!("{}{name} {rule}", self.prefix)
    }

    fn only(&self, known: &[&str]) -> Result<(), Reason> {
        match self.fields.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(self.wrong(name, "is not a field of the contract")),
            None => Ok(()),
        }
    }

    fn text(&self, name: &str) -> Result<&'a str, Reason> {
        match self.value(name) {
            Some(Value::String(text)) => Ok(text),
            Some(_) => Err(self.wrong(name, "is not a string")),
            None => Err(self.wrong(name, "is missing")),
        }
    }

    fn trimmed(&self, name: &str) -> Result<(), Reason> {
        let text = self.text(name)?;
        if text.trim().is_empty() {
            Err(self.wrong(name, "is empty"))
        } else if text.trim() != text {
            Err(self.wrong(name, "is not trimmed"))
        } else {
            Ok(())
        }
    }

    fn anonymous_id(&self) -> Result<(), Reason> {
        let chars = self.text("anonymous_id")?.chars().count();
        if (1..=ANONYMOUS_ID_CHARS_MAX).contains(&chars) {
            Ok(())
        } else {
            Err(self
                .wrong("anonymous_id", &format!("has {chars} characters, not 1 to {ANONYMOUS_ID_CHARS_MAX}")))
        }
    }

    fn object(&self, name: &str) -> Result<&'a Map<String, Value>, Reason> {
        match self.value(name) {
            Some(Value::Object(object)) => Ok(object),
            Some(_) => Err(self.wrong(name, "is not an object")),
            None => Err(self.wrong(name, "is missing")),
        }
    }

    /// Checks an optional text with few values.
    fn one_of(&self, name: &str, values: &[&str]) -> Result<(), Reason> {
        if self.value(name).is_none() || values.contains(&self.text(name)?) {
            Ok(())
        } else {
            Err(self.wrong(name, &format!("is none of {}", values.join(", "))))
        }
    }
}

/// Checks `^[a-z0-9]+(?:_[a-z0-9]+)*$`; the error is the offset of the first byte against it.
fn snake_case(name: &str) -> Result<(), usize> {
    // A name starts like the part after an underscore: with a letter or a digit.
    let mut before = b'_';
    for (offset, byte) in name.bytes().enumerate() {
        let fits = match byte {
            b'a'..=b'z' | b'0'..=b'9' => true,
            b'_' => before != b'_',
            _ => false,
        };
        if !fits {
            return Err(offset);
        }
        before = byte;
    }
    if before == b'_' {
        return Err(name.len());
    }
    Ok(())
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
