//! What must hold after every step, after a restart, and at the end.

use core::time::Duration;
use std::collections::{BTreeSet, HashMap, HashSet};

use whisperr_core::{Notice, Storage, Waiting, ready};

use super::content::check_content;
use super::model::{Exit, FAREWELL, Place, delta};
use super::{Being, Violation, numbers};
use crate::choices::Choices;
use crate::faulty::Rates;
use crate::medium::Medium;

/// How often a start is tried that faults may stop.
const STARTS_MAX: u32 = 6;

impl<M: Medium> Being<M> {
    /// Takes what replies settled, and explains everything that left the queue.
    pub(super) fn settle(&mut self) -> Result<(), Violation> {
        self.take_replies();
        self.settle_consent();
        if let Some(violation) = self.server.borrow_mut().violation.take() {
            return Err(violation);
        }
        if !self.world.is_free() {
            return Ok(());
        }
        // A walk through the queue only when the client says that something changed; after every
        // action it is taken in any case.
        if self.world.status().counters == self.model.counters { Ok(()) } else { self.look(None) }
    }

    fn take_replies(&mut self) {
        let server = self.server.borrow();
        for index in self.world.network().take_answered() {
            let Some(sent) = server.sent.get(index) else { continue };
            let exit = match sent.status {
                Some(200..300) => Exit::Acknowledged,
                Some(400 | 413 | 422) if sent.carried.len() > 1 => continue,
                Some(401 | 403 | 429) => continue,
                Some(400..500) => Exit::Dropped,
                _ => continue,
            };
            for n in &sent.carried {
                let n = if *n == FAREWELL { self.model.farewell() } else { *n };
                self.model.settled.insert(n, exit);
            }
        }
    }

    /// Directly after a call, before the runner went on: whatever left was evicted for `n`.
    pub(super) fn check_call(&mut self, n: u64) -> Result<(), Violation> {
        if self.world.faults().rates().slow > 0 {
            // The runner went on while the call waited.
            return self.settle();
        }
        self.look(Some(n))
    }

    pub(super) fn look_when_free(&mut self) -> Result<(), Violation> {
        if self.world.is_free() { self.look(None) } else { Ok(()) }
    }

    fn look(&mut self, call: Option<u64>) -> Result<(), Violation> {
        if self.is_unread() {
            return Ok(());
        }
        let stored = self.stored();
        let status = self.world.status();
        let farewell = self.model.settled.get(&FAREWELL).copied();
        let mut left = self.model.look(stored)?;
        let changed = delta(&self.model.counters, &status.counters);
        self.model.counters = status.counters;
        let count = |exit: Exit| changed.iter().find(|(of, _)| *of == exit).map_or(0, |(_, count)| *count);
        // What a dropped call left behind may have come and gone unseen.
        let mut unseen = core::mem::take(&mut self.dropped_calls);
        let mut deleted = count(Exit::Deleted);
        for exit in [Exit::Acknowledged, Exit::Dropped] {
            let mut settled = left.settled.iter().filter(|of| **of == exit).count() as u64;
            // Answered, and deleted before it was removed for that.
            let instead = settled.saturating_sub(count(exit)).min(deleted);
            settled -= instead;
            deleted -= instead;
            let own = left.unexplained.iter().position(|n| *n >= FAREWELL);
            if count(exit) > settled && (farewell == Some(exit) || own.is_some()) {
                // The client's own word came and went between two looks, perhaps in place of one that was deleted.
                settled += 1;
                self.model.settled.remove(&FAREWELL);
                if let Some(own) = own {
                    let own = left.unexplained.remove(own);
                    self.model.leave(own, exit);
                }
            }
            let more = count(exit).checked_sub(settled).and_then(|more| unseen.checked_sub(more));
            if let Some(rest) = more {
                unseen = rest;
            } else {
                let (counted, settled_here) = (count(exit), &self.model.settled);
                let detail = format!(
                    "{settled} left {exit:?}, {counted} counted: {left:?}, answered {settled_here:?}"
                );
                return self.violated("I6", detail);
            }
        }
        let others = [Exit::Evicted, Exit::Expired, Exit::Damaged];
        let surfaced = others.iter().map(|exit| count(*exit)).sum::<u64>();
        let unexplained = left.unexplained.len() as u64;
        if self.model.farewell_below > 0 {
            // An opt-out that is begun anew deletes the client's own word, which nobody has seen.
            deleted = deleted.min(unexplained.saturating_sub(surfaced));
        }
        let surfaced = surfaced + deleted;
        if unexplained > surfaced || surfaced > unexplained.saturating_add(unseen) {
            let detail = format!("{:?} left without a reply; counted: {changed:?}", left.unexplained);
            let invariant = if unexplained > surfaced { "I1" } else { "I6" };
            return self.violated(invariant, detail);
        }
        if count(Exit::Damaged) > 0 && !self.rotten {
            return self.violated("I1", format!("{} damaged, and nothing rots", count(Exit::Damaged)));
        }
        let mut expired = count(Exit::Expired);
        for n in left.unexplained {
            let is_event = self.model.said.get(&n).is_none_or(|said| said.event);
            if !is_event && count(Exit::Deleted) > 0 {
                self.model.leave(n, Exit::Deleted);
            } else if expired > 0 && self.may_expire(n) {
                expired -= 1;
                self.seen("expired");
                self.model.leave(n, Exit::Expired);
            } else if count(Exit::Evicted) > 0 && deleted == 0 {
                self.check_evicted(n, call)?;
                self.model.leave(n, Exit::Evicted);
            } else if count(Exit::Damaged) > 0 {
                self.model.leave(n, Exit::Damaged);
            } else if deleted > 0 && self.consent.was_out {
                self.model.leave(n, Exit::Deleted);
            } else {
                return self.violated("I8", format!("{n} expired, but it is not too old"));
            }
        }
        if !M::SYNCS {
            self.model.synced(true);
        }
        if self.consent.out == Some(false) {
            // Whatever an opt-out has led to was seen.
            self.consent.may_delete = false;
            self.model.farewell_below = 0;
        }
        if status.counters.owed() != u64::from(status.owed) {
            return self.violated("I6", format!("{} owed, {:?}", status.owed, status.counters));
        }
        let ledger = self.world.with(|client| client.ledger());
        let exits = [ledger.acknowledged, ledger.dropped, ledger.evicted, ledger.expired, ledger.deleted];
        let left = exits.iter().sum::<u64>().saturating_add(ledger.damaged);
        if ledger.accepted != left.saturating_add(ledger.owed) {
            return self.violated("I6", format!("the ledger does not add up: {ledger:?}"));
        }
        if self.model.stored.len() as u64 != u64::from(status.owed) {
            let detail = format!("{} owed, {} stored", status.owed, self.model.stored.len());
            return self.violated("I6", detail);
        }
        Ok(())
    }

    /// Whether the server would refuse this event as too old, with a day for clocks that differ.
    fn may_expire(&self, n: u64) -> bool {
        let Some(said) = self.model.said.get(&n) else { return false };
        let truth = self.server.borrow().utc();
        let device = self.world.now().utc.map_or(truth, |utc| utc.get());
        let wrong_clock = device.abs_diff(truth) > 80_000_000;
        // A clock that is wrong and a reply that agrees with it are one witness too many.
        let fooled = wrong_clock && self.setup.lying_dates;
        let old = said.utc.is_none_or(|utc| utc < truth.saturating_sub(86_400_000 * 29));
        said.event && (old || fooled)
    }

    /// Only the oldest event that is not on its way makes room, and only when room is short.
    fn check_evicted(&mut self, n: u64, call: Option<u64>) -> Result<(), Violation> {
        self.seen("evicted");
        let Some(said) = self.model.said.get(&n) else { return Ok(()) };
        if !said.event {
            return self.violated("I7", format!("the identify {n} was evicted"));
        }
        let Some(_) = call else { return Ok(()) };
        let server = self.server.borrow();
        let under_way = self.world.network().due().and_then(|_| server.sent.last());
        let on_its_way = |n: u64| {
            self.model.settled.contains_key(&n) || under_way.is_some_and(|sent| sent.carried.contains(&n))
        };
        if on_its_way(n) {
            return self.violated("I7", format!("{n} was evicted in flight"));
        }
        let older = self.model.owed().find(|(older, said)| {
            *older < n && said.event && self.model.stored.contains(&said.seq) && !on_its_way(*older)
        });
        if let Some((older, _)) = older.filter(|_| self.world.is_resting()) {
            return self.violated("I7", format!("{n} was evicted before {older}"));
        }
        let config = self.server.borrow().config;
        let roomy = config.max_queue_bytes > 1 << 20 && !M::SYNCS;
        let roomy = roomy && self.setup.options.storage_bytes > 1 << 16 && self.setup.rates.full == 0;
        let roomy = roomy && !self.setup.long_texts;
        let owed = self.model.stored.len() as u64;
        if roomy && owed.saturating_add(1) < u64::from(config.max_queue_size) {
            return self.violated("I7", format!("{n} was evicted with {owed} owed"));
        }
        Ok(())
    }

    /// After every step.
    pub(super) fn check(&mut self) -> Result<(), Violation> {
        if self.world.is_free() {
            self.look(None)?;
        }
        if !self.world.is_resting() {
            return Ok(());
        }
        let status = self.world.status();
        let config = self.server.borrow().config;
        if status.owed > 0 && !self.paused {
            let longest = config.flush_interval.max(config.max_retry_delay).max(Duration::from_secs(60));
            let longest = longest.saturating_mul(2).saturating_add(config.request_timeout);
            let now = self.world.now().instant;
            match self.world.wakes_at() {
                None => {
                    return self.violated("L2", format!("nothing is scheduled: {status:?}"));
                }
                Some(at) if at.since(now) > longest => {
                    return self.violated("L2", format!("the next step is {:?} away", at.since(now)));
                }
                Some(_) => {}
            }
        }
        if status.waiting == Waiting::Idle && status.owed > 0 {
            return self.violated("L2", "idle although something is owed".to_owned());
        }
        Ok(())
    }

    /// What a power cut at this moment would leave, without one.
    pub(super) fn look_at_a_cut(&mut self) -> Result<(), Violation> {
        let choices = self.choices.clone();
        for _ in 0..choices.one_of(&[1, 2, 4]) {
            let mut copy = self.world.medium().after_cut(&choices);
            self.log.borrow_mut().cuts += 1;
            if choices.percent(30) {
                // The power goes again while the queue is opened.
                copy.plan_cut(&choices);
                let _may_die = copy.open().map(|mut storage| numbers_if_readable(&mut storage));
                copy = copy.after_cut(&choices);
                self.log.borrow_mut().cuts += 1;
                self.seen("cut during recovery");
            }
            let found = self.open_copy(&mut copy)?;
            let again = self.open_copy(&mut copy)?;
            if found != again {
                return self.violated("I10", format!("opened as {found:?} and then as {again:?}"));
            }
            let lost = self.model.owed().find(|(_, said)| said.durable && !found.contains(&said.seq));
            if let Some((n, said)) =
                lost.filter(|_| !self.rotten && !self.in_doubt() && !self.consent.may_delete)
            {
                return self.violated("I1", format!("{n} (record {}) was durable and is lost", said.seq));
            }
            let back = found.iter().find_map(|seq| self.model.gone_at(*seq));
            if let Some(n) = back.filter(|_| !self.rotten) {
                return self.violated("I10", format!("{n} was durably removed and is back"));
            }
        }
        Ok(())
    }

    /// Something leaves the queue at this moment, in a call that is not over.
    fn in_doubt(&self) -> bool {
        !self.world.is_free()
            || !self.model.settled.is_empty()
            || self.is_unread()
            || self.consent.out.is_none()
    }

    /// What a dropped call has done is found out once the request under way is over and the storage
    /// can be read again.
    pub(super) fn is_unread(&self) -> bool {
        let may_not_read = self.world.faults().rates().read > 0 || (self.faulty && self.setup.medium_faults);
        self.cancelled && (may_not_read || self.world.network().due().is_some())
    }

    fn open_copy(&self, copy: &mut M) -> Result<BTreeSet<u64>, Violation> {
        match copy.open() {
            Ok(mut storage) => Ok(numbers(&mut storage)),
            Err(error) => self.violated("I10", format!("it does not open: {error}")),
        }
    }

    /// On a copy: after a wipe nothing of any operation can be read from the medium.
    pub(super) fn check_wipe(&mut self) -> Result<(), Violation> {
        self.seen("wiped");
        let mut copy = self.world.medium().after_cut(&Choices::recorded(&[]));
        let Ok(mut storage) = copy.open() else {
            return self.violated("I10", "a copy does not open".to_owned());
        };
        let next = storage.next_seq();
        let wiped = ready(storage.wipe());
        if !matches!(wiped, Some(Ok(()))) {
            return self.violated("I13", format!("{wiped:?}"));
        }
        let left = numbers(&mut storage);
        let mut raws = vec![copy.raw()];
        raws.push(copy.after_cut(&self.choices).raw());
        for raw in raws {
            if raw.windows(11).any(|bytes| bytes == b"door_opened") {
                return self.violated("I13", "the medium still holds an event after a wipe".to_owned());
            }
        }
        if !left.is_empty() || storage.next_seq() < next {
            return self.violated("I13", format!("{left:?} are left after a wipe"));
        }
        Ok(())
    }

    /// The process dies, with or without the power, and another one starts.
    pub(super) fn die(&mut self, power: bool) -> Result<(), Violation> {
        self.settle()?;
        self.check_notices(false)?;
        let mid_call = !self.world.is_free();
        let rot = self.setup.rot && power && self.choices.percent(30);
        self.note(format!("die, power {power}, mid call {mid_call}, rot {rot}"));
        self.seen(if power { "power cut" } else { "killed" });
        if mid_call {
            self.seen("killed in the middle of a call");
        }
        if self.world.network().due().is_some() {
            self.seen("killed in flight");
        }
        let power = self.start_again(power, rot)?;
        self.paused = false;
        self.told = self.world.notices().len();
        self.server.borrow_mut().restarted();
        let found = self.stored();
        self.dropped_calls = 0;
        let cancelled = core::mem::take(&mut self.cancelled) || mid_call;
        let opted_out = self.world.with(|client| client.is_opted_out());
        match self.model.farewell_below {
            _ if opted_out => self.model.farewell_below = u64::MAX,
            u64::MAX => self.model.farewell_below = 0,
            // Said before an opt-in, and not seen yet.
            _ => {}
        }
        let may_delete = opted_out || self.consent.may_delete;
        let restarted = self.model.restarted(found, power, self.rotten, cancelled, may_delete)?;
        let counters = self.world.status().counters;
        self.model.counters = counters;
        self.log.borrow_mut().seen.add("undurable lost", restarted.not_durable);
        self.log.borrow_mut().seen.add("unpromised found", restarted.unpromised);
        self.log.borrow_mut().seen.add("removal undone", restarted.revived);
        // What a cut tore is told until the medium has taken note of it, which may be after a kill.
        self.torn |= power && M::SYNCS;
        if counters.damaged > 0 && !self.rotten && !self.torn {
            return self.violated("I1", format!("{} damaged, and nothing rots", counters.damaged));
        }
        let owed = self.model.stored.len() as u64;
        // The start may have gone on with an opt-out.
        let found = owed.saturating_add(counters.damaged).saturating_add(counters.deleted);
        if counters.owed_at_start.saturating_add(counters.accepted) != found {
            return self.violated("I6", format!("{owed} found, {counters:?}"));
        }
        self.speech.restarted(power && M::SYNCS || self.rotten || cancelled);
        self.check_consent(power)?;
        self.check_user(power)
    }

    fn start_again(&mut self, mut power: bool, rot: bool) -> Result<bool, Violation> {
        let choices = self.choices.clone();
        let mut rots = rot;
        for tries in 0..STARTS_MAX {
            if tries > 2 {
                self.world.faults().set(Rates::default());
                self.world.medium().heal();
                self.faulty = false;
            }
            let cut_in_recovery = tries == 0 && power && choices.percent(20);
            let log = std::rc::Rc::clone(&self.log);
            let mut rotten = false;
            let started = self.world.restart(|medium| {
                let log = &mut *log.borrow_mut();
                medium.crash(&choices, power, &mut log.seen);
                log.cuts += u64::from(power);
                if core::mem::take(&mut rots) {
                    rotten = medium.rot(&choices, &mut log.seen);
                }
                if cut_in_recovery {
                    medium.plan_cut(&choices);
                }
            });
            self.rotten |= rotten;
            let off = self.world.medium().is_off();
            self.note(format!("started: {started:?}, off {off}"));
            if off {
                self.seen("cut during recovery");
                power = true;
            } else if started.is_ok() {
                return Ok(power);
            }
        }
        self.violated("I10", "the queue does not open".to_owned())
    }

    fn check_user(&mut self, power: bool) -> Result<(), Violation> {
        let name =
            self.world.call(async |client, _| client.current_user().map(|user| user.as_str().to_owned()));
        let now = name.as_deref().and_then(|name| name.strip_prefix("user_")?.parse().ok());
        let mut legal = if power { self.users.clone() } else { vec![self.user] };
        legal.extend(&self.dropped_users);
        if !legal.contains(&now) && !self.rotten {
            return self.violated("I1", format!("the user is {now:?}, not one of {legal:?}"));
        }
        self.user = now;
        self.users = vec![now];
        self.dropped_users.clear();
        let unsure = core::mem::take(&mut self.unsure_visitor);
        if power && (M::SYNCS || unsure) {
            // Which visitor it is now, only the medium knows.
            self.visitor = None;
        }
        Ok(())
    }

    /// Lets time pass until nothing is owed, and not for ever.
    pub(super) fn drain(&mut self) -> Result<(), Violation> {
        let config = self.server.borrow().config;
        let pause = config.max_retry_delay.saturating_add(config.flush_interval);
        let (before, owed) = (self.server.borrow().sent.len(), self.world.status().owed as usize);
        // A backlog is paced: no request waits longer than the longest pause of the settings.
        let requests = u32::try_from(owed.saturating_mul(2).saturating_add(20)).unwrap_or(u32::MAX);
        let bound = pause.saturating_add(Duration::from_secs(75)).saturating_mul(requests);
        let end = self.world.now().instant.after(bound);
        self.world.step();
        self.settle()?;
        while self.world.status().owed > 0 {
            if self.world.now().instant >= end {
                return self.violated("L1", format!("{:?} after {bound:?}", self.world.status()));
            }
            self.world.advance_once(end);
            self.settle()?;
            if self.world.medium().is_off() {
                return self.violated("I12", "the power was cut by nobody".to_owned());
            }
        }
        let requests = self.server.borrow().sent.len().saturating_sub(before);
        if requests > owed.saturating_mul(12).saturating_add(40) {
            return self.violated("L1", format!("{requests} requests for {owed} operations"));
        }
        Ok(())
    }

    /// Everything that was said is where the counters say.
    pub(super) fn check_all(&mut self) -> Result<(), Violation> {
        self.world.step();
        self.settle()?;
        self.look(None)?;
        self.check_notices(true)?;
        let server = self.server.borrow();
        let mut last = 0;
        let mut visitors: HashMap<u32, String> = HashMap::new();
        for n in &server.arrived {
            let Some(said) = self.model.said.get(n) else {
                return self.violated("I2", format!("{n} was never said"));
            };
            // What the server refused for its date came in its turn, and once more after a kill in between.
            let came_before = server.refused.contains(n);
            if *n < last && !said.revived && !came_before && said.message_id.is_some() {
                return self.violated("I3", format!("{n} arrived behind {last}: {:?}", server.arrived));
            }
            last = last.max(*n);
            if let Some(operation) = server.known.get(n) {
                check_content(*n, said, operation, &mut visitors)
                    .map_err(|detail| Violation { invariant: "I2", detail })?;
            }
        }
        let distinct: HashSet<&String> = visitors.values().collect();
        if distinct.len() != visitors.len() {
            return self.violated("I13", format!("two visitors share an id: {visitors:?}"));
        }
        let installed = server.known.values().filter(|known| known["event_type"] == "app_installed").count();
        if installed > 1 && !self.rotten && !(M::SYNCS && self.torn) {
            return self.violated("I10", format!("{installed} installations"));
        }
        for (n, said) in &self.model.said {
            match said.place {
                Place::Owed => return self.violated("I1", format!("{n} is owed and not stored")),
                Place::Left(Exit::Acknowledged)
                    if *n < FAREWELL && !server.known.contains_key(n) && !server.refused.contains(n) =>
                {
                    return self.violated("I1", format!("{n} counts as acknowledged and never arrived"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Nothing leaves undelivered without a notice that says so; at the end, every one was told.
    fn check_notices(&mut self, all: bool) -> Result<(), Violation> {
        if !self.world.is_free() {
            return Ok(());
        }
        let counters = self.world.status().counters;
        let notices = self.world.notices();
        let mut told = [0_u64; 5];
        for notice in notices.get(self.told..).unwrap_or_default() {
            let (index, count) = match *notice {
                Notice::Dropped { count, .. } => (0, count),
                Notice::Evicted { count } => (1, count),
                Notice::Expired { count } => (2, count),
                Notice::Damaged { count } => (3, count),
                Notice::Rejected { count } => (4, count),
                _ => continue,
            };
            if let Some(sum) = told.get_mut(index) {
                *sum = sum.saturating_add(count.into());
            }
        }
        let counted =
            [counters.dropped, counters.evicted, counters.expired, counters.damaged, counters.rejected];
        // What was answered is told before it is removed, and counted when it is.
        let answered = self.model.settled.len() as u64;
        // Or it is deleted first: its exit is then the deletion.
        let instead = answered.saturating_add(if self.consent.was_out { counters.deleted } else { 0 });
        let within = told.iter().zip(counted).all(|(told, counted)| *told <= counted.saturating_add(instead));
        let all_told = told.iter().zip(counted).all(|(told, counted)| *told >= counted);
        if all && !all_told || !within {
            let names = "dropped, evicted, expired, damaged, rejected";
            return self.violated("I6", format!("{names}: told {told:?}, counted {counted:?}"));
        }
        Ok(())
    }
}

/// What may still be walked when the power goes meanwhile.
fn numbers_if_readable<S: Storage>(storage: &mut S) -> bool {
    matches!(ready(storage.read(whisperr_core::Seq::FIRST, &mut [])), Some(Ok(_)))
}
