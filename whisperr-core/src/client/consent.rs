//! Opting out of being recorded, and in again (contract, section 8).

use super::{Accepted, Client, EnqueueError, Now, Refusal};
use crate::clock::Instant;
use crate::kept::Trouble;
use crate::ledger::Leaving;
use crate::opt_out::OptOut;
#[cfg(whisperr_planted)]
use crate::planted::{self, Bug};
use crate::storage::{Fault, Seq, SeqRange, Storage};

impl<S: Storage, B: AsMut<[u8]>> Client<S, B> {
    /// Records nothing any more, and deletes what is queued: from the medium too, by
    /// [`Storage::wipe`]. Nothing that was queued is sent again; a request that is out already cannot be
    /// taken back. The one word still sent opts out the push token that was delivered. The choice
    /// survives restarts, and a crash at any point of this call.
    ///
    /// # Errors
    /// See [`EnqueueError`]. Nothing is recorded or sent from here on all the same, and the runner goes
    /// on with the deletion until it is done.
    pub async fn opt_out(&mut self, now: Now) -> Result<Accepted, EnqueueError<S::Error>> {
        self.learn_time(now);
        if self.opt_out.is_done() {
            return Ok(Accepted::default());
        }
        // Before anything is waited for: whoever drops this call has opted out.
        self.opt_out = OptOut::Begun;
        let accepted = self.finish_opt_out(now).await;
        self.answer(accepted)
    }

    /// Records again. The push token has to be set again.
    ///
    /// # Errors
    /// See [`EnqueueError`]: the user is then still opted out.
    pub async fn opt_in(&mut self, now: Now) -> Result<Accepted, EnqueueError<S::Error>> {
        self.learn_time(now);
        let accepted = self.undo_opt_out(now).await;
        self.answer(accepted)
    }

    async fn undo_opt_out(&mut self, now: Now) -> Result<Accepted, Refusal> {
        let mut accepted = Accepted::default();
        if self.opt_out == OptOut::Begun {
            accepted = self.finish_opt_out(now).await?;
        }
        if self.opt_out.is_done() {
            self.push.forget(&mut self.storage).await?;
            OptOut::No.store(&mut self.storage).await?;
            self.opt_out = OptOut::No;
        }
        Ok(accepted)
    }

    /// Whether the user has opted out: then nothing is recorded.
    #[must_use]
    pub fn is_opted_out(&self) -> bool {
        self.opt_out != OptOut::No
    }

    /// Goes on with an opt-out that is not done. Every step may be taken twice, and the choice is
    /// written down first and once more at the end.
    pub(super) async fn finish_opt_out(&mut self, now: Now) -> Result<Accepted, Refusal> {
        self.identity.drop_held();
        #[cfg(whisperr_planted)]
        if planted::is(Bug::SendAfterOptOut) {
            return Ok(self.finish(None).await.map(|()| Accepted::default())?);
        }
        self.pinned = None;
        self.wipes = self.wipes.wrapping_add(1);
        self.delivery.handle_wiped();
        let noted = match OptOut::Begun.store(&mut self.storage).await {
            Ok(()) => true,
            // What is to be deleted is in the way: a crash before there is room has deleted it, and nothing else.
            Err(Fault::Full) => false,
            Err(fault) => return Err(fault.into()),
        };
        // What cannot be summed up can be deleted.
        let _summed = self.queue.refresh(&mut self.storage).await;
        // What is accepted from here on is not among it.
        let last = Seq::new(self.storage.next_seq().get().saturating_sub(1));
        self.note_leaving(SeqRange { first: Seq::FIRST, last }, self.queue.owed(), Leaving::Deleted).await;
        let wiped = self.queue.wipe(&mut self.storage).await;
        self.note_changes();
        wiped?;
        if !noted {
            OptOut::Begun.store(&mut self.storage).await?;
            // The deletion has made durable what was written before it, and this came after.
            self.storage.persist().await?;
        }
        let accepted = self.say_farewell(now).await?;
        self.finish(accepted.seq).await?;
        Ok(accepted)
    }

    async fn finish(&mut self, farewell: Option<Seq>) -> Result<(), Trouble> {
        let done = OptOut::Done { farewell };
        #[cfg(whisperr_planted)]
        if planted::is(Bug::OptOutInMemory) {
            self.opt_out = done;
            return OptOut::No.store(&mut self.storage).await;
        }
        done.store(&mut self.storage).await?;
        self.opt_out = done;
        Ok(())
    }

    /// Tells the server that the token which was delivered is not to be used. It is remembered until that is
    /// done: a power cut may leave the choice and not this operation, which is then said again.
    async fn say_farewell(&mut self, now: Now) -> Result<Accepted, Refusal> {
        match self.opt_token_out(now).await {
            Err(EnqueueError::Storage(fault)) => Err(EnqueueError::Storage(fault)),
            // On a device with small records a long token cannot be told. That must not keep anything here.
            told => Ok(told.unwrap_or_default()),
        }
    }

    /// Operations left the queue: the farewell may have been among them.
    pub(super) async fn note_farewell(&mut self, gone: SeqRange) {
        if self.opt_out.farewell().is_some_and(|seq| gone.contains(seq)) {
            // Where this fails, it is said once more after the next start.
            let _forgotten = self.push.forget(&mut self.storage).await;
        }
    }

    /// When an opt-out that is not done is tried again.
    pub(super) fn opt_out_due(&self, now: Now) -> Option<Instant> {
        let later = now.instant.after(self.delivery.config().retry_base_delay);
        (self.opt_out == OptOut::Begun).then(|| self.delivery.resumes_at().unwrap_or(later))
    }

    /// What a crash left of an opt-out.
    pub(super) async fn resume_opt_out(&mut self, now: Now) -> Result<(), Trouble> {
        let (owed, head) = (self.queue.owed(), self.queue.head());
        let resumed = match self.opt_out {
            OptOut::No => return Ok(()),
            OptOut::Done { farewell } if owed == 1 && farewell == Some(head) => return Ok(()),
            OptOut::Done { .. } if owed == 0 && self.push.carrier().is_none() => return Ok(()),
            OptOut::Done { .. } if owed == 0 => match self.say_farewell(now).await {
                Ok(told) => return self.finish(told.seq).await,
                refused => refused,
            },
            // A power cut took an opt-in, and left what was said after it.
            OptOut::Done { .. } => {
                self.opt_out = OptOut::Begun;
                self.finish_opt_out(now).await
            }
            OptOut::Begun => self.finish_opt_out(now).await,
        };
        match resumed {
            Err(EnqueueError::Storage(fault)) => Err(fault),
            _ => Ok(()),
        }
    }
}
