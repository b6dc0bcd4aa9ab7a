//! What must be true: everything said, where it is, and how it left.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use whisperr_core::Counters;

use super::Violation;

/// Whom an operation is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Subject {
    User(u8),
    /// The visitor between two resets; `None` when a cut leaves open which one it is.
    Visitor(Option<u32>),
}

/// How an operation left the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Exit {
    Acknowledged,
    Dropped,
    Evicted,
    Expired,
    Damaged,
    Deleted,
    /// Never durable, and gone with the power.
    NotDurable,
}

/// Where an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In the queue.
    Owed,
    Left(Exit),
    /// The call failed or was dropped: it may be there or not.
    Unpromised,
}

/// One operation that the application said.
#[derive(Debug, Clone)]
pub(super) struct Said {
    pub(super) seq: u64,
    pub(super) event: bool,
    pub(super) subject: Subject,
    pub(super) visitor: Option<u32>,
    pub(super) message_id: Option<String>,
    /// The device's wall clock at the call.
    pub(super) utc: Option<i64>,
    pub(super) place: Place,
    /// The medium said that it is durable.
    pub(super) durable: bool,
    /// The medium said that its removal is durable.
    pub(super) gone: bool,
    /// It was out of the queue once, and a cut brought it back.
    pub(super) revived: bool,
    /// What else must be in it.
    pub(super) says: Says,
}

impl Said {
    /// What was just said, and is not promised yet.
    pub(super) fn new(seq: u64, event: bool, subject: Subject, visitor: Option<u32>) -> Self {
        Self {
            seq,
            event,
            subject,
            visitor,
            message_id: None,
            utc: None,
            place: Place::Unpromised,
            durable: false,
            gone: false,
            revived: false,
            says: Says::Anything,
        }
    }
}

/// What must be in an operation beside whom it is about and when it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Says {
    /// The harness cannot tell.
    Anything,
    /// The push tokens that it opts in and out, by the numbers they were set under.
    Tokens { new: Option<u64>, old: Option<u64> },
    /// An automatic event of this type with this property.
    Event(&'static str, Option<(&'static str, serde_json::Value)>),
}

/// From here on the numbers of what the client says by itself: the word that opts a push token out.
pub(super) const FAREWELL: u64 = 1 << 40;

/// Everything the harness knows.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) said: BTreeMap<u64, Said>,
    /// The number of the operation under each sequence number.
    by_seq: HashMap<u64, u64>,
    /// What is stored, by sequence number.
    pub(super) stored: BTreeSet<u64>,
    /// What replies of this run allow to leave.
    pub(super) settled: HashMap<u64, Exit>,
    /// The counters at the last look.
    pub(super) counters: Counters,
    /// Below this sequence number, the client may have said by itself that a push token is not to be used.
    pub(super) farewell_below: u64,
}

/// What changed since the last look.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// How those left whose exit a reply explains.
    pub(super) settled: Vec<Exit>,
    /// Numbers whose exit no reply explains, oldest first.
    pub(super) unexplained: Vec<u64>,
}

fn violated<T>(invariant: &'static str, detail: String) -> Result<T, Violation> {
    Err(Violation { invariant, detail })
}

impl Model {
    /// Adds what was said. A later operation may get the number of one that was never stored.
    pub(super) fn say(&mut self, n: u64, said: Said) {
        let accepted = said.place == Place::Owed;
        let seq = said.seq;
        self.said.insert(n, said);
        if accepted || !self.by_seq.contains_key(&seq) || !self.stored.contains(&seq) {
            self.by_seq.insert(seq, n);
        }
    }

    pub(super) fn at_seq(&mut self, seq: u64) -> Option<(u64, &mut Said)> {
        let n = *self.by_seq.get(&seq)?;
        Some((n, self.said.get_mut(&n)?))
    }

    /// The operation under this sequence number, if its removal is durable.
    pub(super) fn gone_at(&self, seq: u64) -> Option<u64> {
        let n = *self.by_seq.get(&seq)?;
        let said = self.said.get(&n)?;
        (said.gone && matches!(said.place, Place::Left(_))).then_some(n)
    }

    /// Takes the new content of the queue. Every operation that left must be explained: by a reply
    /// here, by the caller otherwise.
    pub(super) fn look(&mut self, now: BTreeSet<u64>) -> Result<Left, Violation> {
        let mut left = Left::default();
        let mut gone: Vec<u64> = self.stored.difference(&now).copied().collect();
        // What came and went between two looks; what was not promised, only where a reply shows that it was there.
        let passed = self.said.iter().filter(|(n, said)| {
            let was_there = match said.place {
                Place::Owed => true,
                Place::Unpromised => self.settled.contains_key(n),
                Place::Left(_) => false,
            };
            was_there
                && !now.contains(&said.seq)
                && !self.stored.contains(&said.seq)
                && self.by_seq.get(&said.seq) == Some(n)
        });
        let passed: Vec<u64> = passed.map(|(_, said)| said.seq).collect();
        gone.extend(passed);
        let came: Vec<u64> = now.difference(&self.stored).copied().collect();
        self.stored = now;
        for seq in came {
            self.expect_farewell(seq);
            match self.at_seq(seq) {
                Some((_, said)) if matches!(said.place, Place::Owed | Place::Unpromised) => {}
                other => return violated("I1", format!("record {seq} appeared from nowhere: {other:?}")),
            }
        }
        for seq in gone {
            let Some((n, said)) = self.at_seq(seq) else {
                return violated("I1", format!("record {seq} was nobody's"));
            };
            said.durable = false;
            match self.settled.remove(&n) {
                Some(exit) => {
                    self.leave(n, exit);
                    left.settled.push(exit);
                }
                None => left.unexplained.push(n),
            }
        }
        Ok(left)
    }

    /// A record that nobody said is the client's own word, if there may be one.
    fn expect_farewell(&mut self, seq: u64) {
        let is_promised = self.at_seq(seq).is_some_and(|(_, said)| said.place == Place::Owed);
        if seq < self.farewell_below && !is_promised {
            self.say_farewell(seq);
        }
    }

    /// The number of the client's own word that is in the queue; `FAREWELL` while none was seen there.
    pub(super) fn farewell(&self) -> u64 {
        let mut said = self.said.range(FAREWELL..).rev();
        said.find(|(_, said)| said.place == Place::Owed).map_or(FAREWELL, |(n, _)| *n)
    }

    pub(super) fn say_farewell(&mut self, seq: u64) {
        let mut said = Said::new(seq, false, Subject::Visitor(None), None);
        said.place = Place::Owed;
        self.say(FAREWELL.saturating_add(seq), said);
    }

    /// The operation has left in this way.
    pub(super) fn leave(&mut self, n: u64, exit: Exit) {
        if let Some(said) = self.said.get_mut(&n) {
            said.place = Place::Left(exit);
            said.gone = false;
        }
    }

    /// Operations that are still owed.
    pub(super) fn owed(&self) -> impl Iterator<Item = (u64, &Said)> {
        self.said.iter().filter(|(_, said)| said.place == Place::Owed).map(|(n, said)| (*n, said))
    }

    /// Everything is durable: what is stored, and that the rest is not.
    /// A removal may still be unwritten on a medium without room, so it counts only with `removals`.
    pub(super) fn synced(&mut self, removals: bool) {
        for (n, said) in &mut self.said {
            let stored = self.stored.contains(&said.seq);
            match said.place {
                // Its number is another's by now.
                _ if self.by_seq.get(&said.seq) != Some(n) => said.gone = false,
                Place::Owed if stored => said.durable = true,
                Place::Left(_) if !stored && removals => said.gone = true,
                _ => {}
            }
        }
    }

    /// Checks what a restart found, and goes on with it.
    pub(super) fn restarted(
        &mut self,
        found: BTreeSet<u64>,
        power: bool,
        may_rot: bool,
        cancelled: bool,
        may_delete: bool,
    ) -> Result<Restarted, Violation> {
        let mut restarted = Restarted::default();
        let settled = core::mem::take(&mut self.settled);
        for (n, said) in &mut self.said {
            let holds = self.by_seq.get(&said.seq) == Some(n);
            if said.place != Place::Owed || !holds || found.contains(&said.seq) {
                continue;
            }
            if let Some(exit) = settled.get(n) {
                said.place = Place::Left(*exit);
            } else if may_delete {
                // An opt-out went on, before the restart or in it.
                said.place = Place::Left(Exit::Deleted);
            } else if cancelled && said.event {
                // The call that evicted it was not over.
                said.place = Place::Left(Exit::Evicted);
            } else if may_rot {
                said.place = Place::Left(Exit::Damaged);
            } else if said.durable || !power {
                let what = if power { "durable" } else { "stored" };
                return violated("I1", format!("{n} (record {}) was {what} and is lost", said.seq));
            } else {
                said.place = Place::Left(Exit::NotDurable);
                restarted.not_durable = restarted.not_durable.saturating_add(1);
            }
        }
        for seq in &found {
            // The power took what was said since an opt-in, and the opt-in with it; the number is free again.
            let is_opted_out = power && self.farewell_below == u64::MAX;
            if let Some((n, _)) = self.at_seq(*seq).filter(|(_, said)| is_opted_out && !said.durable) {
                self.leave(n, Exit::NotDurable);
            }
            self.expect_farewell(*seq);
            let Some((n, said)) = self.at_seq(*seq) else {
                return violated("I1", format!("record {seq} appeared from nowhere after a restart"));
            };
            match said.place {
                // It may have left, and nobody looked since.
                Place::Owed => said.revived |= power && cancelled,
                Place::Unpromised => {
                    said.place = Place::Owed;
                    restarted.unpromised = restarted.unpromised.saturating_add(1);
                }
                Place::Left(exit) => {
                    if said.gone && !may_rot {
                        return violated("I10", format!("{n} was durably removed ({exit:?}) and is back"));
                    }
                    said.place = Place::Owed;
                    said.revived = true;
                    restarted.revived = restarted.revived.saturating_add(1);
                }
            }
            // It was read back from the medium; what only the process lost may still be in the cache.
            // The start itself may have said the client's own word.
            if let Some((_, said)) = self.at_seq(*seq).filter(|(n, _)| power && *n < FAREWELL) {
                said.durable = true;
            }
        }
        self.stored = found;
        Ok(restarted)
    }
}

/// What a restart changed.
#[derive(Debug, Default)]
pub(super) struct Restarted {
    pub(super) not_durable: u64,
    pub(super) unpromised: u64,
    pub(super) revived: u64,
}

/// The difference of two looks at the counters.
pub(super) fn delta(before: &Counters, after: &Counters) -> [(Exit, u64); 6] {
    [
        (Exit::Acknowledged, after.acknowledged.saturating_sub(before.acknowledged)),
        (Exit::Dropped, after.dropped.saturating_sub(before.dropped)),
        (Exit::Evicted, after.evicted.saturating_sub(before.evicted)),
        (Exit::Expired, after.expired.saturating_sub(before.expired)),
        (Exit::Damaged, after.damaged.saturating_sub(before.damaged)),
        (Exit::Deleted, after.deleted.saturating_sub(before.deleted)),
    ]
}
