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
