//! Whether what arrived is what was acknowledged.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use whisperr_collector::{Collector, Operation};

use crate::layout::entry;

/// An operation: who said it, and its number.
type Name = (u32, u32);

/// How a check came out.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// Calls that returned `Ok`.
    pub(crate) acknowledged: usize,
    /// Calls that returned an error.
    pub(crate) refused: usize,
    /// Calls that never returned.
    pub(crate) cut_short: usize,
    /// Of the acknowledged ones, those that did not arrive.
    pub(crate) lost: usize,
    /// Events that came again under the same message id: allowed, the server knows them.
    pub(crate) repeated: usize,
    /// Every promise that was broken.
    pub(crate) broken: Vec<String>,
}

/// Holds what arrived against the journal.
pub(crate) fn arrived(collector: &Collector, journal: &[u32]) -> Verdict {
    let mut verdict = Verdict { repeated: collector.duplicates(), ..Verdict::default() };
    let operations = collector.operations();
    let places = places(&operations, &mut verdict.broken);
    compare(journal, &places, &mut verdict);
    verdict.broken.extend(collector.conflicts());
    for request in collector.requests() {
        if let Some(status) = request.status.filter(|status| (400..500).contains(status)) {
            verdict.broken.push(format!("the server refused {} with {status}", request.path));
        }
    }
    verdict
}

/// Where each operation arrived first.
fn places(operations: &[Operation], broken: &mut Vec<String>) -> BTreeMap<Name, usize> {
    let mut places = BTreeMap::new();
    let mut installed: usize = 0;
    // Each update goes on from the version that was told before it: none is lost, and none comes twice.
    let mut running: Option<String> = None;
    for (place, operation) in operations.iter().enumerate() {
        let number =
            |value: Option<&Value>| value.and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
        match operation {
            Operation::Track(event) => {
                let kind = event.get("event_type").and_then(Value::as_str).unwrap_or_default();
                installed = installed.saturating_add(usize::from(kind == "app_installed"));
                if matches!(kind, "app_installed" | "app_updated") {
                    let version =
                        |name| get(event.get("properties"), name).and_then(Value::as_str).map(str::to_owned);
                    let (before, now) = (version("previous_version"), version("app_version"));
                    if (running.is_some() && before != running) || now == before {
                        broken.push(format!("{kind} from {before:?} to {now:?} while {running:?} ran"));
                    }
                    running = now;
                }
                if kind != "door_opened" {
                    continue;
                }
                let properties = event.get("properties");
                let (door, n) = (number(get(properties, "door")), number(get(properties, "n")));
                let (Some(door), Some(n)) = (door, n) else {
                    broken.push(format!("an event without its numbers: {event}"));
                    continue;
                };
                if get(Some(event), "external_user_id").and_then(Value::as_str) != Some("user_kiosk") {
                    broken.push(format!("event {door}/{n} as somebody else's: {event}"));
                }
                if places.insert((door, n), place).is_some() {
                    broken.push(format!("event {door}/{n} came again under another message id"));
                }
            }
            // It has no message id: after a lost reply it comes again, which changes nothing.
            Operation::Identify(body) => {
                if let Some(n) = number(get(body.get("traits"), "n")) {
                    places.entry((entry::IDENTIFY, n)).or_insert(place);
                }
            }
        }
    }
    if installed > 1 {
        broken.push(format!("installed {installed} times"));
    }
    places
}

fn get<'a>(value: Option<&'a Value>, name: &str) -> Option<&'a Value> {
    value.and_then(|value| value.get(name))
}

fn compare(journal: &[u32], places: &BTreeMap<Name, usize>, verdict: &mut Verdict) {
    let mut tried = BTreeSet::new();
    // The last place of all that was acknowledged so far: what is said later arrives later.
    let mut behind: Option<(usize, Name)> = None;
    let mut floors = BTreeMap::new();
    let mut returned: usize = 0;
    for word in journal {
        let (outcome, speaker, number) = entry::unpack(*word);
        let name = (speaker, number);
        let place = places.get(&name).copied();
        match outcome {
            entry::TRY => {
                tried.insert(name);
                floors.insert(name, behind);
            }
            entry::OK => {
                returned = returned.saturating_add(1);
                verdict.acknowledged = verdict.acknowledged.saturating_add(1);
                match place {
                    None => {
                        verdict.lost = verdict.lost.saturating_add(1);
                        verdict.broken.push(format!("LOST {speaker}/{number}"));
                    }
                    Some(place) => behind = behind.max(Some((place, name))),
                }
            }
            _ => {
                returned = returned.saturating_add(1);
                verdict.refused = verdict.refused.saturating_add(1);
            }
        }
    }
    verdict.cut_short = tried.len().saturating_sub(returned);
    for (name, place) in places {
        match floors.get(name) {
            None => verdict.broken.push(format!("{}/{} arrived, and nobody said it", name.0, name.1)),
            Some(Some((before, earlier))) if place < before => verdict.broken.push(format!(
                "{}/{} arrived before {}/{}, which was acknowledged before it was said",
                name.0, name.1, earlier.0, earlier.1
            )),
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const A: Name = (0, 7);
    const B: Name = (1, 3);

    fn said(outcome: u32, name: Name) -> u32 {
        entry::pack(outcome, name.0, name.1)
    }

    fn broken(journal: &[u32], places: &[(Name, usize)]) -> Vec<String> {
        let mut verdict = Verdict::default();
        compare(journal, &places.iter().copied().collect(), &mut verdict);
        verdict.broken
    }

    #[test]
    fn what_was_acknowledged_must_arrive() {
        let journal = [said(entry::TRY, A), said(entry::OK, A), said(entry::TRY, B)];

        assert_eq!(broken(&journal, &[(A, 0)]), [""; 0]);
        assert_eq!(broken(&journal, &[(A, 0), (B, 1)]), [""; 0]);
        assert_eq!(broken(&journal, &[(B, 0)]), ["LOST 0/7"]);
    }

    #[test]
    fn every_update_is_told_once() {
        let told = |updates: &[(&str, &str)]| {
            let installed = ("app_installed", json!({"app_version": "1"}));
            let updates = updates.iter().map(|(before, now)| {
                ("app_updated", json!({"previous_version": before, "app_version": now}))
            });
            let operations: Vec<_> = [installed]
                .into_iter()
                .chain(updates)
                .map(|(kind, own)| Operation::Track(json!({"event_type": kind, "properties": own})))
                .collect();
            let mut broken = Vec::new();
            places(&operations, &mut broken);
            broken.len()
        };

        assert_eq!(told(&[("1", "2"), ("2", "1")]), 0);
        assert_eq!(told(&[("1", "2"), ("1", "2")]), 1, "twice");
        assert_eq!(told(&[("2", "1")]), 1, "the one before is lost");
        assert_eq!(told(&[("1", "1")]), 1, "nothing changed");
    }

    #[test]
    fn what_was_said_later_must_arrive_later() {
        let one_after_the_other = [said(entry::TRY, A), said(entry::OK, A), said(entry::TRY, B)];
        let at_once = [said(entry::TRY, A), said(entry::TRY, B), said(entry::OK, A), said(entry::OK, B)];

        assert_eq!(broken(&one_after_the_other, &[(A, 1), (B, 0)]).len(), 1);
        assert_eq!(broken(&at_once, &[(A, 1), (B, 0)]), [""; 0]);
    }

    #[test]
    fn what_nobody_said_must_not_arrive() {
        assert_eq!(broken(&[], &[(A, 0)]), ["0/7 arrived, and nobody said it"]);
    }
}
