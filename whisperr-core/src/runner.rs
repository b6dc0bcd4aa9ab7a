//! The one loop, over the three traits and a lock.

use core::ops::DerefMut;
use core::pin::pin;

use embassy_futures::select::{Either, select};
use embedded_io_async::Write;

use crate::apart::apart;
use crate::batch::{Batch, BatchLimit, Plan};
use crate::client::{Client, Hindrance, Judgement, Now, PlanStart};
use crate::clock::{Clock, Instant};
use crate::dating::Dating;
use crate::delivery::Action;
use crate::kept::Trouble;
use crate::notice::Notice;
use crate::record::Record;
use crate::storage::Storage;
use crate::transport::{Body, BodyError, Reply, Transport};
use crate::wire::{self, BATCH_CLOSE, BATCH_OPEN, BATCH_SEPARATOR, Window};

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
///
/// The future may be dropped and another one run in its place: a request that was out then counts as
/// unanswered.
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
    // What a loop before this one left unanswered nobody waits for any more.
    shared.lock().await.handle_reply(Now::read(clock), None);
    loop {
        let mut client = shared.lock().await;
        let now = Now::read(clock);
        let action = { apart(pin!(client.poll(now))).await };
        match action {
            Action::Send(limit) => {
                let mut start = client.start_plan(now);
                drop(client);
                apart(pin!(exchange(shared, clock, transport, limit, &mut start, buffer))).await;
            }
            Action::Remove(batch) => client.remove(now, batch).await,
            Action::Notify(notice) => {
                drop(client);
                notify(notice);
            }
            Action::Wait { until } => {
                drop(client);
                shared.wait(until).await;
            }
            Action::Stop => return,
        }
    }
}

/// Takes what fits into one request, sends it, and hands the reply on.
async fn exchange<L: Shared, C: Clock, T: Transport>(
    shared: &L,
    clock: &C,
    transport: &mut T,
    limit: BatchLimit,
    // Not by value: a future holds what it is given twice.
    start: &mut PlanStart,
    buffer: &mut [u8],
) {
    let sending = {
        let mut plan = Plan::new(limit);
        let walked = { apart(pin!(walk(shared, start, &mut plan, buffer))).await };
        shared.lock().await.handle_plan(Now::read(clock), walked, &plan, start.wipes)
    };
    let Some((batch, until)) = sending else { return };
    let mut body = Records { shared, batch, dating: &start.dating, buffer, storage_failed: false };
    let reply = { apart(pin!(attempt(shared, clock, transport, &mut body, until))).await };
    let storage_failed = body.storage_failed && reply.is_none();
    let mut client = shared.lock().await;
    if storage_failed {
        client.handle_unreadable(Now::read(clock));
    } else {
        client.handle_reply(Now::read(clock), reply);
    }
}

/// Walks from the oldest operation and adds to the plan what fits. The lock is held for a few operations at a time.
async fn walk<L: Shared>(
    shared: &L,
    start: &mut PlanStart,
    plan: &mut Plan,
    buffer: &mut [u8],
) -> Result<(), Trouble> {
    let mut from = start.from;
    while !plan.is_full() {
        let fetched = { apart(pin!(shared.lock().await.fetch_for_plan(from, buffer))).await }?;
        let Some(last) = fetched.last() else { return Ok(()) };
        for (stored, record) in fetched.iter(buffer) {
            let mut asked = false;
            loop {
                let hindrance = match start.judge(record) {
                    Judgement::Fits { kind, bytes } if plan.add(stored.seq, kind, bytes) => break,
                    Judgement::Fits { .. } => return Ok(()),
                    // While the time is not known, what happened before it is waits, and all behind it.
                    Judgement::Not(Hindrance::Undated(_)) if asked => return Ok(()),
                    Judgement::Not(hindrance) => hindrance,
                };
                start.dating =
                    { apart(pin!(shared.lock().await.clear(start.wipes, stored, hindrance))).await }?;
                asked = matches!(hindrance, Hindrance::Undated(_));
                if !asked {
                    break;
                }
            }
        }
        from = last.next();
    }
    Ok(())
}

/// One exchange; `None` when it ends without a reply in its time.
async fn attempt<L: Shared, C: Clock, T: Transport>(
    shared: &L,
    clock: &C,
    transport: &mut T,
    body: &mut Records<'_, L>,
    until: Instant,
) -> Option<Reply> {
    let mut sent = pin!(transport.send(body.batch.request(), body));
    loop {
        // The lock is asked for beside the request, which may hold it while its storage waits.
        let over = async {
            shared.wait(Some(until)).await;
            shared.lock().await.must_abandon(Now::read(clock))
        };
        match select(sent.as_mut(), pin!(over)).await {
            Either::First(reply) => return reply.ok(),
            Either::Second(true) => return None,
            Either::Second(false) => {}
        }
    }
}

/// How many bytes of a body are handed to the writer at once. A record whose JSON is longer is walked once more for
/// each further piece: most events fit into one.
const STAGE_BYTES: usize = 512;

/// The body of a batch, read from the storage record by record while it is written.
struct Records<'a, L> {
    shared: &'a L,
    batch: Batch,
    dating: &'a Dating,
    buffer: &'a mut [u8],
    storage_failed: bool,
}

impl<L: Shared> Records<'_, L> {
    async fn write<W: Write>(&mut self, writer: &mut W) -> Result<(), BodyError<W::Error>> {
        // Small pieces are collected: each write to the writer may cost a packet.
        let mut stage = [0; STAGE_BYTES];
        let mut staged = 0;
        let range = self.batch.range();
        let mut from = range.first;
        let (mut before, close): (&[u8], &[u8]) =
            if self.batch.is_identify { (b"", b"") } else { (BATCH_OPEN, BATCH_CLOSE) };
        let mut left = self.batch.count;
        while left > 0 {
            // The guard ends with the statement: the writer, which may wait, is never awaited under the lock.
            let fetched =
                { apart(pin!(self.shared.lock().await.fetch(from, range.last, self.buffer))).await };
            let fetched = fetched.map_err(|_| BodyError::Storage)?;
            from = fetched.last().ok_or(BodyError::Storage)?.next();
            for (_, record) in fetched.iter(self.buffer) {
                left = left.checked_sub(1).ok_or(BodyError::Storage)?;
                let after = if left == 0 { close } else { b"" };
                let mut start = 0_usize;
                loop {
                    let mut window = Window::new(start, stage.get_mut(staged..).unwrap_or_default());
                    window.put(before);
                    let record = Record::decode(record).map_err(|_| BodyError::Storage)?;
                    wire::write(&record, self.dating, &mut window).map_err(|_| BodyError::Storage)?;
                    window.put(after);
                    let (written, is_end) = window.filled();
                    staged = staged.saturating_add(written);
                    if is_end {
                        break;
                    }
                    start = start.saturating_add(written);
                    let full = stage.get(..core::mem::take(&mut staged)).unwrap_or_default();
                    writer.write_all(full).await.map_err(BodyError::Writer)?;
                }
                before = BATCH_SEPARATOR;
            }
        }
        writer.write_all(stage.get(..staged).unwrap_or_default()).await.map_err(BodyError::Writer)
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
