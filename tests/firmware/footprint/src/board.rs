//! The least that a program needs of a board: nothing here runs, it is only linked.

use core::hint::black_box;
use core::panic::PanicInfo;
use core::task::Waker;

use critical_section::RawRestoreState;
use embassy_time_driver::Driver;

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}

struct Nothing;
critical_section::set_impl!(Nothing);

// SAFETY: the program is linked and never run.
unsafe impl critical_section::Impl for Nothing {
    unsafe fn acquire() -> RawRestoreState {
        black_box(false)
    }

    unsafe fn release(state: RawRestoreState) {
        black_box(state);
    }
}

struct Time;
embassy_time_driver::time_driver_impl!(static TIME: Time = Time);

impl Driver for Time {
    fn now(&self) -> u64 {
        black_box(0)
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        black_box((at, waker));
    }
}

/// Where a program begins.
// SAFETY: no other symbol has this name.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn whisperr_footprint() -> u32 {
    crate::program()
}

/// What every image calls, so that none lacks what the compiler and any program would bring along.
pub(crate) fn poll(future: impl Future<Output = u32>) -> u32 {
    let mut future = core::pin::pin!(future);
    let mut context = core::task::Context::from_waker(Waker::noop());
    loop {
        if let core::task::Poll::Ready(done) = future.as_mut().poll(&mut context) {
            return done;
        }
    }
}
