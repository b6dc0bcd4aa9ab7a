//! What happens in a life.

use core::time::Duration;

use whisperr_core::{Client, Identify, Track, props};

use super::model::{Place, Said, Subject};
use super::setup::{any_config, any_weather};
use super::{Being, Violation};
use crate::faulty::Rates;
use crate::medium::Medium;

/// Most stops at which one wait is looked at.
const STOPS_MAX: u32 = 300;

const YEAR_MS: i64 = 31_536_000_000;

/// The kinds of action, in the order of `Weights`.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Track,
    Identify,
    Reset,
    Wait,
    Flush,
    Pause,
    Kill,
    Cut,
    Clock,
    Faults,
    Sync,
    Weather,
    Look,
    Settings,
    Wipe,
    Token,
    Stage,
    Consent,
}

impl<M: Medium> Being<M> {
    fn draw(&self) -> Kind {
        let w = self.setup.weights;
        let table = [
            (Kind::Track, w.track),
            (Kind::Wait, w.wait),
            (Kind::Identify, w.identify),
            (Kind::Reset, w.reset),
            (Kind::Flush, w.flush),
            (Kind::Pause, w.pause),
            (Kind::Kill, w.kill),
            (Kind::Cut, w.cut),
            (Kind::Clock, w.clock),
            (Kind::Faults, w.faults),
            (Kind::Sync, w.sync),
            (Kind::Weather, w.weather),
            (Kind::Look, w.look),
            (Kind::Settings, w.settings),
            (Kind::Wipe, w.wipe),
            (Kind::Token, w.token),
            (Kind::Stage, w.lifecycle),
            (Kind::Consent, w.consent),
        ];
        let total = table.iter().map(|(_, weight)| weight).sum();
        let mut drawn = self.choices.below(total);
        for (kind, weight) in table {
            match drawn.checked_sub(weight) {
                Some(rest) => drawn = rest,
                None => return kind,
            }
        }
        Kind::Track
    }

    pub(super) fn act(&mut self) -> Result<(), Violation> {
        let kind = self.draw();
        let choices = self.choices.clone();
        match kind {
            Kind::Track => {
                for _ in 0..choices.one_of(&[1, 1, 2, 5, 25]) {
                    self.track()?;
                    if self.world.medium().is_off() {
                        break;
                    }
                }
            }
            Kind::Identify => self.identify()?,
            Kind::Reset => self.reset()?,
            Kind::Wait => {
                let ms =
                    choices.one_of(&[1000, 10, 1, 0, 15_000, 60_000, 400_000, 3_600_000, 86_400_000 * 40]);
                self.note(format!("wait {ms}"));
                self.wait(ms)?;
            }
            Kind::Flush => {
                self.note("flush");
                self.flush();
            }
            Kind::Pause => {
                self.paused = !self.paused;
                self.note(format!("paused {}", self.paused));
                let paused = self.paused;
                self.world.call(async |client, _| if paused { client.pause() } else { client.resume() });
                self.world.ring(true);
            }
            Kind::Kill => {
                if self.world.faults().rates().slow > 0 {
                    // In the middle of what a flush starts.
                    self.flush();
                    for _ in 0..choices.below(6) {
                        self.world.poll_runner();
                    }
                }
                self.die(false)?;
            }
            Kind::Cut => {
                // At once, or in the middle of what happens next.
                if choices.percent(50) {
                    self.note("the power will be cut");
                    self.world.medium().plan_cut(&choices);
                } else {
                    self.die(true)?;
                }
            }
            Kind::Clock => self.set_clock(),
            Kind::Faults => {
                self.faulty = !self.faulty;
                self.note(format!("storage faults {}", self.faulty));
                self.world.faults().set(if self.faulty { self.setup.rates } else { Rates::default() });
                self.world.ring(true);
                if self.faulty && self.setup.medium_faults {
                    let log = &mut *self.log.borrow_mut();
                    self.world.medium().plan_fault(&choices, &mut log.seen);
                } else if !self.faulty {
                    self.world.medium().heal();
                }
            }
            Kind::Sync => self.sync(),
            Kind::Weather => {
                let weather = any_weather(&choices);
                self.note(format!("weather {weather:?}"));
                self.server.borrow_mut().weather = weather;
            }
            Kind::Look => self.look_at_a_cut()?,
            Kind::Settings => {
                self.note("other settings");
                let config = any_config(&choices);
                *self.world.config() = config;
                self.server.borrow_mut().config = config;
                self.die(false)?;
            }
            Kind::Wipe => self.wipe()?,
            Kind::Token => self.set_token()?,
            Kind::Stage => self.go_on_stage()?,
            Kind::Consent => self.change_consent()?,
        }
        if self.world.medium().is_off() {
            self.seen("cut in the middle of a call");
            self.die(true)?;
        }
        Ok(())
    }

    /// How many polls a call gets before it is dropped.
    pub(super) fn patience(&self) -> u32 {
        if self.world.faults().rates().slow > 0 && self.choices.percent(20) {
            self.choices.one_of(&[1, 2, 3, 5])
        } else {
            u32::MAX
        }
    }

    fn text(&self) -> String {
        let longest = if self.setup.long_texts { 1200 } else { 60 };
        "x".repeat(usize::try_from(self.choices.below(longest)).unwrap_or(0))
    }

    pub(super) fn next_number(&mut self) -> u64 {
        let n = self.next;
        self.next += 1;
        n
    }

    pub(super) fn next_seq(&mut self) -> u64 {
        use whisperr_core::Storage;
        self.world.call(async |client, _| client.storage().next_seq().get())
    }

    fn track(&mut self) -> Result<(), Violation> {
        let n = self.next_number();
        let user = self.choices.one_of(&[None, None, Some(1), Some(2)]);
        let text = self.text();
        let poison = self.choices.percent(self.setup.poison_percent);
        let name = user.map(user_id);
        let utc = self.world.now().utc.map(|utc| utc.get());
        let mut event = Track::new("door_opened").properties(
            props! { "n" => n, "text" => &text[..], "poison" => poison, "undated" => utc.is_none() },
        );
        if let Some(name) = &name {
            event = event.user(name);
        }
        let seq = self.next_seq();
        let patience = self.patience();
        let tracked = self.world.call_for(patience, async |client, now| client.track(now, &event).await);
        let ok = tracked.as_ref().and_then(|tracked| tracked.as_ref().ok());
        self.world.ring(tracked.is_none() || ok.is_some_and(|accepted| accepted.wake));
        let (visitor, user) = (self.visitor, user.or(self.user));
        let subject = user.map_or(Subject::Visitor(visitor), Subject::User);
        let mut said = Said::new(seq, true, subject, visitor);
        said.utc = utc;
        self.note(format!("track {n} as {seq}: {tracked:?}"));
        match (tracked, self.consent.out) {
            (Some(Ok(accepted)), Some(true)) if accepted.seq.is_some() => {
                self.violated("I8", format!("{n} was recorded after an opt-out"))
            }
            (Some(Ok(accepted)), Some(false)) if accepted.seq.is_none() => {
                self.violated("I6", format!("{n} was not recorded"))
            }
            (Some(Ok(accepted)), _) => {
                if accepted.seq.is_none() {
                    return Ok(());
                }
                said.message_id = accepted.message_id.map(|id| id.to_string());
                said.place = Place::Owed;
                self.accepted(n, said)
            }
            (Some(Err(_)), _) => {
                self.seen("track refused");
                self.not_accepted(n, said, true)
            }
            (None, _) => self.not_accepted(n, said, false),
        }
    }

    /// A call failed, or was dropped half way: what it said may be there or not.
    pub(super) fn not_accepted(&mut self, n: u64, said: Said, called: bool) -> Result<(), Violation> {
        self.model.say(n, said);
        if called {
            return self.check_call(n);
        }
        self.cancelled = true;
        self.dropped_calls += 1;
        self.seen("call dropped half way");
        Ok(())
    }

    fn identify(&mut self) -> Result<(), Violation> {
        let n = self.next_number();
        let user = self.choices.one_of(&[1, 2, 3]);
        let (text, name) = (self.text(), user_id(user));
        let seq = self.next_seq();
        let patience = self.patience();
        let traits = props! { "n" => n, "text" => &text[..] };
        let identify = Identify::new(&name).traits(traits).email("ada@example.com");
        let mut said = Said::new(seq, false, Subject::User(user), self.visitor);
        said.says = self.tokens_of_identify(user);
        let identified =
            self.world.call_for(patience, async |client, now| client.identify(now, &identify).await);
        let ok = identified.as_ref().and_then(|identified| identified.as_ref().ok());
        self.world.ring(ok.is_none_or(|accepted| accepted.wake));
        self.note(format!("identify {n} as {seq}: {identified:?}"));
        match identified {
            Some(Ok(accepted)) => {
                self.set_user(Some(user));
                match (accepted.seq, self.consent.out) {
                    (Some(_), Some(true)) => {
                        return self.violated("I8", format!("{n} was recorded after an opt-out"));
                    }
                    (None, Some(false)) => return self.violated("I6", format!("{n} was not recorded")),
                    (None, _) => return Ok(()),
                    (Some(_), _) => {}
                }
                self.identified(user, n, true);
                said.place = Place::Owed;
                self.accepted(n, said)
            }
            _ => {
                self.seen("identify refused");
                self.users.push(Some(user));
                self.dropped_users.push(Some(user));
                self.identified(user, n, false);
                self.not_accepted(n, said, identified.is_some())
            }
        }
    }

    fn reset(&mut self) -> Result<(), Violation> {
        let patience = self.patience();
        let reset = self.world.call_for(patience, async |client, _| client.reset().await);
        self.note(format!("reset: {reset:?}"));
        self.speech.reset(matches!(reset, Some(Ok(()))));
        if matches!(reset, Some(Ok(()))) {
            self.set_user(None);
            self.visitors += 1;
            self.visitor = Some(self.visitors);
            self.unsure_visitor = M::SYNCS;
            if self.setup.sync_always {
                self.sync();
            }
        } else {
            self.cancelled |= reset.is_none();
            self.users.push(None);
            self.dropped_users.push(None);
            // It may have got half way.
            self.visitor = None;
        }
        Ok(())
    }

    fn set_user(&mut self, user: Option<u8>) {
        self.user = user;
        if !M::SYNCS {
            self.users.clear();
        }
        self.users.push(user);
    }

    /// An operation was accepted; under `Fsync::Always` it is so only once it is durable.
    pub(super) fn accepted(&mut self, n: u64, mut said: Said) -> Result<(), Violation> {
        self.seen("accepted");
        said.durable = !M::SYNCS;
        self.model.say(n, said);
        self.check_call(n)?;
        if M::SYNCS && self.setup.sync_always {
            self.sync();
        }
        Ok(())
    }

    pub(super) fn sync(&mut self) {
        if !M::SYNCS || !self.world.is_free() {
            return;
        }
        let choices = self.choices.clone();
        let synced = self.world.with_storage(|medium, storage| {
            medium.background(storage, &choices);
            M::sync(storage)
        });
        self.note(format!("sync: {synced}"));
        if synced {
            self.model.synced(!self.setup.medium_faults);
            self.users = vec![self.user];
            self.users.extend(self.dropped_users.iter().copied());
            self.unsure_visitor = false;
            self.consent.synced();
        } else {
            self.seen("sync failed");
        }
    }

    fn flush(&mut self) {
        self.world.call(async |client, _| {
            let _not_waited_for = client.flush();
        });
        self.server.borrow_mut().excused = true;
        self.world.ring(true);
    }

    fn wipe(&mut self) -> Result<(), Violation> {
        if !self.world.is_resting() || self.world.network().due().is_some() {
            return Ok(());
        }
        self.check_wipe()
    }

    /// Time passes in the steps in which things are due, and everything is checked at each.
    pub(super) fn wait(&mut self, ms: u64) -> Result<(), Violation> {
        let end = self.world.now().instant.after(Duration::from_millis(ms));
        self.world.step();
        self.settle()?;
        // A long sleep with a short interval is cut short: the device slept on.
        for _ in 0..STOPS_MAX {
            if self.world.now().instant >= end || self.world.medium().is_off() {
                return Ok(());
            }
            self.world.advance_once(end);
            self.settle()?;
        }
        let rest = end.since(self.world.now().instant);
        self.world.clock().advance(u64::try_from(rest.as_millis()).unwrap_or(0));
        self.world.step();
        self.settle()?;
        Ok(())
    }

    fn set_clock(&mut self) {
        let truth = self.server.borrow().utc();
        let year = |years: i64| Some(truth.saturating_add(years.saturating_mul(YEAR_MS)));
        let utc = self.choices.one_of(&[
            Some(truth),
            None,
            Some(truth.saturating_add(1000)),
            Some(truth.saturating_sub(3_600_000)),
            year(1),
            year(-1),
            year(-50),
            year(50),
            Some(0),
            Some(i64::MAX),
            Some(i64::MIN),
        ]);
        self.note(format!("clock {utc:?}"));
        self.seen("clock jump");
        self.world.clock().set_utc(utc);
    }

    /// Everything works again.
    pub(super) fn heal(&mut self) -> Result<(), Violation> {
        self.note("heal");
        self.world.faults().set(Rates::default());
        self.world.medium().heal();
        self.faulty = false;
        {
            let server = &mut *self.server.borrow_mut();
            server.weather = super::setup::Weather::Fair;
            server.body_limit = None;
            server.lying_dates = false;
        }
        let truth = self.server.borrow().utc();
        self.world.clock().set_utc(Some(truth));
        if self.world.medium().is_off() {
            self.die(true)?;
        }
        // Woken, it takes stock of what dropped calls have done.
        self.world.ring(true);
        self.world.step();
        self.settle()?;
        self.world.call(async |client, _| Client::resume(client));
        self.paused = false;
        self.world.ring(true);
        self.drain()?;
        // Whoever opts in again is heard again.
        self.opt_in()?;
        if self.consent.out != Some(false) {
            return self.violated("L1", "opting in fails although nothing does".to_owned());
        }
        self.set_token()?;
        self.drain()
    }
}

pub(super) fn user_id(user: u8) -> String {
    format!("user_{user}")
}
