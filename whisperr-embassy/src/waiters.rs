//! Tasks that wait for something to change.

use core::cell::RefCell;
use core::future::poll_fn;
use core::task::Poll;

use embassy_sync::blocking_mutex::Mutex;
use embassy_sync::blocking_mutex::raw::RawMutex;
use embassy_sync::waitqueue::MultiWakerRegistration;

/// Tasks that can wait without waking each other. More than these still get their turn, at the cost of
/// waking all of them now and then.
const TASKS: usize = 8;

/// A bell that any number of tasks hear.
pub(crate) struct Waiters<M: RawMutex> {
    state: Mutex<M, RefCell<Ringing>>,
}

struct Ringing {
    /// How often it rang: who reads this before looking at what it stands for misses nothing.
    count: u32,
    tasks: MultiWakerRegistration<TASKS>,
}

impl<M: RawMutex> Waiters<M> {
    pub(crate) const fn new() -> Self {
        Self { state: Mutex::new(RefCell::new(Ringing { count: 0, tasks: MultiWakerRegistration::new() })) }
    }

    /// Wakes all who wait.
    pub(crate) fn ring(&self) {
        self.state.lock(|state| {
            let Ok(mut state) = state.try_borrow_mut() else { return };
            state.count = state.count.wrapping_add(1);
            state.tasks.wake();
        });
    }

    /// How often it rang.
    pub(crate) fn count(&self) -> u32 {
        self.state.lock(|state| state.try_borrow().map_or(0, |state| state.count))
    }

    /// Waits until it has rung since it had rung so often.
    pub(crate) async fn rang_since(&self, count: u32) {
        poll_fn(|context| {
            self.state.lock(|state| {
                let Ok(mut state) = state.try_borrow_mut() else { return Poll::Ready(()) };
                if state.count != count {
                    return Poll::Ready(());
                }
                state.tasks.register(context.waker());
                Poll::Pending
            })
        })
        .await;
    }
}
