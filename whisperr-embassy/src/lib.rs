//! Whisperr on embassy.
//!
//! A beginning: [`EmbassyClock`], the [`Clock`](whisperr_core::Clock) over `embassy-time`, and
//! [`flash`], the [`Storage`](whisperr_core::Storage) in NOR flash. The transport over `embassy-net`
//! and the handle with its runner task are not here yet; until they are, a platform implements
//! [`Transport`](whisperr_core::Transport) itself.
#![no_std]
#![forbid(unsafe_code)]

mod clock;
pub mod flash;

pub use clock::EmbassyClock;
pub use flash::FlashStorage;
