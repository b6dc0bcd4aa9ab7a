//! The half of the client that the run loop drives: what to send, and what became of it.

use core::time::Duration;

use super::{Client, Now};
use crate::batch::{Batch, Plan};
use crate::clock::{Instant, UtcMillis};
use crate::counters::add;
use crate::dating::{Dating, Source};
use crate::delivery::{Action, Exit};
use crate::fetch::Fetched;
use crate::kept::Trouble;
use crate::ledger::Leaving;
use crate::notice::Notice;
use crate::opt_out::OptOut;
#[cfg(whisperr_planted)]
use crate::planted::{self, Bug};
use crate::queue::Change;
use crate::record::{Kind, Moment, Record};
use crate::storage::{Fault, Seq, SeqRange, Storage, Stored};
use crate::transport::Reply;
use crate::wire;

/// How long the server takes an event (contract, section 2).
const WINDOW: Duration = Duration::from_secs(30 * 86_400);

/// Clocks that are this many milliseconds apart agree.
const CLOCKS_APART_MAX: u64 = 86_400_000;

/// Where and how the forming of a batch starts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlanStart {
    pub(crate) from: Seq,
    /// How often everything was deleted before.
    pub(crate) wipes: u32,
    /// Events dated before this are not sent any more.
    expired_before: Option<UtcMillis>,
    /// What is known of the dates of undated events.
    pub(crate) dating: Dating,
}

/// What a stored operation is to a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Judgement {
    /// Its JSON has so many bytes.
    Fits { kind: Kind, bytes: usize },
    /// Something keeps it out.
    Not(Hindrance),
}

/// Why an operation is not part of a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Hindrance {
    /// It cannot be decoded, or not be written as JSON.
    Bad,
    /// The server would not take it any more.
    Expired,
    /// Nobody knows yet when this was.
    Undated(Moment),
}

impl PlanStart {
    /// Looks at an operation. This takes a while, and no lock is held meanwhile.
    pub(crate) fn judge(&self, record: &[u8]) -> Judgement {
        let Ok(record) = Record::decode(record) else { return Judgement::Not(Hindrance::Bad) };
        if let Record::Track(track) = record {
            let Some((date, estimated)) = self.dating.date(track.moment) else {
                return Judgement::Not(Hindrance::Undated(track.moment));
            };
            if !estimated && self.expired_before.is_some_and(|oldest| date < oldest) {
                return Judgement::Not(Hindrance::Expired);
            }
        }
        match wire::count(&record, &self.dating) {
            Some(bytes) => Judgement::Fits { kind: record.kind(), bytes },
            None => Judgement::Not(Hindrance::Bad),
        }
    }
}

impl<S: Storage, B: AsMut<[u8]>> Client<S, B> {
    /// What the runner does next.
    pub(crate) async fn poll(&mut self, now: Now) -> Action {
        self.learn_time(now);
        let damaged = self.storage.take_damaged();
        if damaged > 0 {
            self.queue.mark_stale();
            self.note_damaged(damaged);
        }
        let mut ready = self.queue.refresh(&mut self.storage).await;
        if damaged > 0 && ready.is_ok() {
            ready = self.check_carrier().await;
        }
        if self.opt_out == OptOut::Begun && ready.is_ok() {
            // Until this is done, nothing is sent.
            ready = self.resume_opt_out(now).await;
        }
        if ready.is_err() {
            self.delivery.handle_storage_fault(now.instant);
        }
        self.note_changes();
        let action = self.delivery.poll(now.instant, self.queue.owed());
        match (action, self.opt_out_due(now)) {
            // Nothing is sent before the deletion, and it is not waited for without end.
            (Action::Wait { .. } | Action::Send(_), Some(due)) => Action::Wait { until: Some(due) },
            _ => action,
        }
    }

    /// Counts what came and went, and surfaces what was not delivered; returns whether the driver
    /// must be woken for that.
    pub(super) fn note_changes(&mut self) -> bool {
        let changes = self.queue.take_changes();
        add(&mut self.counters.accepted, changes.accepted);
        add(&mut self.counters.evicted, changes.evicted);
        add(&mut self.counters.expired, changes.expired);
        add(&mut self.counters.deleted, changes.deleted);
        let mut wake =
            changes.evicted > 0 && self.delivery.add_notice(Notice::Evicted { count: changes.evicted });
        wake |= changes.expired > 0 && self.delivery.add_notice(Notice::Expired { count: changes.expired });
        self.note_damaged(changes.damaged);
        wake
    }

    pub(super) fn note_damaged(&mut self, count: u32) {
        if count > 0 {
            add(&mut self.counters.damaged, count);
            self.delivery.add_notice(Notice::Damaged { count });
        }
    }

    /// Starts forming a batch at the oldest operation.
    pub(crate) fn start_plan(&mut self, now: Now) -> PlanStart {
        self.pinned = None;
        PlanStart {
            from: self.queue.head(),
            wipes: self.wipes,
            expired_before: self.expired_before(now),
            dating: self.boot.dating,
        }
    }

    /// Copies the next operations out and pins them: none is evicted before the batch stands.
    pub(crate) async fn fetch_for_plan(&mut self, from: Seq, buffer: &mut [u8]) -> Result<Fetched, Trouble> {
        let fetched = Fetched::read(&mut self.storage, from, Seq::LAST, buffer).await?;
        if let Some(last) = fetched.last() {
            let first = self.pinned.map_or(from, |pinned| pinned.first);
            self.pinned = Some(SeqRange { first, last });
        }
        Ok(fetched)
    }

    /// Copies operations of a batch out.
    pub(crate) fn fetch<'a>(
        &'a mut self,
        from: Seq,
        last: Seq,
        buffer: &'a mut [u8],
    ) -> impl Future<Output = Result<Fetched, Trouble>> + 'a {
        Fetched::read(&mut self.storage, from, last, buffer)
    }

    /// Takes what keeps an operation out of the batch, or the operation, out of the way; returns what is known of
    /// dates then.
    pub(crate) async fn clear(
        &mut self,
        wipes: u32,
        stored: Stored,
        hindrance: Hindrance,
    ) -> Result<Dating, Trouble> {
        match hindrance {
            Hindrance::Undated(moment) => self.learn_date(moment).await?,
            // What was walked through is deleted.
            _ if wipes != self.wipes => {}
            Hindrance::Expired => self.take_out(stored, Leaving::Expired).await?,
            Hindrance::Bad => self.take_out(stored, Leaving::Damaged).await?,
        }
        Ok(self.boot.dating)
    }

    async fn take_out(&mut self, stored: Stored, how: Leaving) -> Result<(), Trouble> {
        self.forget_carried(|carrier| carrier == stored.seq).await?;
        let range = SeqRange::one(stored.seq);
        let gone = match how {
            Leaving::Damaged => {
                self.note_leaving(range, 1, how).await;
                self.queue.set_aside(&mut self.storage, stored).await
            }
            _ => self.leave(range, 1, how, Change::Expire).await,
        };
        self.note_changes();
        gone
    }

    /// Learns when the boot started in which something happened, once that can be known. It is
    /// written down first, so that a date that was sent stays. Only a storage without room, which
    /// gets some by delivering, is no reason to wait.
    async fn learn_date(&mut self, moment: Moment) -> Result<(), Trouble> {
        let own = self.started.map(|started| (started, Source::Clock));
        let started = own.or(self.started_by_server.map(|started| (started, Source::Server)));
        if let (None, Moment::Boot { boot, .. }, Some((started, source))) =
            (self.boot.dating.date(moment), moment, started)
        {
            // An earlier boot never learnt the time; the start of this one is the best bound there is.
            let source = if boot == self.boot.number { source } else { Source::LaterBoot };
            let mut learnt = self.boot;
            learnt.dating.learn(boot, started, source);
            match learnt.store(&mut self.storage).await {
                Ok(()) | Err(Fault::Full) => self.boot = learnt,
                Err(fault) => return Err(fault),
            }
        }
        Ok(())
    }

    /// Events before this are too old for the server. Only two clocks that agree expire one, the
    /// server's and the device's: either alone may be wrong by years, and a proxy's `Date` is not
    /// the server's.
    fn expired_before(&self, now: Now) -> Option<UtcMillis> {
        #[cfg(whisperr_planted)]
        if planted::is(Bug::ExpireByDevice) {
            return now.utc.map(|utc| utc.before(WINDOW));
        }
        let (server, device) = self.delivery.server_time(now.instant).zip(now.utc)?;
        let apart = server.get().abs_diff(device.get());
        (apart <= CLOCKS_APART_MAX).then(|| server.min(device).before(WINDOW))
    }

    /// The walk is over: returns what is to be sent, and until when that may take.
    pub(crate) fn handle_plan(
        &mut self,
        now: Now,
        walked: Result<(), Trouble>,
        plan: &Plan,
        wipes: u32,
    ) -> Option<(Batch, Instant)> {
        if walked.is_err() {
            self.handle_storage_fault(now);
            return None;
        }
        if wipes != self.wipes {
            // What was walked through is deleted.
            return None;
        }
        self.pinned = plan.batch().map(|batch| batch.range());
        match plan.batch() {
            Some(batch) => self.delivery.handle_sending(now.instant, batch),
            None => self.delivery.handle_unsendable(now.instant),
        }
        plan.batch().zip(self.delivery.sending_until())
    }

    /// Whether the attempt under way is over: its time is up, or the client stops.
    pub(crate) fn must_abandon(&self, now: Now) -> bool {
        self.delivery.is_stopped() || self.delivery.sending_until().is_none_or(|until| now.instant >= until)
    }

    pub(crate) fn handle_reply(&mut self, now: Now, reply: Option<Reply>) {
        if let Some(reply) = &reply {
            self.learn_server_time(now, reply);
        }
        self.delivery.handle_reply(now.instant, now.utc, reply);
        self.pinned = self.delivery.in_flight().map(|batch| batch.range());
    }

    /// The body of the request could not be read.
    pub(crate) fn handle_unreadable(&mut self, now: Now) {
        // Nothing is wrong with the storage when it was deleted meanwhile.
        if self.delivery.sending_until().is_some() {
            self.handle_storage_fault(now);
        }
    }

    fn handle_storage_fault(&mut self, now: Now) {
        self.pinned = None;
        self.delivery.handle_storage_fault(now.instant);
    }

    /// Removes the operations of a settled batch.
    pub(crate) async fn remove(&mut self, now: Now, batch: Batch) {
        let mut removed = Ok(());
        if let Some(Exit::Dropped { .. }) = self.delivery.exit() {
            // Before the operation goes: a crash between the two sends it again.
            removed = self.forget_carried(|carrier| batch.range().contains(carrier)).await;
        }
        if removed.is_ok() {
            let how = match self.delivery.exit() {
                Some(Exit::Acknowledged { rejected }) => Leaving::Acknowledged { rejected },
                _ => Leaving::Dropped,
            };
            removed = self.leave(batch.range(), batch.count.into(), how, Change::Settle).await;
        }
        if removed.is_ok() {
            self.note_farewell(batch.range()).await;
        }
        let Some(exit) = self.delivery.handle_removed(now.instant, removed.is_ok()) else { return };
        self.pinned = None;
        let operations = self.queue.take_settled();
        match exit {
            Exit::Acknowledged { rejected } => {
                add(&mut self.counters.acknowledged, operations);
                add(&mut self.counters.rejected, rejected);
            }
            Exit::Dropped { .. } => add(&mut self.counters.dropped, operations),
        }
    }

    pub(crate) const fn dating(&self) -> Dating {
        self.boot.dating
    }
}
