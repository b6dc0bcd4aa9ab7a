use serde_json::{Value, json};

use crate::fault_json;
use crate::inbound::Received;
use crate::reply::Reply;
use crate::seen::{Operation, Seen};
use crate::store::Store;

/// A path of the control surface.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Control {
    Events,
    Identifies,
    Operations,
    Requests,
    Health,
    Faults,
}

/// Most bytes of a body the control surface reads.
pub(crate) const CONTROL_BYTES_MAX: usize = 64 * 1024;

impl Control {
    pub(crate) fn from_path(path: &str) -> Option<Self> {
        Some(match path {
            "/events" => Self::Events,
            "/identifies" => Self::Identifies,
            "/operations" => Self::Operations,
            "/requests" => Self::Requests,
            "/health" => Self::Health,
            "/faults" => Self::Faults,
            _ => return None,
        })
    }

    /// Does what `method` asks of this path.
    pub(crate) fn answer(self, store: &Store, method: &str, body: &Received) -> Reply {
        match (self, method) {
            (Self::Events, "GET") => list(store.read(|state| state.events())),
            (Self::Identifies, "GET") => list(store.read(|state| state.identifies())),
            (Self::Operations, "GET") => list(store.read(|state| {
                let operations = state.operations.iter();
                operations.map(Operation::to_json).collect()
            })),
            (Self::Requests, "GET") => {
                let requests = store.read(|state| state.requests());
                list(requests.iter().map(Seen::to_json).collect())
            }
            (Self::Health, "GET") => health(store),
            (Self::Faults, "POST") => queue_fault(store, body),
            (Self::Faults, "DELETE") => {
                store.update(|state| state.faults.clear());
                done()
            }
            (Self::Events, "DELETE") => {
                store.update(|state| state.clear());
                done()
            }
            (Self::Events, _) => Reply::method_not_allowed("GET, DELETE"),
            (Self::Faults, _) => Reply::method_not_allowed("POST, DELETE"),
            (Self::Identifies | Self::Operations | Self::Requests | Self::Health, _) => {
                Reply::method_not_allowed("GET")
            }
        }
    }
}

fn list(values: Vec<Value>) -> Reply {
    Reply::json(200, &Value::Array(values))
}

fn done() -> Reply {
    Reply::json(200, &json!({ "status": "ok" }))
}

fn health(store: &Store) -> Reply {
    store.read(|state| {
        let view = state.view();
        Reply::json(
            200,
            &json!({
                "status": "ok",
                "events": view.events,
                "identifies": view.identifies,
                "requests": view.requests,
                "duplicates": view.duplicates,
                "conflicts": state.conflicts,
                "faults": state.faults.len(),
            }),
        )
    })
}

fn queue_fault(store: &Store, body: &Received) -> Reply {
    let bytes = match body {
        Received::Whole(bytes) => bytes,
        Received::TooLarge | Received::Broken => {
            return Reply::error(413, &format!("the body exceeds the limit of {CONTROL_BYTES_MAX} bytes"));
        }
    };
    let rule = serde_json::from_slice(bytes)
        .map_err(|error| format!("the body is not JSON: {error}"))
        .and_then(fault_json::parse);
    match rule {
        Ok(rule) => {
            store.update(|state| state.faults.push(rule));
            done()
        }
        Err(reason) => Reply::error(400, &reason),
    }
}
