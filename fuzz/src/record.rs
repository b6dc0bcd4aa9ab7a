use core::cell::Cell;
use std::rc::Rc;

use serde_json::Value;
use whisperr_core::{BATCH_EVENTS_MAX, Storage, ready};
use whisperr_simulation::{Answer, Options, World, reply};

/// Any bytes as stored records: what cannot be read is set aside and counted, what can be sent is
/// sent as JSON, and nothing blocks the queue. Each record is two bytes of length and its content.
///
/// # Panics
/// When a body is not JSON of the expected shape, or something stays in the queue.
pub fn record(data: &[u8]) {
    let mut world = World::new(1, Options::default());
    let sent = Rc::new(Cell::new(0_u64));
    world.network().script({
        let sent = Rc::clone(&sent);
        move |request, body| {
            sent.set(sent.get().saturating_add(check(request.path, body)));
            // Records that nobody wrote may share a message id: the strict server is not asked.
            Answer { processed: false, ..reply(202) }
        }
    });
    let mut storage = world.storage().clone();
    let mut records = 0_u64;
    let mut rest = data;
    while let Some(([low, high], behind)) = rest.split_first_chunk() {
        let len = usize::from(u16::from_le_bytes([*low, *high])).min(behind.len());
        let (record, behind) = behind.split_at(len);
        rest = behind;
        let seq = storage.next_seq();
        if matches!(ready(storage.append(seq, record)), Some(Ok(()))) {
            records = records.saturating_add(1);
        }
    }

    world.crash();
    assert_eq!(world.status().counters.owed_at_start, records);
    super::deliver_all(&mut world);

    let counters = world.status().counters;
    assert_eq!(counters.acknowledged, sent.get());
    assert_eq!(counters.acknowledged.saturating_add(counters.damaged), records);
}

/// Checks a body and returns how many operations it carries.
fn check(path: &str, body: &[u8]) -> u64 {
    let value: Value = match serde_json::from_slice(body) {
        Ok(value) => value,
        Err(error) => panic!("{error}: {}", String::from_utf8_lossy(body)),
    };
    match path {
        "/v1/identify" => {
            assert!(value["external_user_id"].is_string(), "{value}");
            1
        }
        "/v1/events/batch" => {
            let events = value["events"].as_array().unwrap();
            assert!((1..=usize::from(BATCH_EVENTS_MAX)).contains(&events.len()));
            for event in events {
                assert!(
                    event["external_user_id"].is_string() != event["anonymous_id"].is_string(),
                    "{event}"
                );
                assert!(event["event_type"].is_string(), "{event}");
                assert_eq!(event["occurred_at"].as_str().map(str::len), Some(24), "{event}");
                assert!(event["properties"].is_object(), "{event}");
                assert!(event["context"]["$message_id"].is_string(), "{event}");
            }
            events.len() as u64
        }
        path => panic!("{path}"),
    }
}
