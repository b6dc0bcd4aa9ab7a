//! How deep and how large an operation may be.

use serde::Serialize;
use serde::ser::Serializer;
use whisperr_core::{Json, Track, ValueError};

use super::values::{Bytes, Choice, Digits, Keyed, Named, Pair, agrees, agrees_in_value, key, send, sent};

/// So many structures of one kind inside each other.
#[derive(Clone, Copy)]
struct Nested(u8, usize);

impl Serialize for Nested {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(kind, depth) = *self;
        let Some(inner) = depth.checked_sub(1).map(|depth| Self(kind, depth)) else {
            return serializer.serialize_unit();
        };
        match kind {
            0 => Named { first: inner, second: None }.serialize(serializer),
            1 => [inner].serialize(serializer),
            2 => Pair(inner, ()).serialize(serializer),
            3 => Choice::One(inner).serialize(serializer),
            4 => Keyed("k", inner).serialize(serializer),
            _ => Some(vec![inner]).serialize(serializer),
        }
    }
}

#[test]
fn every_kind_of_structure_may_be_nested_32_deep_and_no_deeper() {
    for kind in 0..6 {
        // The object around it is one of them.
        agrees_in_value(Nested(kind, 30));
        assert!(sent(Keyed("k", Nested(kind, 31))).is_ok(), "{kind}");
        assert_eq!(sent(Keyed("k", Nested(kind, 32))), Err(ValueError::TooDeep), "{kind}");
    }
    assert_eq!(sent(Keyed("k", Nested(1, 31))), sent(Keyed("k", Around(31, &()))));
    assert_eq!(sent(Keyed("k", Around(31, &Bytes(b"x")))), Err(ValueError::TooDeep));
    let around = |depth, inner: &str| format!("{}{inner}{}", "{\"k\":".repeat(depth), "}".repeat(depth));
    assert_eq!(sent(Json(&around(32, "[]"))), Err(ValueError::TooDeep));
    assert_eq!(sent(Json(&around(32, "{}"))), Err(ValueError::TooDeep));
    assert_eq!(sent(Json(&around(31, "[]"))), Ok(around(31, "[]")));
    assert_eq!(sent(Json(&around(32, "1"))), Ok(around(32, "1")));
}

/// A value with so many arrays around it.
struct Around<'a, T>(usize, &'a T);

impl<T: Serialize> Serialize for Around<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.checked_sub(1) {
            Some(depth) => [Self(depth, self.1)].serialize(serializer),
            None => self.1.serialize(serializer),
        }
    }
}

#[test]
fn variants_that_take_two_levels_are_refused_where_one_is_left() {
    for value in [Choice::Two(1, 2), Choice::Named { only: 1 }] {
        // One object and 29 arrays leave two levels; two of the arrays are `agrees`'s own.
        agrees(Around(27, &value));
        assert!(sent(Keyed("k", Around(29, &value))).is_ok());
        assert_eq!(sent(Keyed("k", Around(30, &value))), Err(ValueError::TooDeep));
        assert_eq!(sent(Keyed("k", Around(31, &value))), Err(ValueError::TooDeep));
    }
}

/// Something of everything, once in one buffer after the other.
fn everything() -> impl Serialize {
    let numbers = (Digits { digits: "1".repeat(130) }, (i8::MIN, u64::MAX, i128::MIN, 0.1, [1_u8; 3]));
    let texts = ("plain", "\"\n\u{1}", 'x', "x".repeat(130), "\"".repeat(70), Bytes(b"\x00\xff"));
    let choices = (Choice::One(()), Choice::Two(1, 2), Choice::Named { only: 3 }, Choice::<u8>::Nothing);
    let keys = (key(-1), key(1), key(64), key(true), key(1.5), key("\t"), key(u128::MAX));
    Keyed("all", (numbers, texts, choices, keys, (None::<u8>, true, false)))
}

#[test]
fn what_does_not_fit_is_refused_whole_at_every_size_of_the_buffer() {
    let text = r#"{"a":[1,-1,1.50,null,true,false,"x",{"\u00e9":{}}],"b":[]}"#;
    let event = Track::new("e").user("u\"1").properties(everything()).context(Json(text));
    let whole = send(1 << 16, &event).unwrap();
    let mut fits = None;
    for bytes in 0..1200 {
        match send(bytes, &event) {
            Ok(body) => {
                assert_eq!(body, whole, "{bytes}");
                fits = fits.or(Some(bytes));
            }
            Err(error) => {
                assert_eq!(fits, None, "what fits into less does not fit into {bytes}");
                assert_eq!(error.to_string(), format!("operation exceeds the record limit of {bytes} bytes"));
            }
        }
    }
    assert!(fits.is_some());
}
