//! Whatever serde can say of an object reaches the wire as serde_json would say it.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail")]

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};
use whisperr_core::{Json, Properties, Track};
use whisperr_simulation::{Options, World};

fn sent<P: Properties>(properties: P) -> Value {
    let mut world = World::new(1, Options::default());
    world.track(&Track::new("e").user("u").properties(properties)).unwrap();
    let _delivered = world.flush();
    world.server().operations()[0]["properties"].clone()
}

fn agrees<T: Serialize>(value: T) {
    // Through its text: as a value, serde_json widens an f32.
    let text = serde_json::to_string(&value).unwrap();
    assert_eq!(sent(&value), serde_json::from_str::<Value>(&text).unwrap());
}

#[derive(Serialize)]
struct Unit;

#[derive(Serialize)]
struct Meters(f64);

#[derive(Serialize)]
struct Pair(u8, &'static str);

#[derive(Serialize)]
enum Shape {
    Dot,
    Circle(f32),
    Line(i8, i8),
    Box { width: u16, depth: Option<u16> },
}

#[derive(Serialize)]
struct Everything {
    unit: Unit,
    meters: Meters,
    pair: Pair,
    shapes: [Shape; 4],
    none: Option<u8>,
    some: Option<&'static str>,
    letter: char,
    bytes: [u8; 3],
    small: i8,
    smallest: i64,
    largest: u64,
    #[serde(rename = "a \"quoted\"\\name\n")]
    renamed: bool,
    nested: Vec<Vec<BTreeMap<&'static str, f32>>>,
}

#[test]
fn every_kind_of_value_agrees_with_serde_json() {
    agrees(Everything {
        unit: Unit,
        meters: Meters(1e-7),
        pair: Pair(255, "\u{0}\u{1f}\u{7f}\"\\/\u{2028}\u{1f600}"),
        shapes: [Shape::Dot, Shape::Circle(0.1), Shape::Line(-1, 127), Shape::Box { width: 64, depth: None }],
        none: None,
        some: Some(""),
        letter: '\u{e9}',
        bytes: [0, 63, 64],
        small: -128,
        smallest: i64::MIN,
        largest: u64::MAX,
        renamed: true,
        nested: vec![vec![], vec![BTreeMap::from([("a", -0.0), ("b", f32::MAX)])]],
    });
}

#[test]
fn keys_that_are_no_strings_become_their_text() {
    agrees(BTreeMap::from([(1_u8, "one"), (200, "two hundred")]));
    agrees(BTreeMap::from([(i64::MIN, 0), (-1, 1)]));
    agrees(BTreeMap::from([(true, 0), (false, 1)]));
    agrees(BTreeMap::from([('x', 0)]));
}

#[test]
fn numbers_around_every_boundary_arrive_unchanged() {
    for value in [0, 1, 62, 63, 64, 127, 128, 16_383, 16_384, i64::MAX] {
        agrees(BTreeMap::from([("up", value), ("down", -value), ("below", (-value).wrapping_sub(1))]));
    }
    for value in [0.0, -0.0, 1.0, 1.5, 1e15, 1e16, 1e-5, 1e-6, f64::MIN_POSITIVE, f64::MAX, f64::EPSILON] {
        agrees(BTreeMap::from([("x", value), ("minus", -value)]));
    }
}

#[test]
fn strings_of_every_length_around_the_short_form_arrive_unchanged() {
    for len in [0, 1, 126, 127, 128, 129, 255, 256] {
        let plain = "x".repeat(len);
        let escaped = "\"".repeat(len);
        agrees(BTreeMap::from([(plain.as_str(), escaped.as_str())]));
    }
}

#[test]
fn ready_json_text_is_sent_digit_by_digit() {
    let text =
        r#" { "a" : [ 1 , 1.50 , 1e400, -0, 123456789012345678901234567890 , "\u00e9\/" ] , "b":{ } } "#;
    let mut world = World::new(1, Options::default());
    world.track(&Track::new("e").user("u").properties(Json(text))).unwrap();
    // The model server could not hold 1e400: only the bytes are looked at.
    world.network().script(|_, _| whisperr_simulation::reply(400));
    let _dropped = world.flush();

    let body = String::from_utf8(world.network().exchanges()[0].body.clone()).unwrap();
    let expected = r#""properties":{"a":[1,1.50,1e400,-0,123456789012345678901234567890,"\u00e9\/"],"b":{}}"#;
    assert!(body.contains(expected), "{body}");
}

#[test]
fn nesting_up_to_the_limit_is_sent_and_one_deeper_is_refused() {
    let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
    let mut world = World::new(1, Options::default());

    world.track(&Track::new("e").user("u").properties(Json(&nested(32)))).unwrap();
    let error = world.track(&Track::new("e").user("u").properties(Json(&nested(33)))).unwrap_err();

    assert_eq!(error.to_string(), "properties is nested deeper than 32");
    let value: Value = serde_json::from_str(&nested(33)).unwrap();
    assert!(world.track(&Track::new("e").user("u").properties(value)).is_err());
    let _delivered = world.flush();
    assert_eq!(world.server().operations().len(), 1);
}

#[test]
fn context_stands_beside_the_message_id() {
    let mut world = World::new(1, Options::default());
    let event =
        Track::new("e").user("u").context(json!({ "firmware": "1.4.2", "nested": { "$message_id": 1 } }));
    let id = world.track(&event).unwrap().unwrap();
    let _delivered = world.flush();

    let context = world.server().operations()[0]["context"].clone();
    let expected =
        json!({ "$message_id": id.to_string(), "firmware": "1.4.2", "nested": { "$message_id": 1 } });
    assert_eq!(context, expected);
}

/// Writes itself through one call of a serializer.
struct Through<F>(F);

macro_rules! through {
    ($($name:ident($type:ty) => $method:ident)*) => {$(
        struct $name($type);

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.$method(self.0)
            }
        }
    )*};
}

through! { Bytes(&'static [u8]) => serialize_bytes }

impl<F: core::fmt::Display> Serialize for Through<F> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

#[test]
fn rare_types_agree_with_serde_json() {
    agrees(BTreeMap::from([("a", i16::MIN), ("b", i16::MAX)]));
    agrees(BTreeMap::from([("a", 0), ("b", u32::MAX)]));
    agrees(BTreeMap::from([("a", Bytes(b"\x00\x40\xff"))]));
    agrees(BTreeMap::from([("a", Through("say \"what\"\r\n\t\u{8}\u{c}\u{1}"))]));
    // As text, which only a serializer for people gets.
    agrees(BTreeMap::from([("a", core::net::IpAddr::from([192, 168, 0, 1]))]));
}

/// The body of an event with these properties.
fn body<P: Properties>(properties: P) -> String {
    let mut world = World::new(1, Options::default());
    world.track(&Track::new("e").user("u").properties(properties)).unwrap();
    world.network().script(|_, _| whisperr_simulation::reply(400));
    let _dropped = world.flush();
    String::from_utf8(world.network().exchanges()[0].body.clone()).unwrap()
}

#[test]
fn whole_numbers_beyond_64_bits_keep_every_digit() {
    for value in [i128::MIN, i128::from(i64::MIN) - 1, i128::from(u64::MAX) + 1, i128::MAX, -1, 0, 63, 64] {
        let body = body(BTreeMap::from([("a", value)]));
        assert!(body.contains(&format!("\"properties\":{{\"a\":{value}}}")), "{body}");
    }
    for value in [u128::MAX, u128::from(u64::MAX), 0] {
        let body = body(BTreeMap::from([("a", value)]));
        assert!(body.contains(&format!("\"properties\":{{\"a\":{value}}}")), "{body}");
    }
}

/// A number as serde_json gives it with its feature `arbitrary_precision`.
struct AnyPrecision(String);

impl Serialize for AnyPrecision {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut number = serializer.serialize_struct("$serde_json::private::Number", 1)?;
        number.serialize_field("$serde_json::private::Number", &self.0)?;
        number.end()
    }
}

#[test]
fn numbers_of_any_precision_are_sent_digit_by_digit() {
    let digits = |len: usize| format!("1{}", "0".repeat(len - 1));
    for number in
        ["1.50".into(), "1e400".into(), "-0".into(), digits(126), digits(127), digits(128), digits(200)]
    {
        let body =
            body(BTreeMap::from([("a", AnyPrecision(number.clone())), ("b", AnyPrecision("2".into()))]));
        assert!(body.contains(&format!("\"properties\":{{\"a\":{number},\"b\":2}}")), "{body}");
    }
    let mut world = World::new(1, Options::default());
    let no_number = BTreeMap::from([("a", AnyPrecision("1}".into()))]);
    let error = world.track(&Track::new("e").user("u").properties(no_number)).unwrap_err();
    assert_eq!(error.to_string(), "properties could not be serialized");
}

#[test]
fn a_tree_of_borrowed_values_is_sent_as_it_is() {
    use whisperr_core::{Value as Borrowed, props};

    let inner = props! { "none" => None::<u8>, "some" => Some(2), "unit" => () };
    let list = [Borrowed::from(1.5), Borrowed::from(0.1_f32), Borrowed::from(-3), Borrowed::from("t")];
    let members = [("flag", Borrowed::from(true))];
    let properties = props! { "inner" => &inner, "list" => &list[..], "members" => &members[..] };

    let expected = json!({
        "inner": { "none": null, "some": 2, "unit": null },
        "list": [1.5, 0.1, -3, "t"],
        "members": { "flag": true },
    });
    assert_eq!(sent(properties), expected);
    assert_eq!(sent(properties.as_value()), expected);
}

#[test]
fn text_with_escapes_is_taken_whole_or_refused_at_any_length() {
    let mut world = World::new(1, Options::default());
    let mut refused = 0;
    // The record ends somewhere within these lengths: each quote takes two bytes.
    for len in 950..1050 {
        let text = "\"".repeat(len);
        match world.track(&Track::new("e").user("u").properties(BTreeMap::from([("a", &text)]))) {
            Ok(_) => assert_eq!(refused, 0, "{len}"),
            Err(error) => {
                refused += 1;
                assert_eq!(error.to_string(), "operation exceeds the record limit of 2048 bytes");
            }
        }
    }
    let _delivered = world.flush();
    let lengths: Vec<usize> = world
        .server()
        .operations()
        .iter()
        .map(|event| event["properties"]["a"].as_str().unwrap().len())
        .collect();
    assert!((1..100).contains(&refused), "{refused}");
    assert_eq!(lengths, (950..1050 - refused).collect::<Vec<_>>());
}
