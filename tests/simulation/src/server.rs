//! A model of the server: what arrived, in which order, with duplicates told apart.

use std::collections::HashMap;

use serde_json::Value;
use whisperr_core::Request;

/// What the server has accepted.
#[derive(Debug, Default, Clone)]
pub struct Server {
    operations: Vec<Value>,
    seen: HashMap<String, Value>,
    duplicates: usize,
}

impl Server {
    /// Takes a request that reached the server.
    ///
    /// # Panics
    /// When the body is not what the contract says, or a message id comes back with another event:
    /// the run has failed then.
    #[expect(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        reason = "the oracle of a test: a wrong body ends the run"
    )]
    pub fn deliver(&mut self, request: &Request, body: &[u8]) {
        let body: Value = serde_json::from_slice(body).unwrap();
        if request.path == "/v1/identify" {
            assert!(body["external_user_id"].is_string(), "{body}");
            self.operations.push(body);
            return;
        }
        assert_eq!(request.path, "/v1/events/batch");
        let events = body["events"].as_array().unwrap();
        assert!((1..=500).contains(&events.len()), "{} events", events.len());
        for event in events {
            let id = event["context"]["$message_id"].as_str().unwrap();
            match self.seen.get(id) {
                Some(known) => {
                    assert_eq!(known, event, "one message id, two events");
                    self.duplicates = self.duplicates.saturating_add(1);
                }
                None => {
                    self.seen.insert(id.to_owned(), event.clone());
                    self.operations.push(event.clone());
                }
            }
        }
    }

    /// Accepted operations in order, duplicates of events left out.
    #[must_use]
    pub fn operations(&self) -> &[Value] {
        &self.operations
    }

    /// The types of the accepted events in order.
    #[must_use]
    pub fn event_types(&self) -> Vec<&str> {
        self.operations.iter().filter_map(|operation| operation.get("event_type")?.as_str()).collect()
    }

    /// How many events came again.
    #[must_use]
    pub const fn duplicates(&self) -> usize {
        self.duplicates
    }
}
