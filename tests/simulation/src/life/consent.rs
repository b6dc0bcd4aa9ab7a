//! Opting out and in, and what must hold meanwhile: nothing is recorded, sent, or left on the medium.

use super::model::{Exit, Place};
use super::{Being, Violation};
use crate::choices::Choices;
use crate::medium::Medium;

/// What the user chose.
pub(super) struct Consent {
    /// Whether the user has opted out; `None` when only the client knows.
    pub(super) out: Option<bool>,
    /// The last change was `Ok`.
    firm: bool,
    /// What it may be after a power cut.
    legal: Vec<bool>,
    /// The user has opted out at least once.
    pub(super) was_out: bool,
    /// What an opt-out deletes may not have been looked at yet.
    pub(super) may_delete: bool,
}

impl Consent {
    pub(super) fn new() -> Self {
        Self { out: Some(false), firm: true, legal: vec![false], was_out: false, may_delete: false }
    }

    /// What was chosen is durable.
    pub(super) fn synced(&mut self) {
        if let (Some(out), true) = (self.out, self.firm) {
            self.legal = vec![out];
        }
    }

    fn begun(&mut self, out: bool) {
        self.legal.push(out);
        self.firm = false;
        self.was_out |= out;
        self.may_delete |= out;
    }

    fn done(&mut self, out: bool, durable: bool) {
        self.out = Some(out);
        self.firm = true;
        if durable {
            self.legal = vec![out];
        }
    }
}

impl<M: Medium> Being<M> {
    pub(super) fn change_consent(&mut self) -> Result<(), Violation> {
        if self.consent.out == Some(true) || self.choices.percent(20) {
            self.opt_in()
        } else {
            self.opt_out()
        }
    }

    fn opt_out(&mut self) -> Result<(), Violation> {
        self.model.farewell_below = u64::MAX;
        self.consent.begun(true);
        if self.world.network().due().is_some() {
            self.server.borrow_mut().given_up();
        }
        let patience = self.patience();
        let called = self.world.call_for(patience, async |client, now| client.opt_out(now).await);
        self.world.ring(true);
        self.note(format!("opt out: {called:?}"));
        self.speech.opted_out(called.is_some());
        match called {
            Some(Ok(accepted)) => {
                self.seen("opted out");
                if let Some(seq) = accepted.seq {
                    self.model.say_farewell(seq.get());
                }
                // The deletion is on the medium before the call returns.
                self.consent.done(true, true);
                self.server.borrow_mut().silent = true;
                if self.world.is_free() {
                    self.look_when_free()?;
                    self.model.deleted_for_good();
                }
                self.check_nothing_is_left()
            }
            Some(Err(_)) => {
                self.seen("opt-out not done");
                // What it deleted is found out once the storage can be read again.
                self.cancelled = true;
                self.consent.out = Some(true);
                self.server.borrow_mut().silent = true;
                Ok(())
            }
            None => {
                self.seen("opt-out dropped half way");
                self.cancelled = true;
                self.dropped_calls += 1;
                self.consent.out = None;
                Ok(())
            }
        }
    }

    pub(super) fn opt_in(&mut self) -> Result<(), Violation> {
        let before = self.consent.out;
        self.consent.begun(false);
        let patience = self.patience();
        let called = self.world.call_for(patience, async |client, now| client.opt_in(now).await);
        self.world.ring(true);
        self.note(format!("opt in: {called:?}"));
        match called {
            Some(Ok(accepted)) => {
                self.seen("opted in");
                if let Some(seq) = accepted.seq {
                    self.model.say_farewell(seq.get());
                }
                if before != Some(false) {
                    self.model.farewell_below = self.next_seq();
                }
                self.consent.done(false, !M::SYNCS);
                self.server.borrow_mut().silent = false;
                match before {
                    Some(true) => self.speech.opted_in(),
                    Some(false) => {}
                    None => self.speech.unsure_of_token(),
                }
                self.look_when_free()?;
                if M::SYNCS && self.setup.sync_always {
                    self.sync();
                }
            }
            _ => {
                self.cancelled |= called.is_none();
                self.dropped_calls += u64::from(called.is_none());
                self.consent.out = None;
                self.speech.unsure_of_token();
                self.settle_consent();
            }
        }
        Ok(())
    }

    /// Asks the client what became of a change that was not `Ok`.
    pub(super) fn settle_consent(&mut self) {
        if self.consent.out.is_none() && self.world.is_free() {
            let out = self.world.with(|client| client.is_opted_out());
            self.consent.out = Some(out);
            self.server.borrow_mut().silent = out;
        }
    }

    /// After a restart.
    pub(super) fn check_consent(&mut self, power: bool) -> Result<(), Violation> {
        let out = self.world.with(|client| client.is_opted_out());
        let legal = &self.consent.legal;
        if !legal.contains(&out) && !self.rotten {
            let detail = format!("opted out: {out}, not one of {legal:?}, power {power}");
            return self.violated("I13", detail);
        }
        self.consent.done(out, true);
        self.consent.was_out |= out;
        self.consent.may_delete = out;
        self.server.borrow_mut().silent = out;
        Ok(())
    }

    /// Nothing of any operation can be read from the medium, also not after a power cut.
    fn check_nothing_is_left(&mut self) -> Result<(), Violation> {
        if self.rotten || (self.faulty && self.setup.medium_faults) || self.world.medium().is_off() {
            return Ok(());
        }
        // A file system that shows blocks of deleted files after a cut is not what is tested here.
        let after = self.world.medium().after_cut(&Choices::recorded(&[])).raw();
        let raws = [self.world.medium().raw(), after];
        for raw in raws {
            for text in [&b"door_opened"[..], b"ada@example.com", b"screen_viewed"] {
                if raw.windows(text.len()).any(|bytes| bytes == text) {
                    let text = String::from_utf8_lossy(text);
                    return self.violated("I13", format!("the medium still holds {text} after an opt-out"));
                }
            }
        }
        Ok(())
    }
}

impl super::model::Model {
    /// What an opt-out deleted never comes back.
    fn deleted_for_good(&mut self) {
        let said = &self.said;
        self.settled.retain(|n, _| !said.get(n).is_some_and(|said| matches!(said.place, Place::Left(_))));
        for said in self.said.values_mut() {
            if said.place == Place::Left(Exit::Deleted) {
                said.gone = true;
            }
        }
    }
}
