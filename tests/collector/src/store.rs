use core::time::Duration;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde_json::{Map, Value};

use crate::fault::Faults;
use crate::rules::Event;
use crate::seen::{Operation, Seen};

/// How much has arrived, as [`Collector::wait_for`](crate::Collector::wait_for) shows it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct View {
    /// Accepted events, each message id once.
    pub events: usize,
    /// Accepted identify bodies.
    pub identifies: usize,
    /// Both.
    pub operations: usize,
    /// Requests received, with or without a reply.
    pub requests: usize,
    /// Requests that were given a reply.
    pub replies: usize,
    /// Events that came again under a known message id.
    pub duplicates: usize,
    /// Events that came again under a known message id, but changed.
    pub conflicts: usize,
}

/// The one place that is shared between the server's thread and its owner.
#[derive(Debug, Default)]
pub(crate) struct Store {
    state: Mutex<State>,
    changed: Condvar,
}

impl Store {
    /// Reads what is recorded.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.lock())
    }

    /// Changes what is recorded, in one step, and wakes whoever waits for it.
    pub(crate) fn update<T>(&self, update: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let result = update(&mut state);
        state.version = state.version.wrapping_add(1);
        self.changed.notify_all();
        result
    }

    pub(crate) fn wait_for(&self, deadline: Duration, mut predicate: impl FnMut(&View) -> bool) -> bool {
        let start = Instant::now();
        let mut state = self.lock();
        loop {
            let (view, version) = (state.view(), state.version);
            // Outside of the lock, so that the predicate may ask the collector for more.
            drop(state);
            if predicate(&view) {
                return true;
            }
            state = self.lock();
            while state.version == version {
                let left = deadline.saturating_sub(start.elapsed());
                if left.is_zero() {
                    return false;
                }
                state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            }
        }
    }

    // A predicate never runs under the lock, so a poisoned state is still whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What arrived, and the faults that wait for more.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) faults: Faults,
    pub(crate) operations: Vec<Operation>,
    pub(crate) duplicates: usize,
    pub(crate) conflicts: Vec<String>,
    requests: Vec<(RequestId, Seen)>,
    next_request: RequestId,
    /// The first event under each message id.
    known: HashMap<String, Value>,
    version: u64,
}

/// Names a recorded request, also after the ones before it were cleared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RequestId(u64);

impl State {
    pub(crate) fn record(&mut self, seen: Seen) -> RequestId {
        let id = self.next_request;
        self.next_request = RequestId(id.0.wrapping_add(1));
        self.requests.push((id, seen));
        id
    }

    /// Completes a recorded request, unless it was cleared.
    pub(crate) fn settle(&mut self, id: RequestId, status: Option<u16>, operations: Vec<Operation>) {
        let found = self.requests.iter_mut().rev().find(|(of, _)| *of == id);
        if let Some((_, seen)) = found {
            seen.status = status;
            seen.operations = operations;
        }
    }

    /// Stores an event, unless its message id is known.
    pub(crate) fn accept_event(&mut self, event: Event) -> Option<Operation> {
        if let Some(first) = self.known.get(&event.message_id) {
            self.duplicates = self.duplicates.saturating_add(1);
            if *first != event.value {
                self.conflicts.push(format!(
                    "message id {} came again with another {}",
                    event.message_id,
                    differences(first, &event.value).join(", "),
                ));
            }
            return None;
        }
        let operation = Operation::Track(event.value.clone());
        self.known.insert(event.message_id, event.value);
        self.operations.push(operation.clone());
        Some(operation)
    }

    pub(crate) fn accept_identify(&mut self, body: Value) -> Operation {
        let operation = Operation::Identify(body);
        self.operations.push(operation.clone());
        operation
    }

    pub(crate) fn events(&self) -> Vec<Value> {
        self.of_kind(|operation| match operation {
            Operation::Track(event) => Some(event),
            Operation::Identify(_) => None,
        })
    }

    pub(crate) fn identifies(&self) -> Vec<Value> {
        self.of_kind(|operation| match operation {
            Operation::Identify(body) => Some(body),
            Operation::Track(_) => None,
        })
    }

    pub(crate) fn requests(&self) -> Vec<Seen> {
        self.requests.iter().map(|(_, seen)| seen.clone()).collect()
    }

    /// Forgets what was recorded, the known message ids too; the faults stay.
    pub(crate) fn clear(&mut self) {
        self.operations.clear();
        self.duplicates = 0;
        self.conflicts.clear();
        self.requests.clear();
        self.known.clear();
    }

    pub(crate) fn view(&self) -> View {
        let events =
            self.operations.iter().filter(|operation| matches!(operation, Operation::Track(_))).count();
        View {
            events,
            identifies: self.operations.len().saturating_sub(events),
            operations: self.operations.len(),
            requests: self.requests.len(),
            replies: self.requests.iter().filter(|(_, seen)| seen.status.is_some()).count(),
            duplicates: self.duplicates,
            conflicts: self.conflicts.len(),
        }
    }

    fn of_kind<'a>(&'a self, kind: impl Fn(&'a Operation) -> Option<&'a Value>) -> Vec<Value> {
        self.operations.iter().filter_map(kind).cloned().collect()
    }
}

/// The fields in which two events differ; never their values.
fn differences(first: &Value, second: &Value) -> Vec<String> {
    let empty = Map::new();
    let (first, second) = (first.as_object().unwrap_or(&empty), second.as_object().unwrap_or(&empty));
    let names: BTreeSet<_> = first.keys().chain(second.keys()).collect();
    names.into_iter().filter(|name| first.get(*name) != second.get(*name)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_known_message_id_is_counted_and_not_stored() {
        let mut state = State::default();

        let first = state.accept_event(event("m1", 1));
        let again = state.accept_event(event("m1", 1));
        let other = state.accept_event(event("m2", 1));

        assert!(first.is_some() && again.is_none() && other.is_some());
        assert_eq!(state.events().len(), 2);
        assert_eq!(state.duplicates, 1);
        assert_eq!(state.conflicts, Vec::<String>::new());
    }

    #[test]
    fn a_known_message_id_with_other_content_is_a_conflict() {
        let mut state = State::default();

        state.accept_event(event("m1", 1));
        state.accept_event(event("m1", 2));

        assert_eq!(state.events(), [event("m1", 1).value]);
        assert_eq!(state.duplicates, 1);
        assert_eq!(state.conflicts, ["message id m1 came again with another properties"]);
    }

    #[test]
    fn a_deadline_that_passes_is_told() {
        let store = Store::default();

        assert!(!store.wait_for(Duration::from_millis(1), |view| view.events == 1));
        assert!(!store.wait_for(Duration::ZERO, |view| view.events == 1));
        assert!(store.wait_for(Duration::ZERO, |view| view.events == 0));
    }

    #[test]
    fn a_waiting_thread_is_woken_by_an_event() {
        let store = Store::default();
        let deadline = Duration::from_secs(30);
        let (asked, first_asked) = std::sync::mpsc::channel();
        let start = Instant::now();

        let arrived = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                store.wait_for(deadline, |_| {
                    asked.send(()).unwrap();
                    // The predicate may read the store.
                    store.read(|state| state.events().len()) == 1
                })
            });
            first_asked.recv().unwrap();
            store.update(|state| state.accept_event(event("m1", 1)));
            waiting.join().unwrap()
        });

        assert!(arrived);
        assert!(start.elapsed() < deadline, "woken by the deadline only");
    }

    #[test]
    fn settling_a_cleared_request_changes_nothing() {
        let mut state = State::default();

        let cleared = state.record(seen());
        state.clear();
        let kept = state.record(seen());
        state.settle(cleared, Some(500), Vec::new());
        state.settle(kept, Some(202), Vec::new());

        let statuses: Vec<_> = state.requests().iter().map(|seen| seen.status).collect();
        assert_eq!(statuses, [Some(202)]);
    }

    fn event(message_id: &str, amount: u32) -> Event {
        Event {
            message_id: message_id.into(),
            event_type: "paid".into(),
            value: json!({"context": {"$message_id": message_id}, "properties": {"amount": amount}}),
        }
    }

    fn seen() -> Seen {
        Seen {
            method: "POST".into(),
            path: "/v1/identify".into(),
            headers: crate::seen::SeenHeaders::default(),
            body: crate::seen::SeenBody::Raw(Vec::new()),
            status: None,
            at_ms: 0,
            connection: 1,
            operations: Vec::new(),
        }
    }
}
