//! The half of the client that the run loop drives: what to send, and what became of it.

use core::time::Duration;

use super::{Client, Now};
use crate::batch::{Batch, Plan};
use crate::clock::{Instant, UtcMillis};
use crate::counters::add;
use crate::dating::{Dating, Source};
use crate::delivery::{Action, Exit};
use crate::fetch::Fetched;
use crate::ledger::Leaving;
use crate::notice::Notice;
use crate::opt_out::OptOut;
#[cfg(whisperr_planted)]
use crate::planted::{self, Bug};
use crate::queue::Change;
use crate::record::Moment;
use crate::storage::{Fault, Seq, SeqRange, Storage, Stored};
use crate::transport::Reply;

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
    pub(crate) expired_before: Option<UtcMillis>,
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
        PlanStart { from: self.queue.head(), wipes: self.wipes, expired_before: self.expired_before(now) }
    }

    /// Copies the next operations out and pins them: none is evicted before the batch stands.
    pub(crate) async fn fetch_for_plan(
        &mut self,
        from: Seq,
        buffer: &mut [u8],
    ) -> Result<Fetched, Fault<S::Error>> {
        let fetched = Fetched::read(&mut self.storage, from, Seq::LAST, buffer).await?;
        if let Some(last) = fetched.last() {
            let first = self.pinned.map_or(from, |pinned| pinned.first);
            self.pinned = Some(SeqRange { first, last });
        }
        Ok(fetched)
    }

    /// Copies operations of a batch out.
    pub(crate) async fn fetch(
        &mut self,
        from: Seq,
        last: Seq,
        buffer: &mut [u8],
    ) -> Result<Fetched, Fault<S::Error>> {
        Fetched::read(&mut self.storage, from, last, buffer).await
    }

    /// Takes an operation that cannot be decoded out of the queue.
    pub(crate) async fn set_aside(&mut self, wipes: u32, stored: Stored) -> Result<(), Fault<S::Error>> {
        if wipes != self.wipes {
            return Ok(());
        }
        self.forget_carried(|carrier| carrier == stored.seq).await?;
        self.note_leaving(SeqRange::one(stored.seq), 1, Leaving::Damaged).await;
        let moved = self.queue.set_aside(&mut self.storage, stored).await;
        self.note_changes();
        moved
    }

    /// Takes an event that the server would not take any more out of the queue.
    pub(crate) async fn expire(&mut self, wipes: u32, seq: Seq) -> Result<(), Fault<S::Error>> {
        if wipes != self.wipes {
            return Ok(());
        }
        self.note_leaving(SeqRange::one(seq), 1, Leaving::Expired).await;
        let removed = self.queue.forget(&mut self.storage, Change::Expire, SeqRange::one(seq)).await;
        self.note_changes();
        removed
    }

    /// Learns when the boot started in which something happened, once that can be known. It is
    /// written down first, so that a date that was sent stays. Only a storage without room, which
    /// gets some by delivering, is no reason to wait.
    pub(crate) async fn learn_date(&mut self, moment: Moment) -> Result<(), Fault<S::Error>> {
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

    pub(crate) fn handle_sending(&mut self, now: Now, plan: &Plan, wipes: u32) -> Option<Batch> {
        if wipes != self.wipes {
            // What was walked through is deleted.
            return None;
        }
        self.pinned = plan.batch().map(|batch| batch.range());
        match plan.batch() {
            Some(batch) => {
                self.delivery.handle_sending(now.instant, batch);
                Some(batch)
            }
            None => {
                self.delivery.handle_unsendable(now.instant);
                None
            }
        }
    }

    /// Whether the attempt under way is over: its time is up, or the client stops.
    pub(crate) fn must_abandon(&self, now: Now) -> bool {
        self.delivery.is_stopped() || self.delivery.sending_until().is_none_or(|until| now.instant >= until)
    }

    pub(crate) const fn sending_until(&self) -> Option<Instant> {
        self.delivery.sending_until()
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
        if self.sending_until().is_some() {
            self.handle_storage_fault(now);
        }
    }

    pub(crate) fn handle_storage_fault(&mut self, now: Now) {
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
            self.note_leaving(batch.range(), batch.count.into(), how).await;
            removed = self.queue.forget(&mut self.storage, Change::Settle, batch.range()).await;
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
