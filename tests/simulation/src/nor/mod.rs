//! The flash log of `whisperr-embassy` on a model of NOR flash, against a list that does the same.
//!
//! The model is as harsh as flash is known to be: words torn by a power cut, erases that leave noise,
//! programs and erases that fail or do nothing, reads that flip a bit, words that error correction
//! refuses to read, and futures dropped at every `await`. It is a reusable [`SimNor`]; [`live_on_flash`]
//! is one life of a log on it, and [`Script`] the exhaustive part: every cut of a short run.

mod change;
mod check;
mod chip;
mod flash;
mod life;
mod script;

pub use check::{Checked, Ended};
pub use chip::{NorCounts, NorRates, Tear};
pub use flash::{Driven, NorError, SimNor};
pub use life::{FlashSetup, FlashSummary, live_on_flash};
pub use script::{Script, Step};
