use serde_json::Value;
use whisperr_core::{
    DEPTH_MAX, EnqueueError, Identify, Json, JsonError, MessageId, RecordError, Track, ValueError,
};
use whisperr_simulation::{Options, World};

/// Any text as properties, context and traits: accepted exactly when it is an object in the eyes of
/// `serde_json`, within the documented limits, and sent with an equal value.
///
/// # Panics
/// When the two disagree.
pub fn json(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    // The oracle's own word for a number would make it disagree with itself.
    if text.contains("serde_json::private") {
        return;
    }
    let oracle = serde_json::from_str::<Value>(text).ok();
    let expected = oracle.as_ref().map(|value| match value {
        // Like `()` and `None`: no properties.
        Value::Null => Value::Object(serde_json::Map::new()),
        value => value.clone(),
    });

    let mut world = World::new(1, Options::default());
    let properties = world.track(&Track::new("properties").user("user").properties(Json(text)));
    let context = world.track(&Track::new("context").user("user").context(Json(text)));
    let traits = world.identify(&Identify::new("user").traits(Json(text)));

    let [properties_error, context_error, traits_error] =
        [properties.err().map(cause), context.as_ref().err().copied().map(cause), traits.err().map(cause)];
    for error in [properties_error, traits_error].into_iter().flatten() {
        check_refusal(text, oracle.as_ref(), error);
    }
    if let Some(error) = context_error {
        match (error, oracle.as_ref()) {
            (ValueError::ReservedKey, Some(Value::Object(members))) => {
                assert!(members.keys().any(|key| is_reserved(key)), "{text}");
            }
            _ => check_refusal(text, oracle.as_ref(), error),
        }
    }

    super::deliver_all(&mut world);
    let server = world.server();
    let mut sent = server.operations().iter();
    if properties_error.is_none() {
        assert_eq!(Some(&sent.next().unwrap()["properties"]), expected.as_ref(), "{text}");
    }
    if context_error.is_none() {
        let mut sent = sent.next().unwrap()["context"].clone();
        let id = sent.as_object_mut().unwrap().remove("$message_id").unwrap();
        let accepted = context.ok().flatten().as_ref().map(MessageId::to_string);
        assert_eq!(id.as_str(), accepted.as_deref());
        assert!(
            !expected.as_ref().unwrap().as_object().unwrap().keys().any(|key| is_reserved(key)),
            "{text}"
        );
        assert_eq!(Some(&sent), expected.as_ref(), "{text}");
    }
    if traits_error.is_none() {
        let empty = Value::Object(serde_json::Map::new());
        let sent = sent.next().unwrap().get("traits").unwrap_or(&empty);
        assert_eq!(Some(sent), expected.as_ref(), "{text}");
    }
    assert_eq!(sent.next(), None);
}

fn is_reserved(key: &str) -> bool {
    key == "$message_id" || key == "$time_estimated"
}

fn cause<E: core::fmt::Debug>(error: EnqueueError<E>) -> ValueError {
    match error {
        EnqueueError::Record(
            RecordError::Properties(error) | RecordError::Context(error) | RecordError::Traits(error),
        ) => error,
        other => panic!("{other:?}"),
    }
}

fn check_refusal(text: &str, oracle: Option<&Value>, error: ValueError) {
    match (error, oracle) {
        (ValueError::Json(JsonError { at, .. }), None) => assert!(at <= text.len(), "{text} at {at}"),
        (ValueError::NotAnObject, Some(Value::Object(_))) => {
            panic!("an object is refused: {text}")
        }
        (ValueError::NotAnObject, Some(_)) => {}
        // Its limit came before the byte that is wrong.
        (ValueError::TooDeep, None) => assert!(text.len() > DEPTH_MAX, "{text}"),
        (ValueError::TooDeep, Some(value)) => assert!(depth(value) > DEPTH_MAX, "{text}"),
        // A value takes at most two bytes more than its text has.
        (ValueError::TooLarge { max }, _) => assert!(text.len().saturating_mul(2) >= max / 2, "{text}"),
        (error, oracle) => panic!("{error}: {text}: {oracle:?}"),
    }
}

fn depth(value: &Value) -> usize {
    let below = match value {
        Value::Array(values) => values.iter().map(depth).max(),
        Value::Object(members) => members.values().map(depth).max(),
        _ => return 0,
    };
    below.unwrap_or(0).saturating_add(1)
}
