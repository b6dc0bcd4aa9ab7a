//! `NAME=TEXT` and `NAME:=JSON`.

use std::ffi::OsString;

use serde_json::value::RawValue;

use crate::command::content;
use crate::exit::Failure;

/// The members of an object, in the order they were given.
#[derive(Debug, Default)]
pub(crate) struct Assignments(Vec<(String, String)>);

impl Assignments {
    /// Takes one; `place` names it in errors about its form, `field` in those about what it says.
    pub(crate) fn add(&mut self, place: &str, field: &str, value: OsString) -> Result<(), Failure> {
        let text = content(field, value)?;
        let (name, value, is_json) = match text.split_once('=') {
            None => {
                return Err(Failure::usage(format_args!("{place} is neither NAME=TEXT nor NAME:=JSON")));
            }
            Some((name, value)) => match name.strip_suffix(':') {
                Some(name) => (name, value, true),
                None => (name, value, false),
            },
        };
        if name.is_empty() {
            return Err(Failure::usage(format_args!("{place} has an empty NAME")));
        }
        if self.0.iter().any(|(known, _)| known == name) {
            return Err(Failure::refused(format_args!("{field} {name} is given twice")));
        }
        // A value that is complete JSON by itself cannot end the object around it.
        let value = match is_json {
            true if serde_json::from_str::<&RawValue>(value).is_ok() => value.to_owned(),
            true => return Err(Failure::refused(format_args!("{field} {name} is not valid JSON"))),
            false => quoted(value),
        };
        self.0.push((name.to_owned(), value));
        Ok(())
    }

    /// The object as JSON text; a number keeps its digits.
    pub(crate) fn to_json(&self) -> String {
        let members: Vec<String> =
            self.0.iter().map(|(name, value)| format!("{}:{value}", quoted(name))).collect();
        format!("{{{}}}", members.join(","))
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(arguments: &[&str]) -> Result<String, Failure> {
        let mut assignments = Assignments::default();
        for argument in arguments {
            assignments.add("it", "properties", argument.into())?;
        }
        Ok(assignments.to_json())
    }

    #[test]
    fn members_keep_their_order_and_their_digits() {
        for (arguments, expected) in [
            (&[][..], "{}"),
            (&["b=1", "a:=1"], r#"{"b":"1","a":1}"#),
            (&["n:=1.000000000000000000001e2"], r#"{"n":1.000000000000000000001e2}"#),
            (&["n:= -0 "], r#"{"n": -0 }"#),
            (&["a b=\"\n"], r#"{"a b":"\"\n"}"#),
            (&["url=http://x/?a:=b"], r#"{"url":"http://x/?a:=b"}"#),
            (&["a:b=c", "e="], r#"{"a:b":"c","e":""}"#),
            (&[r#"o:={"a":[1,{}]}"#], r#"{"o":{"a":[1,{}]}}"#),
        ] {
            assert_eq!(object(arguments).as_deref(), Ok(expected), "{arguments:?}");
        }
    }

    #[test]
    fn bad_values_are_refused_by_name() {
        for (arguments, expected) in [
            (&["a=1", "a:=2"][..], "properties a is given twice"),
            (&["a:="], "properties a is not valid JSON"),
            (&["a:=1,\"b\":2"], "properties a is not valid JSON"),
            (&["a:=1}"], "properties a is not valid JSON"),
            (&["a:=NaN"], "properties a is not valid JSON"),
        ] {
            assert_eq!(object(arguments), Err(Failure::refused(expected)), "{arguments:?}");
        }
    }
}
