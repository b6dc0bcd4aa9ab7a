use core::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Reads a body. A field given twice is refused wherever the contract names the fields.
///
/// JSON readers disagree on which of the two counts, so a client that writes both is wrong even
/// if this server were to take it. Below `properties`, `context` and `traits` the names are the
/// caller's, and the last one counts.
pub(crate) fn parse(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Node { fixed: true }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// A value whose objects have fixed names, or not.
#[derive(Clone, Copy)]
struct Node {
    fixed: bool,
}

impl<'de> DeserializeSeed<'de> for Node {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if self.fixed { deserializer.deserialize_any(self) } else { Value::deserialize(deserializer) }
    }
}

impl<'de> Visitor<'de> for Node {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(value) = values.next_element_seed(self)? {
            array.push(value);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            if object.contains_key(&name) {
                return Err(A::Error::custom(format!("{name} is given twice")));
            }
            let fixed = !matches!(name.as_str(), "properties" | "context" | "traits");
            let value = fields.next_value_seed(Self { fixed })?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_is_the_one_serde_json_reads() {
        let text = r#"{"a":[1,-2,0.1,1e300,18446744073709551615],"b":null,"c":{"d":"\u00e9"},"traits":{"e":[true]}}"#;

        let value = parse(text.as_bytes()).unwrap();

        assert_eq!(value, serde_json::from_str::<Value>(text).unwrap());
    }

    #[test]
    fn a_fixed_field_given_twice_is_refused() {
        for (text, name) in [
            (r#"{"events":[],"events":[]}"#, "events"),
            (r#"{"events":[{"event_type":"a","event_type":"a"}]}"#, "event_type"),
            (r#"{"properties":{},"properties":{}}"#, "properties"),
            (r#"{"channels":[{"opted_in":true,"opted_in":false}]}"#, "opted_in"),
        ] {
            let reason = parse(text.as_bytes()).unwrap_err().to_string();

            assert!(reason.starts_with(&format!("{name} is given twice")), "{reason}");
        }
    }

    #[test]
    fn free_form_objects_may_repeat_a_name() {
        let value = parse(br#"{"properties":{"a":1,"a":2,"b":{"c":1,"c":2}}}"#).unwrap();

        assert_eq!(value, serde_json::json!({"properties": {"a": 2, "b": {"c": 2}}}));
    }

    #[test]
    fn text_after_the_value_and_broken_text_are_refused() {
        for text in ["", "{", "{} {}", "{'a':1}", "{\"a\":1,}", "nul", "\u{feff}{}"] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(parse(b"{\"a\":\"\xff\"}").is_err());
    }
}
