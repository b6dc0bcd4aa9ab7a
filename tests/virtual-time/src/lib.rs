//! Time for embassy on the host that moves only when nothing else can.
//!
//! A program that links this crate has it as its `embassy-time` driver, one tick per microsecond. Every thread has a
//! clock of its own, so tests do not see each other. [`Tasks`] polls what is awake and, when nothing is, jumps to
//! the next timer: a simulated day takes as long as what happens in it, and happens the same way every time.
//!
//! Every future that is spawned has a waker of its own. Under one waker for all (`join`, `select`), a network stack
//! and its sockets wake each other for ever, and time would stand still.

mod driver;
mod tasks;

pub use driver::now_us;
pub use tasks::Tasks;
