use whisperr_core::{EnqueueError, EventType, EventTypeError, Track};
use whisperr_simulation::{Options, World};

/// The rule for event names, against a second way to say it.
///
/// # Panics
/// When the two disagree, or a refused name is queued.
pub fn event_type(data: &[u8]) {
    let Ok(name) = core::str::from_utf8(data) else { return };

    let parsed = EventType::parse(name);

    let valid = !name.is_empty() && name.split('_').all(is_word);
    assert_eq!(parsed.is_ok(), valid, "{name:?}");
    let Err(error) = parsed else {
        assert_eq!(parsed.map(EventType::as_str), Ok(name));
        return;
    };
    let expected = match first_wrong_byte(name) {
        Some(at) => EventTypeError::NotSnakeCase { at },
        None => EventTypeError::Empty,
    };
    assert_eq!(error, expected, "{name:?}");

    let mut world = World::new(1, Options::default());
    match world.track(&Track::new(name).user("user")) {
        Err(EnqueueError::EventType(refused)) => assert_eq!(refused, error),
        other => panic!("{name:?}: {other:?}"),
    }
    assert_eq!(world.status().owed, 0);
}

fn is_word(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// The last byte of the shortest start that no valid name has; of a name that only ends too early,
/// its last byte.
fn first_wrong_byte(name: &str) -> Option<usize> {
    let starts_a_name = |start: &[u8]| {
        let words: Vec<&[u8]> = start.split(|byte| *byte == b'_').collect();
        let (last, whole) = words.split_last().unwrap();
        let is_word = |word: &[u8]| core::str::from_utf8(word).is_ok_and(is_word);
        whole.iter().all(|word| is_word(word)) && (last.is_empty() || is_word(last))
    };
    (0..name.len()).find(|at| !starts_a_name(&name.as_bytes()[..=*at])).or_else(|| name.len().checked_sub(1))
}
