//! A wrapper that lets any storage fail and wait.

use core::cell::{Cell, RefCell};
use core::fmt;
use core::future::poll_fn;
use core::task::Poll;
use std::rc::Rc;

use whisperr_core::{Fault, RemoveWith, Seq, SeqRange, Slot, Storage, Stored};

use crate::choices::Choices;
use crate::coverage::Seen;

/// How often calls fail or wait, in percent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "built with struct update")]
pub struct Rates {
    /// Appends and slot changes that fail, with nothing written.
    pub write: u64,
    /// Appends that find no room.
    pub full: u64,
    /// Removals, also of what cannot be read, that fail.
    pub remove: u64,
    /// Reads that fail.
    pub read: u64,
    /// Calls that wait before or behind the work, so that their future can be dropped there.
    pub slow: u64,
}

/// The faults of one storage after another over the same medium. Clones are the same plan.
#[derive(Debug, Clone)]
pub struct Faults {
    rates: Rc<Cell<Rates>>,
    choices: Choices,
    waited: Rc<Cell<bool>>,
    seen: Rc<RefCell<Seen>>,
}

impl Faults {
    /// None, until rates are set.
    #[must_use]
    pub fn new(choices: Choices) -> Self {
        Self { rates: Rc::default(), choices, waited: Rc::default(), seen: Rc::default() }
    }

    /// Sets the rates from here on.
    pub fn set(&self, rates: Rates) {
        self.rates.set(rates);
    }

    /// The rates.
    #[must_use]
    pub fn rates(&self) -> Rates {
        self.rates.get()
    }

    /// Takes what happened so far.
    #[must_use]
    pub fn take_seen(&self) -> Seen {
        self.seen.take()
    }

    /// Whether a call waited since this was asked last: who drives it polls again.
    #[must_use]
    pub fn take_waited(&self) -> bool {
        self.waited.take()
    }

    fn happens(&self, percent: u64, name: &'static str) -> bool {
        let happens = self.choices.percent(percent);
        if happens {
            self.seen.borrow_mut().note(name);
        }
        happens
    }

    async fn wait(&self) {
        while self.happens(self.rates.get().slow, "storage waited") {
            let mut polled = false;
            poll_fn(|_| {
                self.waited.set(true);
                if core::mem::replace(&mut polled, true) { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        }
    }
}

/// A fault of the wrapper, or the storage's own.
#[derive(Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is no third source")]
pub enum Failed<E> {
    /// It was planned.
    Injected,
    /// The storage below failed.
    Own(E),
}

impl<E: fmt::Debug> fmt::Debug for Failed<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Injected => f.write_str("Injected"),
            Self::Own(error) => error.fmt(f),
        }
    }
}

/// Any storage, with faults.
#[derive(Debug)]
pub struct Faulty<S> {
    inner: S,
    faults: Faults,
}

impl<S> Faulty<S> {
    /// Puts faults over a storage.
    pub const fn new(inner: S, faults: Faults) -> Self {
        Self { inner, faults }
    }

    /// The storage below, for what must not fail.
    pub const fn inner(&mut self) -> &mut S {
        &mut self.inner
    }
}

fn own<T, E>(result: Result<T, Fault<E>>) -> Result<T, Fault<Failed<E>>> {
    result.map_err(|fault| match fault {
        Fault::Full => Fault::Full,
        Fault::Medium(error) => Fault::Medium(Failed::Own(error)),
    })
}

const fn injected<E>() -> Fault<Failed<E>> {
    Fault::Medium(Failed::Injected)
}

impl<S: Storage> Storage for Faulty<S> {
    type Error = Failed<S::Error>;

    fn next_seq(&self) -> Seq {
        self.inner.next_seq()
    }

    async fn append(&mut self, seq: Seq, record: &[u8]) -> Result<(), Fault<Self::Error>> {
        self.faults.wait().await;
        if self.faults.happens(self.faults.rates().write, "append failed") {
            return Err(injected());
        }
        if self.faults.happens(self.faults.rates().full, "append found no room") {
            return Err(Fault::Full);
        }
        let done = own(self.inner.append(seq, record).await);
        self.faults.wait().await;
        done
    }

    async fn read(&mut self, from: Seq, buffer: &mut [u8]) -> Result<Option<Stored>, Fault<Self::Error>> {
        self.faults.wait().await;
        if self.faults.happens(self.faults.rates().read, "read failed") {
            return Err(injected());
        }
        own(self.inner.read(from, buffer).await)
    }

    async fn remove(&mut self, range: SeqRange) -> Result<(), Fault<Self::Error>> {
        self.faults.wait().await;
        if self.faults.happens(self.faults.rates().remove, "removal failed") {
            return Err(injected());
        }
        let done = own(self.inner.remove(range).await);
        self.faults.wait().await;
        done
    }

    async fn remove_with(
        &mut self,
        range: SeqRange,
        with: RemoveWith<'_>,
    ) -> Result<bool, Fault<Self::Error>> {
        self.faults.wait().await;
        if self.faults.happens(self.faults.rates().write, "change in one step failed") {
            return Err(injected());
        }
        if self.faults.happens(self.faults.rates().full, "change in one step found no room") {
            return Err(Fault::Full);
        }
        let done = own(self.inner.remove_with(range, with).await);
        self.faults.wait().await;
        done
    }

    async fn set_aside(&mut self, seq: Seq) -> Result<(), Fault<Self::Error>> {
        self.faults.wait().await;
        if self.faults.happens(self.faults.rates().remove, "setting aside failed") {
            return Err(injected());
        }
        own(self.inner.set_aside(seq).await)
    }

    async fn load(&mut self, slot: Slot, buffer: &mut [u8]) -> Result<usize, Fault<Self::Error>> {
        self.faults.wait().await;
        own(self.inner.load(slot, buffer).await)
    }

    async fn store(&mut self, slot: Slot, value: &[u8]) -> Result<(), Fault<Self::Error>> {
        self.faults.wait().await;
        if self.faults.happens(self.faults.rates().write, "slot change failed") {
            return Err(injected());
        }
        let done = own(self.inner.store(slot, value).await);
        self.faults.wait().await;
        done
    }

    async fn wipe(&mut self) -> Result<(), Fault<Self::Error>> {
        self.faults.wait().await;
        own(self.inner.wipe().await)
    }

    fn is_persistent(&self) -> bool {
        self.inner.is_persistent()
    }

    async fn persist(&mut self) -> Result<(), Fault<Self::Error>> {
        self.faults.wait().await;
        if self.faults.happens(self.faults.rates().write, "persist failed") {
            return Err(injected());
        }
        own(self.inner.persist().await)
    }

    fn take_damaged(&mut self) -> u32 {
        self.inner.take_damaged()
    }
}
