//! A JSON object, member by member: every mistake in it can be named, and its values keep their text.

use core::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The members of an object that were not taken yet.
#[derive(Debug)]
pub(crate) struct Members<'a> {
    /// Stands in front of every name in errors: `channels[0].`
    path: String,
    rest: Vec<(String, &'a RawValue)>,
}

impl<'a> Members<'a> {
    /// The members of the object that `text` is; `what` names it in errors.
    pub(crate) fn parse(text: &'a str, what: &str, path: String) -> Result<Self, String> {
        match serde_json::from_str::<Raw<'_>>(text) {
            Ok(Raw(rest)) => Ok(Self { path, rest }),
            Err(error) if error.is_data() => Err(format!("{what} is not an object")),
            // The column counts from 1, and a line is one line.
            Err(error) => {
                let at = error.column().saturating_sub(1);
                Err(format!("{what} is not valid JSON at byte {at}"))
            }
        }
    }

    /// The value of a member, if there is one of this name.
    pub(crate) fn take(&mut self, name: &str) -> Result<Option<&'a RawValue>, String> {
        let mut found = None;
        for at in (0..self.rest.len()).rev() {
            if self.rest.get(at).is_some_and(|(known, _)| known == name) {
                if found.is_some() {
                    return Err(format!("{}{name} is given twice", self.path));
                }
                found = Some(self.rest.remove(at).1);
            }
        }
        Ok(found)
    }

    /// A member that is text.
    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>, String> {
        self.typed(name, "a string")
    }

    /// A member that is `true` or `false`.
    pub(crate) fn boolean(&mut self, name: &str) -> Result<Option<bool>, String> {
        self.typed(name, "true or false")
    }

    /// A member that is any list.
    pub(crate) fn list(&mut self, name: &str) -> Result<Vec<&'a RawValue>, String> {
        Ok(self.typed(name, "a list")?.unwrap_or_default())
    }

    fn typed<T: Deserialize<'a>>(&mut self, name: &str, kind: &str) -> Result<Option<T>, String> {
        let Some(value) = self.take(name)? else { return Ok(None) };
        // The error of the parser would show the value.
        let parsed = serde_json::from_str(value.get());
        parsed.map(Some).map_err(|_| format!("{}{name} is not {kind}", self.path))
    }

    /// Whatever was not taken is not known in `what`.
    pub(crate) fn finish(self, what: &str) -> Result<(), String> {
        match self.rest.first() {
            None => Ok(()),
            Some((name, _)) => {
                let name: String = name.chars().take(NAME_CHARS_MAX).collect();
                Err(format!("{}{name} is no field of {what}", self.path))
            }
        }
    }
}

/// Most characters shown of a name that is not known.
const NAME_CHARS_MAX: usize = 64;

struct Raw<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Raw<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Raw(members))
    }
}
