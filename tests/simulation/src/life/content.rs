//! What must be in an operation that arrived.

use std::collections::HashMap;

use super::model::{Said, Says, Subject};
use super::server::tokens;

/// Whether an operation arrived as it was said.
pub(super) fn check_content(
    n: u64,
    said: &Said,
    operation: &serde_json::Value,
    visitors: &mut HashMap<u32, String>,
) -> Result<(), String> {
    let user = operation["external_user_id"].as_str();
    let anonymous = operation["anonymous_id"].as_str();
    let expected = match said.subject {
        Subject::User(user) => Some(super::act::user_id(user)),
        Subject::Visitor(_) => None,
    };
    if user != expected.as_deref() {
        return Err(format!("{n} is about {expected:?} and was sent as {operation}"));
    }
    if let (Some(id), Some(visitor)) = (anonymous, said.visitor) {
        let known = visitors.entry(visitor).or_insert_with(|| id.to_owned());
        if known != id {
            return Err(format!("{n} is about visitor {known} and was sent as {operation}"));
        }
    }
    let message_id = operation["context"]["$message_id"].as_str();
    if said.message_id.is_some() && message_id != said.message_id.as_deref() {
        return Err(format!("{n} is {:?} and was sent as {operation}", said.message_id));
    }
    if let Some(utc) = said.utc {
        let date = operation["occurred_at"].as_str().unwrap_or_default();
        if parse_date(date) != Some(utc) || operation["context"].get("$time_estimated").is_some() {
            return Err(format!("{n} happened at {utc} and was sent as {operation}"));
        }
    }
    let as_said = match &said.says {
        Says::Anything => true,
        Says::Tokens { new, old } => tokens(operation) == (*new, *old),
        Says::Event(name, property) => {
            let is_there = |(key, value): &(&str, serde_json::Value)| operation["properties"][key] == *value;
            operation["event_type"] == *name && property.as_ref().is_none_or(is_there)
        }
    };
    if as_said { Ok(()) } else { Err(format!("{n} says {:?} and was sent as {operation}", said.says)) }
}

/// Milliseconds of `2026-05-31T12:00:00.000Z`.
pub(super) fn parse_date(date: &str) -> Option<i64> {
    let (seconds, ms) = date.strip_suffix('Z')?.split_once('.')?;
    let number = |range: core::ops::Range<usize>| seconds.get(range)?.parse::<i64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    // Days from the civil calendar (Howard Hinnant), in years that start in March.
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1 - 719_468;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + ms.parse::<i64>().ok()?)
}
