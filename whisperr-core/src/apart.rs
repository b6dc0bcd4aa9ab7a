//! Futures with a stack frame of their own.

use core::pin::Pin;
use core::task::{Context, Poll};

/// A future that is polled in a frame of its own.
///
/// The compiler puts a future that is polled in one place only into the frame of whoever awaits it. That frame then has
/// room for what all of them need, though one runs at a time: on a microcontroller, several times the stack.
#[derive(Debug)]
#[must_use = "futures do nothing unless they are polled"]
pub struct Apart<'a, F>(Pin<&'a mut F>);

/// Lets a future have a stack frame of its own.
pub const fn apart<F>(future: Pin<&mut F>) -> Apart<'_, F> {
    Apart(future)
}

impl<F: Future> Future for Apart<'_, F> {
    type Output = F::Output;

    #[inline(never)]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        self.0.as_mut().poll(context)
    }
}

#[cfg(test)]
mod tests {
    use core::cell::Cell;
    use core::future::{poll_fn, ready};
    use core::pin::pin;
    use core::task::Waker;

    use super::*;

    #[test]
    fn it_waits_as_long_as_the_future_and_ends_with_what_that_ends_with() {
        let polls = Cell::new(0);
        let mut future = pin!(async {
            poll_fn(|_| {
                polls.set(polls.get() + 1);
                if polls.get() < 3 { Poll::Pending } else { Poll::Ready(()) }
            })
            .await;
            ready(7).await
        });
        let mut context = Context::from_waker(Waker::noop());
        let mut apart = apart(future.as_mut());

        assert_eq!(Pin::new(&mut apart).poll(&mut context), Poll::Pending);
        assert_eq!(Pin::new(&mut apart).poll(&mut context), Poll::Pending);
        assert_eq!(Pin::new(&mut apart).poll(&mut context), Poll::Ready(7));
    }
}
