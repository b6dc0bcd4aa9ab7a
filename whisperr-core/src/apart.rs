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
