//! Whatever serde can say is sent as serde_json says it, or refused: nothing is cut or bent.

use core::fmt;
use std::collections::BTreeMap;

use serde::Serialize;
use serde::ser::{SerializeMap, SerializeSeq, Serializer};
use serde_json::json;
use whisperr_core::{
    Client, Config, EnqueueError, Json, MemoryStorage, Now, Properties, RecordError, Track, Value,
    ValueError, props, ready,
};

use super::{Stopped, UTC, Wire, deliver};

const CLOCK: Stopped = Stopped { ms: 0, utc: Some(UTC) };

/// Tracks an event through a record buffer of so many bytes, and returns its body.
pub(crate) fn send<P: Properties, C: Properties>(
    buffer: usize,
    event: &Track<'_, P, C>,
) -> Result<String, RecordError> {
    let storage = MemoryStorage::new(vec![0; 1 << 17]);
    let opening = Client::open(storage, vec![0; buffer], &Config::DEFAULT, 7, Now::read(&CLOCK));
    let mut client = ready(opening).unwrap().unwrap();
    match ready(client.track(Now::read(&CLOCK), event)).unwrap() {
        Ok(_) => {}
        Err(EnqueueError::Record(error)) => {
            assert_eq!(client.status().owed, 0, "what is refused is not owed");
            return Err(error);
        }
        Err(error) => unreachable!("{error}"),
    }
    let mut wire = Wire::new(202);
    let (client, notices) = deliver(client, &CLOCK, &mut wire);
    assert_eq!((client.status().owed, notices.len(), wire.sent.len()), (0, 0, 1));
    Ok(wire.sent.remove(0).1)
}

/// The properties as they stand in the body.
pub(crate) fn sent<P: Properties>(properties: P) -> Result<String, ValueError> {
    let body =
        send(1 << 16, &Track::new("e").user("u").properties(properties)).map_err(|error| match error {
            RecordError::Properties(error) => error,
            error => unreachable!("{error}"),
        })?;
    serde_json::from_str::<serde_json::Value>(&body).unwrap();
    let (_, behind) = body.split_once("\"properties\":").unwrap();
    Ok(behind.rsplit_once(",\"context\":").unwrap().0.to_owned())
}

/// As a member and in an array: to the letter what serde_json writes.
pub(crate) fn agrees<T: Serialize>(value: T) {
    let member = BTreeMap::from([("member", (&value, [&value, &value]))]);
    assert_eq!(sent(&member).unwrap(), serde_json::to_string(&member).unwrap());
}

/// Fractions may be spelt in another way (`1e16`, `1e+16`): the number is the same.
pub(crate) fn agrees_in_value<T: Serialize>(value: T) {
    let member = BTreeMap::from([("member", &value)]);
    let (ours, theirs) = (sent(&member).unwrap(), serde_json::to_string(&member).unwrap());
    let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(read(&ours), read(&theirs), "{ours} {theirs}");
}

#[derive(Serialize)]
struct Nothing;

#[derive(Serialize)]
struct Wrapped<T>(T);

#[derive(Serialize)]
pub(crate) struct Pair<A, B>(pub(crate) A, pub(crate) B);

#[derive(Serialize)]
pub(crate) struct Named<T> {
    #[serde(rename = "a \"quoted\" name")]
    pub(crate) first: T,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) second: Option<T>,
}

#[derive(Serialize)]
pub(crate) enum Choice<T> {
    Nothing,
    One(T),
    Two(T, T),
    Named { only: T },
}

/// Bytes as bytes: serde itself takes a slice for a sequence.
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

/// Text that only `Display` knows, written in pieces.
struct Shown(&'static [&'static str]);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|piece| f.write_str(piece))
    }
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        assert!(serializer.is_human_readable(), "types that differ choose their text");
        serializer.collect_str(self)
    }
}

/// A map and a sequence that do not know their length beforehand.
struct Streamed(u8);

impl Serialize for Streamed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for n in 0..self.0 {
            map.serialize_key(&n)?;
            map.serialize_value(&Numbers(n))?;
        }
        map.end()
    }
}

struct Numbers(u8);

impl Serialize for Numbers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(None)?;
        (0..self.0).try_for_each(|n| seq.serialize_element(&n))?;
        seq.end()
    }
}

#[test]
fn integers_of_every_width_are_sent_digit_by_digit() {
    macro_rules! widths {
        ($($type:ident)*) => {$(
            for value in [$type::MIN, 0, 1, 63, 64, 127, $type::MAX] {
                agrees(value);
                agrees(value.wrapping_neg());
                agrees(value / 2 + 1);
            }
        )*};
    }
    widths! { i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize }
    // Around the ends of the plain form of an integer.
    agrees([i128::from(i64::MIN) - 1, i128::from(i64::MIN), i128::from(u64::MAX), i128::from(u64::MAX) + 1]);
}

#[test]
fn fractions_keep_their_value_and_their_width() {
    for value in [0.0, -0.0, 0.1, 1.5, 1e15, 1e16, 1e17, 1e-5, 1e-7, f64::MIN_POSITIVE, f64::MAX, f64::MIN] {
        agrees_in_value(value);
    }
    for value in [0.1_f32, -0.3, 16_777_216.0, 1e-10, f32::MIN_POSITIVE, f32::MAX, f32::EPSILON] {
        agrees_in_value(value);
    }
    // Not 0.10000000149011612: the text of an `f32` is as short as its own precision.
    assert_eq!(sent(BTreeMap::from([("x", 0.1_f32)])), Ok("{\"x\":0.1}".to_owned()));
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(sent(BTreeMap::from([("x", value)])), Err(ValueError::NotFinite));
        assert_eq!(sent(BTreeMap::from([("x", value as f32)])), Err(ValueError::NotFinite));
    }
}

#[test]
fn texts_characters_and_bytes_are_sent_with_every_escape() {
    let every: String = (0..0x250_u32).chain(0xffd0..0x10010).filter_map(char::from_u32).collect();
    agrees(every.as_str());
    for (at, letter) in every.char_indices() {
        agrees(letter);
        agrees(&every[at..(at + 9).min(0x80).max(at)]);
    }
    for len in [0, 1, 7, 8, 9, 126, 127, 128, 129, 16_383, 16_384] {
        agrees("x".repeat(len));
        // Escaped, it is twice as long, and its length is known only behind it.
        agrees("\n".repeat(len / 4));
    }
    agrees(Bytes(&[]));
    agrees(Bytes(&[0, 63, 64, 127, 128, 255]));
    agrees(Shown(&[]));
    agrees(Shown(&["10.0", ".0.7", "\"\\\u{1}\u{e9}"]));
}

#[test]
fn structures_of_every_kind_are_sent() {
    agrees(());
    agrees(Nothing);
    agrees((None::<u8>, Some(1), Some(Some("x")), Some(())));
    agrees([true, false]);
    agrees((1, "two", 3.5, [4; 3], [(); 0]));
    agrees(Wrapped(Wrapped([1_u8])));
    agrees(Pair(Nothing, Pair(1, "x")));
    agrees((Named { first: 1, second: None }, Named { first: "x", second: Some("y") }));
    agrees([Choice::Nothing, Choice::One(1), Choice::Two(2, 3), Choice::Named { only: 4 }]);
    agrees([Choice::One(Choice::Nothing), Choice::Two(Choice::One([1]), Choice::Named { only: [2] })]);
    agrees(Streamed(0));
    agrees(Streamed(3));
    agrees(json!({ "a": [1, -1, 1.5, null, true, "x", {}, [], { "b": [[]] }] }));
}

#[test]
fn the_outermost_value_is_an_object_or_nothing() {
    let empty = || Ok("{}".to_owned());
    assert_eq!(
        (sent(()), sent(None::<u8>), sent(Nothing), sent(Wrapped(()))),
        (empty(), empty(), empty(), empty())
    );
    assert_eq!(sent(Streamed(0)), empty());
    assert_eq!(sent(Choice::One(1)), Ok("{\"One\":1}".to_owned()));
    assert_eq!(sent(Choice::Two(1, 2)), Ok("{\"Two\":[1,2]}".to_owned()));
    assert_eq!(sent(Choice::Named { only: 1 }), Ok("{\"Named\":{\"only\":1}}".to_owned()));
    assert_eq!(
        sent(Some(Wrapped(Named { first: 1, second: None }))),
        Ok("{\"a \\\"quoted\\\" name\":1}".to_owned())
    );
    for refused in [
        sent(1),
        sent(-1),
        sent(1.5),
        sent(true),
        sent("text"),
        sent('x'),
        sent([0; 2]),
        sent((1, 2)),
        sent(Bytes(b"{}")),
        sent(Shown(&["{}"])),
        sent(Numbers(1)),
        sent(Choice::<u8>::Nothing),
        sent(u128::MAX),
    ] {
        assert_eq!(refused, Err(ValueError::NotAnObject));
    }
}

/// A map with this one member.
pub(crate) struct Keyed<K, V>(pub(crate) K, pub(crate) V);

impl<K: Serialize, V: Serialize> Serialize for Keyed<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(&self.0, &self.1)?;
        map.end()
    }
}

pub(crate) fn key<K>(key: K) -> Keyed<K, u8> {
    Keyed(key, 1)
}

#[test]
fn keys_of_every_legal_kind_become_text() {
    let long = "k".repeat(200);
    agrees((key("text"), key(""), key("\"\\\n\u{e9}"), key(long.as_str()), key("\n".repeat(90))));
    agrees((key('x'), key('"'), key(true), key(false)));
    agrees((key(0_u8), key(63_u16), key(64_u32), key(u64::MAX)));
    agrees((key(-1_i8), key(i16::MIN), key(i32::MIN), key(i64::MIN), key(i64::MAX)));
    agrees((key(i128::MIN), key(i128::MAX), key(u128::MAX), key(u128::from(u64::MAX) + 1)));
    agrees((key(0.5_f32), key(-1.5_f64), key(1e-7_f64)));
    agrees((key(Choice::<u8>::Nothing), key(Wrapped("x")), key(Wrapped(Wrapped(7)))));
    agrees((key(Shown(&["10.", "7"])), key(Shown(&["\t"]))));
}

#[test]
fn keys_of_any_other_kind_are_refused() {
    for refused in [
        sent(key(())),
        sent(key(None::<u8>)),
        sent(key(Nothing)),
        sent(key([1])),
        sent(key((1, 2))),
        sent(key(Bytes(b"x"))),
        sent(key(Choice::One(1))),
        sent(key(Choice::Two(1, 2))),
        sent(key(Named { first: 1, second: None })),
        sent(key(key(1))),
    ] {
        assert_eq!(refused, Err(ValueError::KeyNotText));
    }
    assert_eq!(sent(key(f64::NAN)), Err(ValueError::NotFinite));
}

/// What serde_json writes for a number that it keeps as text.
#[derive(Serialize)]
#[serde(rename = "$serde_json::private::Number")]
pub(crate) struct Digits<T> {
    #[serde(rename = "$serde_json::private::Number")]
    pub(crate) digits: T,
}

fn sends_digits(digits: &str) {
    let properties = (Digits { digits }, Keyed("after", Digits { digits }));
    let expected = format!("{{\"k\":[{digits},{{\"after\":{digits}}}]}}");
    assert_eq!(sent_as_text(Keyed("k", properties)), expected);
    assert_eq!(sent_as_text(key(Digits { digits })), format!("{{\"{digits}\":1}}"));
}

#[test]
fn a_number_that_serde_json_keeps_as_text_is_sent_digit_by_digit() {
    let long = "1".repeat(127);
    for digits in ["0", "-0", "1.50", "1e400", "123456789012345678901234567890", &long] {
        sends_digits(digits);
    }
}

#[test]
fn a_number_of_very_many_digits_is_sent_digit_by_digit() {
    for digits in [128, 129, 300, 16_384] {
        sends_digits(&"1".repeat(digits));
    }
}

#[test]
fn what_only_pretends_to_be_a_number_is_refused() {
    for digits in ["", "1,\"more\":2", "01", "NaN", "1 "] {
        assert_eq!(sent(Keyed("k", Digits { digits })), Err(ValueError::Refused), "{digits}");
    }
    assert_eq!(sent(Keyed("k", Digits { digits: 5 })), Err(ValueError::Refused));
}

#[test]
fn ready_json_text_is_sent_as_it_stands_but_for_white_space() {
    for text in [
        r#"{}"#,
        r#"{"a":"\"\\\/\b\f\n\r\t\u00e9\u00E9\ud83d\ude00\uD83D\uDE00 \u0000"}"#,
        r#"{"\u0061":1,"a":2,"":[]}"#,
        r#"{"a":[0,-0,1,-1,63,64,1.0,1E5,1e+5,1e-5,0.0e00,-9223372036854775808,-9223372036854775809]}"#,
        r#"{"a":[18446744073709551615,18446744073709551616,9007199254740993,1e999,1.10]}"#,
        r#"{"a":[true,false,null,[],{},[[[]]],{"b":{"c":[{}]}}]}"#,
    ] {
        assert_eq!(sent_as_text(Json(text)), text);
    }
    assert_eq!(
        sent_as_text(Json(" \t\r\n{ \n\"a\" : [ 1 ,\t2 , { } ] , \"b c\" :\r\"d e\" } \n")),
        r#"{"a":[1,2,{}],"b c":"d e"}"#
    );
}

/// Only as text: serde_json's numbers are not as large.
fn sent_as_text<P: Properties>(properties: P) -> String {
    let body = send(1 << 16, &Track::new("e").user("u").properties(properties)).unwrap();
    let (_, behind) = body.split_once("\"properties\":").unwrap();
    behind.rsplit_once(",\"context\":").unwrap().0.to_owned()
}

#[test]
fn only_an_object_is_ready_json_text() {
    for text in ["1", "[]", "[{}]", "\"{}\"", "null", " true", "-1.5", "\n[ ]"] {
        assert_eq!(sent(Json(text)), Err(ValueError::NotAnObject), "{text}");
    }
}

#[test]
fn a_value_is_made_of_everything_that_json_knows() {
    let tags = [Value::from("front"), Value::Null];
    let members = [("n", Value::from(1_u8)), ("tags", Value::from(&tags[..]))];
    let nested = props! { "x" => -0.5 };
    let properties = props! {
        "bool" => true,
        "i8" => i8::MIN,
        "i16" => i16::MIN,
        "i32" => i32::MIN,
        "i64" => i64::MIN,
        "isize" => isize::MAX,
        "u8" => u8::MAX,
        "u16" => u16::MAX,
        "u32" => u32::MAX,
        "u64" => u64::MAX,
        "usize" => usize::MAX,
        "f32" => 0.1_f32,
        "f64" => 0.25,
        "text" => "a\"b",
        "array" => &tags[..],
        "object" => &members[..],
        "props" => &nested,
        "unit" => (),
        "some" => Some(7_i16),
        "none" => None::<f32>,
    };
    let expected = json!({
        "bool": true,
        "i8": i8::MIN,
        "i16": i16::MIN,
        "i32": i32::MIN,
        "i64": i64::MIN,
        "isize": isize::MAX,
        "u8": u8::MAX,
        "u16": u16::MAX,
        "u32": u32::MAX,
        "u64": u64::MAX,
        "usize": usize::MAX,
        "f32": 0.1,
        "f64": 0.25,
        "text": "a\"b",
        "array": ["front", null],
        "object": { "n": 1, "tags": ["front", null] },
        "props": { "x": -0.5 },
        "unit": null,
        "some": 7,
        "none": null,
    });
    assert_eq!(serde_json::from_str::<serde_json::Value>(&sent(properties).unwrap()).unwrap(), expected);
    assert_eq!(sent(props! {}), Ok("{}".to_owned()));
    for (value, not_finite) in [(f32::NAN, true), (f32::INFINITY, true), (f32::MAX, false)] {
        assert_eq!(sent(props! { "x" => value }).is_err(), not_finite, "{value}");
    }
}
