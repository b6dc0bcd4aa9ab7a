//! The loop that runs tasks and waits for interrupts.
//!
//! Not embassy's own: that one waits with WFE, which QEMU does not do for this family, and burns a core of the host.

use core::sync::atomic::{AtomicBool, Ordering};

use cortex_m::asm;
use embassy_executor::Spawner;
use embassy_executor::raw::Executor;
use static_cell::StaticCell;

static HAS_WORK: AtomicBool = AtomicBool::new(false);

// SAFETY: the name is the one that embassy-executor looks for; no other symbol has it.
#[unsafe(export_name = "__pender")]
fn pend(_context: *mut ()) {
    HAS_WORK.store(true, Ordering::Release);
}

/// Runs tasks for ever, beginning with those that `start` spawns.
pub(crate) fn run(start: impl FnOnce(Spawner)) -> ! {
    static EXECUTOR: StaticCell<Executor> = StaticCell::new();
    let executor: &'static Executor = EXECUTOR.init(Executor::new(core::ptr::null_mut()));
    start(executor.spawner());
    loop {
        // SAFETY: nobody else polls this executor, and `pend` does not.
        unsafe { executor.poll() };
        cortex_m::interrupt::disable();
        // With interrupts masked, one that comes now ends the wait, and runs behind it.
        if !HAS_WORK.swap(false, Ordering::AcqRel) {
            asm::dsb();
            asm::wfi();
        }
        // SAFETY: no critical section is open here.
        unsafe { cortex_m::interrupt::enable() };
    }
}
