//! The one loop, over the three traits and a lock.

use core::ops::DerefMut;
use core::pin::pin;

use embassy_futures::select::{Either, select};
use embedded_io_async::Write;

use crate::batch::{Batch, BatchLimit};
use crate::client::{Client, Now, PlanStep};
use crate::clock::{Clock, Instant};
use crate::dating::Dating;
use crate::delivery::Action;
use crate::notice::Notice;
use crate::record::Record;
use crate::storage::Storage;
use crate::transport::{Body, BodyError, Reply, Transport};
use crate::wire::{self, BATCH_CLOSE, BATCH_OPEN, BATCH_SEPARATOR, Sink, Staged};

/// The lock between the handle and the runner, and the bell that wakes the runner.
#[expect(async_fn_in_trait, reason = "embedded executors have no `Send`; std drives it on one thread")]
pub trait Shared {
    /// The storage behind the lock.
    type Storage: Storage;
    /// The buffer in which operations are encoded.
    type Buffer: AsMut<[u8]>;
    /// Holds the lock until it is dropped.
    type Guard<'a>: DerefMut<Target = Client<Self::Storage, Self::Buffer>>
    where
        Self: 'a;

    /// Takes the lock. It is held for one step of the storage, never for the length of a request.
    async fn lock(&self) -> Self::Guard<'_>;

    /// Returns at `until`, or earlier when the bell rings; without `until`, when it rings. A bell that
    /// rang since the last wait ends this one at once. Returning early for no reason is harmless.
    async fn wait(&self, until: Option<Instant>);
}

/// Delivers what is owed until the client is [stopped](Client::stop).
///
/// `buffer` holds one record at a time and must be as long as the client's own. `notify` is told
/// every [`Notice`]; it must not block for long, since nothing is sent meanwhile.
pub async fn run<L, C, T>(
    shared: &L,
    clock: &C,
    transport: &mut T,
    buffer: &mut [u8],
    mut notify: impl FnMut(Notice),
) where
    L: Shared,
    C: Clock,
    T: Transport,
{
    loop {
        let action = shared.lock().await.poll(Now::read(clock)).await;
        match action {
            Action::Send(limit) => {
                let Some((batch, dating)) = form_batch(shared, clock, limit, buffer).await else { continue };
                let mut body = Records { shared, batch, dating, buffer: &mut *buffer, storage_failed: false };
                let reply = attempt(shared, clock, transport, &mut body).await;
                let storage_failed = body.storage_failed;
                let mut client = shared.lock().await;
                if reply.is_none() && storage_failed {
                    client.handle_storage_fault(Now::read(clock));
                } else {
                    client.handle_reply(Now::read(clock), reply);
                }
            }
            Action::Remove(batch) => shared.lock().await.remove(Now::read(clock), batch).await,
            Action::Notify(notice) => notify(notice),
            Action::Wait { until } => shared.wait(until).await,
            Action::Stop => return,
        }
    }
}

/// Walks from the oldest operation and takes what fits into one request. The lock is free between
/// any two operations.
async fn form_batch<L: Shared, C: Clock>(
    shared: &L,
    clock: &C,
    limit: BatchLimit,
    buffer: &mut [u8],
) -> Option<(Batch, Dating)> {
    let (mut plan, mut from) = shared.lock().await.plan(limit);
    loop {
        let mut client = shared.lock().await;
        match client.plan_next(Now::read(clock), &mut plan, &mut from, buffer).await {
            Ok(PlanStep::Again) => {}
            Ok(PlanStep::Done) => {
                let batch = client.handle_sending(Now::read(clock), &plan)?;
                return Some((batch, client.dating()));
            }
            Err(_) => {
                client.handle_storage_fault(Now::read(clock));
                return None;
            }
        }
    }
}

/// One exchange; `None` when it ends without a reply in its time.
async fn attempt<L: Shared, C: Clock, T: Transport>(
    shared: &L,
    clock: &C,
    transport: &mut T,
    body: &mut Records<'_, L>,
) -> Option<Reply> {
    let until = shared.lock().await.sending_until();
    let mut sent = pin!(transport.send(body.batch.request(), body));
    loop {
        match select(sent.as_mut(), shared.wait(until)).await {
            Either::First(reply) => return reply.ok(),
            Either::Second(()) if shared.lock().await.must_abandon(Now::read(clock)) => return None,
            Either::Second(()) => {}
        }
    }
}

/// The body of a batch, read from the storage record by record while it is written.
struct Records<'a, L> {
    shared: &'a L,
    batch: Batch,
    dating: Dating,
    buffer: &'a mut [u8],
    storage_failed: bool,
}

impl<L: Shared> Records<'_, L> {
    async fn write<W: Write>(&mut self, writer: &mut W) -> Result<(), BodyError<W::Error>> {
        let mut out = Staged::new(writer);
        let range = self.batch.range();
        let mut from = range.first;
        let (mut before, after): (&[u8], &[u8]) =
            if self.batch.is_identify { (b"", b"") } else { (BATCH_OPEN, BATCH_CLOSE) };
        for _ in 0..self.batch.count {
            // The guard ends with the statement: the writer, which may wait, is never awaited under the lock.
            let stored = self.shared.lock().await.read(from, range.last, self.buffer).await;
            let Ok(Some(stored)) = stored else { return Err(BodyError::Storage) };
            from = stored.seq.next();
            let record = self.buffer.get(..stored.len).ok_or(BodyError::Storage)?;
            let record = Record::decode(record).map_err(|_| BodyError::Storage)?;
            out.put(before).await.map_err(BodyError::Writer)?;
            wire::write(&record, &self.dating, &mut out).await.map_err(BodyError::Writer)?;
            before = BATCH_SEPARATOR;
        }
        out.put(after).await.map_err(BodyError::Writer)?;
        out.finish().await.map_err(BodyError::Writer)
    }
}

impl<L: Shared> Body for Records<'_, L> {
    fn bytes(&self) -> usize {
        self.batch.request().body_bytes
    }

    async fn write_to<W: Write>(&mut self, writer: &mut W) -> Result<(), BodyError<W::Error>> {
        let written = self.write(writer).await;
        self.storage_failed = matches!(written, Err(BodyError::Storage));
        written
    }
}
