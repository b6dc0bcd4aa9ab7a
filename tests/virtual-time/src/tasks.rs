use core::cell::{Cell, RefCell};
use core::fmt;
use core::future::Future;
use core::pin::{Pin, pin};
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll, Waker};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Wake;

use crate::driver::{jump_to, tick, wake_due};

/// So many polls without a pause are a hang: two tasks that wake each other.
const POLLS_MAX: u32 = 1_000_000;

type Job = Pin<Box<dyn Future<Output = ()>>>;

/// The tasks of one thread. Clones are the same tasks.
#[derive(Clone, Default)]
pub struct Tasks {
    spawned: Rc<RefCell<Vec<Job>>>,
    running: Rc<RefCell<Vec<Task>>>,
    polls: Rc<Cell<u64>>,
}

struct Task {
    job: Job,
    flag: Arc<Flag>,
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tasks").finish_non_exhaustive()
    }
}

impl Tasks {
    /// None.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a task.
    pub fn spawn(&self, job: impl Future<Output = ()> + 'static) {
        self.spawned.borrow_mut().push(Box::pin(job));
    }

    /// How often a task was polled so far: what the processor would have been woken for.
    #[must_use]
    pub fn polls(&self) -> u64 {
        self.polls.get()
    }

    /// Runs until `main` is done; the other tasks stay where they are until the next call.
    ///
    /// # Panics
    /// When nothing can ever happen any more, or when tasks wake each other for ever.
    #[expect(clippy::panic, reason = "a test that hangs must say so")]
    pub fn run_until<T>(&self, main: impl Future<Output = T>) -> T {
        let mut main = pin!(main);
        let flag = Arc::new(Flag(AtomicBool::new(true)));
        let mut polls = 0_u32;
        loop {
            let mut was_awake = false;
            if flag.0.swap(false, Ordering::Relaxed) {
                was_awake = true;
                let waker = Waker::from(Arc::clone(&flag));
                if let Poll::Ready(done) = main.as_mut().poll(&mut Context::from_waker(&waker)) {
                    return done;
                }
            }
            was_awake |= self.poll_awake();
            if was_awake {
                polls = polls.saturating_add(1);
                assert!(polls < POLLS_MAX, "tasks wake each other for ever");
                // Without it, a task that waits for the next tick would wait for ever.
                tick();
            }
            let next = wake_due();
            if !was_awake {
                polls = 0;
                match next {
                    Some(at) => {
                        jump_to(at);
                        wake_due();
                    }
                    None if flag.0.load(Ordering::Relaxed) || self.is_any_awake() => {}
                    None => panic!("nothing can happen any more"),
                }
            }
        }
    }

    fn is_any_awake(&self) -> bool {
        !self.spawned.borrow().is_empty()
            || self.running.borrow().iter().any(|task| task.flag.0.load(Ordering::Relaxed))
    }

    fn poll_awake(&self) -> bool {
        let spawned = self.spawned.take();
        let mut running = self.running.borrow_mut();
        running
            .extend(spawned.into_iter().map(|job| Task { job, flag: Arc::new(Flag(AtomicBool::new(true))) }));
        let mut was_awake = false;
        running.retain_mut(|task| {
            if !task.flag.0.swap(false, Ordering::Relaxed) {
                return true;
            }
            was_awake = true;
            self.polls.set(self.polls.get().saturating_add(1));
            let waker = Waker::from(Arc::clone(&task.flag));
            task.job.as_mut().poll(&mut Context::from_waker(&waker)).is_pending()
        });
        was_awake
    }
}
