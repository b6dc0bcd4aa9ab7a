//! JSON values that compare exactly: numbers digit by digit, no key twice.

use core::fmt;
use std::collections::BTreeMap;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A JSON value as it was written, but for white space, the order of keys and the spelling of escapes.
///
/// ```
/// use whisperr_conformance::Exact;
///
/// let sent: Exact = serde_json::from_str(r#"{"amount": 1.0, "id": 12345678901234567890123}"#)?;
/// let same: Exact = serde_json::from_str(r#"{"id":12345678901234567890123,"amount":1.0}"#)?;
/// let other: Exact = serde_json::from_str(r#"{"id":12345678901234567890123,"amount":1}"#)?;
///
/// assert_eq!(same.difference(&sent), None);
/// assert_eq!(other.difference(&sent).as_deref(), Some("amount: expected 1, sent 1.0"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "JSON has no other values")]
pub enum Exact {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// The text of a number.
    Number(String),
    /// A string, without escapes.
    Text(String),
    /// An array.
    Array(Vec<Self>),
    /// An object.
    Object(BTreeMap<String, Self>),
}

impl Exact {
    /// The member of an object with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.get(name),
            _ => None,
        }
    }

    /// The text of a string.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Where what was sent first differs from this, the expected value.
    #[must_use]
    pub fn difference(&self, sent: &Self) -> Option<String> {
        self.difference_at("", sent)
    }

    fn difference_at(&self, place: &str, sent: &Self) -> Option<String> {
        match (self, sent) {
            (Self::Object(expected), Self::Object(sent)) => {
                let missing = expected.iter().find_map(|(name, expected)| {
                    let place = join(place, name);
                    match sent.get(name) {
                        Some(sent) => expected.difference_at(&place, sent),
                        None => Some(format!("{place}: expected {expected}, not sent")),
                    }
                });
                let extra = || sent.iter().find(|(name, _)| !expected.contains_key(*name));
                missing.or_else(|| {
                    extra().map(|(name, sent)| format!("{}: sent {sent}, not expected", join(place, name)))
                })
            }
            (Self::Array(expected), Self::Array(sent)) if expected.len() == sent.len() => {
                let mut pairs = expected.iter().zip(sent).enumerate();
                pairs.find_map(|(at, (expected, sent))| {
                    expected.difference_at(&format!("{place}[{at}]"), sent)
                })
            }
            _ if self == sent => None,
            _ if place.is_empty() => Some(format!("expected {self}, sent {sent}")),
            _ => Some(format!("{place}: expected {self}, sent {sent}")),
        }
    }

    fn parse(text: &str) -> Result<Self, serde_json::Error> {
        Ok(match text.bytes().next() {
            Some(b'{') => {
                let mut deserializer = serde_json::Deserializer::from_str(text);
                Self::Object(deserializer.deserialize_map(Members)?)
            }
            Some(b'[') => Self::Array(serde_json::from_str(text)?),
            Some(b'"') => Self::Text(serde_json::from_str(text)?),
            Some(b't' | b'f') => Self::Bool(serde_json::from_str(text)?),
            Some(b'n') => Self::Null,
            // RawValue has checked that nothing else is left.
            _ => Self::Number(text.to_owned()),
        })
    }
}

fn join(place: &str, name: &str) -> String {
    if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") }
}

impl<'de> Deserialize<'de> for Exact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Self::parse(raw.get()).map_err(Error::custom)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = BTreeMap<String, Exact>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = BTreeMap::new();
        while let Some((name, value)) = map.next_entry::<String, Exact>()? {
            if let Some(_first) = members.insert(name.clone(), value) {
                return Err(Error::custom(format!("key {name:?} twice")));
            }
        }
        Ok(members)
    }
}

impl fmt::Display for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => value.fmt(f),
            Self::Number(text) => f.write_str(text),
            Self::Text(text) => quoted(text, f),
            Self::Array(values) => {
                f.write_str("[")?;
                for (at, value) in values.iter().enumerate() {
                    f.write_str(if at == 0 { "" } else { "," })?;
                    value.fmt(f)?;
                }
                f.write_str("]")
            }
            Self::Object(members) => {
                f.write_str("{")?;
                for (at, (name, value)) in members.iter().enumerate() {
                    f.write_str(if at == 0 { "" } else { "," })?;
                    quoted(name, f)?;
                    write!(f, ":{value}")?;
                }
                f.write_str("}")
            }
        }
    }
}

fn quoted(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(&serde_json::to_string(text).map_err(|_| fmt::Error)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(text: &str) -> Exact {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn the_first_difference_is_named() {
        for (expected, sent, difference) in [
            ("{}", "{}", None),
            (r#"{"a":"\u0061"}"#, r#"{ "a" : "a" }"#, None),
            (r#"{"a":1}"#, r#"{"a":1.0}"#, Some("a: expected 1, sent 1.0")),
            (r#"{"a":1}"#, r#"{"a":"1"}"#, Some("a: expected 1, sent \"1\"")),
            (r#"{"a":-0}"#, r#"{"a":0}"#, Some("a: expected -0, sent 0")),
            (r#"{"a":{"b":[1,2]}}"#, r#"{"a":{"b":[1,3]}}"#, Some("a.b[1]: expected 2, sent 3")),
            (r#"{"a":[1,2]}"#, r#"{"a":[2,1]}"#, Some("a[0]: expected 1, sent 2")),
            (r#"{"a":[1]}"#, r#"{"a":[1,2]}"#, Some("a: expected [1], sent [1,2]")),
            (r#"{"a":null}"#, "{}", Some("a: expected null, not sent")),
            ("{}", r#"{"a":null}"#, Some("a: sent null, not expected")),
            ("{}", "[]", Some("expected {}, sent []")),
        ] {
            assert_eq!(exact(expected).difference(&exact(sent)).as_deref(), difference, "{expected} {sent}");
        }
    }

    #[test]
    fn a_key_twice_is_no_value() {
        assert!(serde_json::from_str::<Exact>(r#"{"a":{"b":1,"\u0062":2}}"#).is_err());
    }
}
