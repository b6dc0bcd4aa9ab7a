//! Drives futures that never wait.

use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};

/// Polls a future once and returns what it is ready with; `None` when it would have to wait.
///
/// A synchronous platform calls the core's `async` functions through it: a storage that never
/// waits makes them ready at the first poll.
pub fn ready<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}
